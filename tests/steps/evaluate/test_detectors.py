"""Automatic readers: silent on clean texts, and they find every seeded class."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from steps.core.policy import DEFECT_CLASSES
from steps.evaluate.detectors import DETECTORS, read, read_batch
from steps.evaluate.seeding import INJECTIONS, Draw, identity_number, inject, luhn_card

TEXTS = Path(__file__).parents[3] / "demo" / "texts"


def own_texts(language: str) -> list[str]:
    lines = (TEXTS / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["text"] for line in lines if line]


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    return {language: own_texts(language) for language in ("zh", "en")}


def test_classes_detectors_and_injections_are_the_same() -> None:
    assert set(DEFECT_CLASSES) == set(DETECTORS) == set(INJECTIONS)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_clean_texts_raise_less_than_one_percent_false_alarms(
    texts: dict[str, list[str]], language: str
) -> None:
    clean = texts[language]
    assert len(clean) >= 100
    alarms = [f for found in read_batch(clean, [language] * len(clean)) for f in found]
    assert len(alarms) < 0.01 * len(clean), alarms


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("defect", DEFECT_CLASSES)
def test_every_seeded_class_is_found(texts: dict[str, list[str]], language: str, defect: str) -> None:
    clean = texts[language]
    bad = [
        inject(defect, text, language, f"test-{number}", clean[number + 1 :] + clean[:number])
        for number, text in enumerate(clean)
    ]
    found = sum(bool(f) for f in read_batch(bad, [language] * len(bad)))
    assert all(before != after for before, after in zip(clean, bad, strict=True))
    assert found >= 0.995 * len(bad), f"{found} of {len(bad)}"


def test_the_detector_of_the_class_is_the_one_that_finds_it(texts: dict[str, list[str]]) -> None:
    own: Counter[str] = Counter()
    for number, text in enumerate(texts["zh"][:40]):
        for defect in DEFECT_CLASSES:
            bad = inject(defect, text, "zh", f"own-{number}", texts["zh"][40:60])
            own[defect] += DETECTORS[defect](bad, "zh")[0] >= 1
    assert {defect: count for defect, count in own.items() if count < 39} == {}


def test_the_same_seed_gives_the_same_defect(texts: dict[str, list[str]]) -> None:
    text = texts["en"][3]
    for defect in DEFECT_CLASSES:
        assert inject(defect, text, "en", "a", texts["en"][:5]) == inject(
            defect, text, "en", "a", texts["en"][:5]
        )
    assert inject("advertising", text, "en", "a") != inject("advertising", text, "en", "b")


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ("他说：" + "中文内容的编码坏了".encode().decode("gb18030", "replace") + "，谁也看不懂。", "mojibake"),
        ("请联系王先生，手机 13812345678，明天见面。", "privacy"),
        ("Der Wind war kalt und die Kinder wollten nicht nach Hause gehen, weil sie die Schiffe sehen wollten.", None),
        ("The author was born in 1934. She can be reached at the office of the press.", None),
        ("```html\n<div class=\"a\" style=\"float:left;\"><a href=\"x\">&nbsp;</a></div>\n```\nIt floats.", None),
        ("git clone git@github.com:user/repo.git && ssh root@example.com", None),
    ],
)  # fmt: skip
def test_single_cases(text: str, defect: str | None) -> None:
    found = [finding.defect for finding in read(text, "zh" if "他" in text or "请" in text else "en")]
    if defect is not None:
        assert defect in found
    elif text.startswith("Der"):
        assert found == [] or found == ["foreign_language"]
    else:
        assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "All of it is described at https://example.org/docs/plug-in",
        "The schedule is here: http://example.org/come-on",
        "It was published by the society, see www.example.org/news/2024/log-in-and",
        "He was moved into Group A",
        "Patients had been infected with hepatitis A",
        "它的说明在 https://example.org/zh/add-on",
        "这条线路到 2010 年为止一直归铁路局管理。现在的车站是 https://example.org/station/on",
    ],
)
def test_an_address_or_a_letter_at_the_end_is_no_cut_off_sentence(text: str) -> None:
    for language in ("zh", "en"):
        assert DETECTORS["truncated"](text, language)[0] == 0


@pytest.mark.parametrize(
    ("text", "defect"),
    [
        ("ÖÐÎÄ½Ì³Ì£¬»¶Ó­·ÃÎÊ±¾Õ¾¡£ÕâÀïÓÐ×îÐÂµÄÐÂÎÅ¡£", "mojibake"),
        ("It wasnΓÇÖt his fault, sheΓÇÖd said, and they couldnΓÇÖt have known itΓÇÖs true.", "mojibake"),
        ("中文教程，歡迎訪問本站，這裡有最新的新聞和各種各樣的資料。讀者寫信來說，書店裡買不到這幾本舊書。", None),
        ("The wiki writes -{zh-hans:特雷莎; zh-tw:德蕾莎;}- for two scripts.", None),
        ("Das Dorf liegt in den Bergen, und die Menschen leben dort von dem, was der Wald ihnen gibt, "
         "auch wenn es im Winter nicht viel ist und sie für das Brot weit gehen.", "foreign_language"),
        ("Starosta města oznámil, že hřiště bude otevřeno až na jaře, protože firma, která ho měla "
         "postavit, zkrachovala, ale rodiče doufají, že se alespoň podaří opravit park, aby se děti "
         "měly kde hrát.", "foreign_language"),
        ("Please send it to my card 6222 0000 0000 0000 by Friday.", None),  # Luhn's check fails
        ("我的银行卡号：4111 1111 1111 1111，请转账。", "privacy"),
        ("订单号 4111111111111111 已经发货。", None),
        ("第二条 其他固体废物、这些垃圾和弃土由县级人民政府处理，骗取补助的依法处罚。", None),
    ],
)  # fmt: skip
def test_cases_beyond_the_seeded_ones(text: str, defect: str | None) -> None:
    found = [finding.defect for finding in read(text, "zh" if "，" in text or "。" in text else "en")]
    assert found == ([] if defect is None else [defect])


def test_a_long_document_is_read_to_its_end() -> None:
    """Documents are read in overlapping stretches: a cluster at any place has the same score."""
    block = "限时抢购，错过再等一年！厂家直销，全国包邮，点击下方链接立即购买。"
    for before in range(0, 3000, 97):
        text = "普通的句子。" * (before // 6) + block + "普通的句子。" * 400
        assert DETECTORS["advertising"](text, "zh")[0] == DETECTORS["advertising"](block, "zh")[0] >= 1


def test_made_up_numbers_are_valid() -> None:
    draw = Draw("x")
    for _ in range(50):
        digits = [int(d) for d in luhn_card(draw)]
        total = sum(
            d if i % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for i, d in enumerate(reversed(digits))
        )
        assert total % 10 == 0
        number = identity_number(draw)
        values = [10 if c == "X" else int(c) for c in number]
        assert sum(v * pow(2, 17 - i, 11) for i, v in enumerate(values)) % 11 == 1


def _articles(path: Path, count: int) -> list[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file.read().split("\n")[:count] if line]
    return [(r["text"], r.get("lang") or ("zh" if "zh" in path.parent.name else "en")) for r in records]


@pytest.mark.data
@pytest.mark.parametrize(("folder", "most"), [("wiki_zh", 0.01), ("wiki_en", 0.01)])
def test_wikipedia_raises_few_alarms(shared_data: Path, folder: str, most: float) -> None:
    texts, languages = zip(*_articles(shared_data / folder / "train.jsonl.gz", 400), strict=True)
    alarms = sum(bool(found) for found in read_batch(texts, languages))
    assert alarms <= most * len(texts)
