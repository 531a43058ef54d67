from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError, DataError
from steps.core.step import Outcome, run_step
from steps.preprocess import step as step_module
from steps.preprocess.config import LID_176_FTZ
from steps.preprocess.kernels import COUNT_COLUMNS, Prepared
from steps.text.language import model_digest
from tests.steps.documents import make_corpus
from tests.steps.ingest.objects import ONE, documents, ledger

ZH = "村子东边有三百亩地，地面泛着一层白霜，种玉米只长到膝盖高。"
TRADITIONAL = "村子東邊有三百畝地，地面泛著一層白霜，種玉米只長到膝蓋高。"
EN = "The proteins lose their shape quickly when they become warm, and it cannot be reversed."
DE = "Um sechs Uhr früh ist der Parkplatz noch leer, und über dem Bach hängt ein dünner Nebel."


def preprocess(
    root: Path, shards: list[list[dict[str, object]]], workers: int = 1, **config: object
) -> Outcome:
    corpus = make_corpus(root, shards)
    runtime = ONE if workers == 1 else Runtime(workers=workers)
    return run_step(
        "preprocess", config=config, inputs={"corpus": corpus.ref}, root=f"file://{root}", runtime=runtime
    )


def test_wanted_languages_stay_and_others_go_with_their_guess(tmp_path: Path) -> None:
    done = preprocess(tmp_path, [[{"text": t} for t in (ZH, DE, EN, "12345", TRADITIONAL)]])
    assert [(d["language"], d["text"]) for d in documents(done)] == [("zh", ZH), ("en", EN), ("zh", ZH)]
    removed = [(row["row"], row["rule"], row["language"]) for row in ledger(done)]
    assert removed == [(1, "language_not_kept", "de"), (3, "language_not_kept", "und")]
    assert ledger(done)[0]["value"] > 0.9
    assert done.facts["languages_seen"] == {"de": 1, "en": 1, "und": 1, "zh": 2}


def test_a_guess_below_the_least_score_is_not_kept(tmp_path: Path) -> None:
    done = preprocess(tmp_path, [[{"text": EN}, {"text": ZH}]], min_language_score=0.999)
    assert [d["language"] for d in documents(done)] == ["zh"]


def test_text_is_repaired_made_uniform_and_masked_with_counts(tmp_path: Path) -> None:
    broken = f"{ZH}😀\u200b\n写信到a.b@example.com，或打13812345678！！！".encode().decode("latin-1")
    done = preprocess(tmp_path, [[{"text": broken}]])
    (row,) = documents(done)
    assert row["text"] == f"{ZH}\n写信到<EMAIL>，或打<PHONE>！"
    expected = dict.fromkeys(COUNT_COLUMNS, 0) | {
        "mojibake_repaired": 2,
        "invisible_removed": 1,
        "symbols_removed": 1,
        "punctuation_removed": 2,
        "masked_email": 1,
        "masked_phone": 1,
        "personal_data_spans": 2,
    }
    assert {name: row[name] for name in COUNT_COLUMNS} == expected
    assert row["language_score"] > 0.8 and row["language_fasttext"] > 0.7 and row["language_cld2"] > 0.8
    assert row["language_share"] == 1.0


def test_text_that_lost_its_encoding_is_removed(tmp_path: Path) -> None:
    lost = (ZH * 5).encode().decode("gb18030", "replace").replace("\ufffd", "?")
    locked = EN + " 锟斤拷" + " and so on" * 30
    done = preprocess(tmp_path, [[{"text": lost}, {"text": locked}, {"text": EN}]])
    assert [d["origin"]["row"] for d in documents(done)] == [1, 2]
    (removed,) = ledger(done)
    assert removed["rule"] == "mojibake" and removed["value"] > 10


def test_settings_turn_parts_off(tmp_path: Path) -> None:
    text = TRADITIONAL + "电话13812345678"
    done = preprocess(tmp_path, [[{"text": text}]], simplify="", mask_personal_data=False)
    assert documents(done)[0]["text"] == text


def test_code_and_mathematics_keep_their_typography(tmp_path: Path) -> None:
    text = f"{EN}\n=========\nx = a  ?  b :  c!!!!\t# ★ tab\u200b\n"
    code = json.dumps({"kind": "code"})
    done = preprocess(tmp_path, [[{"text": text, "metadata": code}, {"text": text}]])
    kept, changed = (d["text"] for d in documents(done))
    assert kept == text.replace("\u200b", "").replace("\t", "    ")
    assert "====" not in changed and "★" not in changed


def test_prompt_and_response_are_made_uniform_and_masked_as_the_text_is(tmp_path: Path) -> None:
    """Each by itself, in the language of both; the text is what they are."""
    pairs = [
        (f"{TRADITIONAL}\u200b寫信到a.b@example.com", "１３８１２３４５６７８，臺灣！！！"),
        (EN, "Call 13812345678 or\nwrite to a.b@example.com."),
        (f"Was heißt das auf Deutsch? {DE}", DE),
        (EN, "★★★"),
    ]
    rows = [{"text": f"{p}\n{r}", "prompt": p, "response": r, "task": "qa"} for p, r in pairs]
    done = preprocess(tmp_path, [rows])
    assert [(d["prompt"], d["response"], d["task"]) for d in documents(done)] == [
        (f"{ZH}写信到<EMAIL>", "<PHONE>，台湾！", "qa"),
        (EN, "Call <PHONE> or\nwrite to <EMAIL>.", "qa"),
    ]
    assert all(d["text"] == f"{d['prompt']}\n{d['response']}" for d in documents(done))
    assert [(d["masked_email"], d["masked_phone"]) for d in documents(done)] == [(1, 1), (1, 1)]
    removed = [(row["row"], row["rule"], row["detail"]) for row in ledger(done)]
    assert removed[0][:2] == (2, "language_not_kept")
    assert removed[1] == (3, "empty_after_normalisation", "nothing is left of its response")


def test_pairs_whose_text_is_another_are_written_by_no_step(tmp_path: Path) -> None:
    """Nothing may stand in the fields that are trained on and not in the text that is judged."""
    with pytest.raises(DataError, match=r"document .* \(row 1\) is not its prompt and response"):
        make_corpus(tmp_path, [[{"text": "a\nb", "prompt": "a", "response": r} for r in ("b", "b a@b.cn")]])


def test_rows_point_to_where_they_came_from_and_signals_are_carried(tmp_path: Path) -> None:
    rows = [{"text": t, "_signals": {"brought": n}} for n, t in enumerate([ZH, DE, EN])]
    done = preprocess(tmp_path, [rows])
    before = Corpus.open(done.artifact.input("corpus")).shards[0]
    found = documents(done)
    assert [d["origin"] for d in found] == [
        {"shard": before.sha256, "row": 0},
        {"shard": before.sha256, "row": 2},
    ]
    assert [d["brought"] for d in found] == [0, 2]


def test_poison_is_quarantined_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = step_module.prepare

    def prepare(texts: pa.Array, *args: Any) -> Prepared:
        if any("poison" in text for text in texts.to_pylist()):
            raise ZeroDivisionError("kernel")
        return real(texts, *args)

    monkeypatch.setattr(step_module, "prepare", prepare)
    texts = [EN, EN + " poison", ZH, EN * 100]
    done = preprocess(
        tmp_path, [[{"text": t} for t in texts]], max_quarantine_share=0.5, max_document_bytes=2048
    )
    assert [d["text"] for d in documents(done)] == [EN, ZH]
    reasons = [(row["row"], row["rule"], row["detail"]) for row in ledger(done, "quarantine")]
    assert sorted(reasons) == [
        (1, "preprocess_failed", "ZeroDivisionError: kernel"),
        (3, "oversized_document", f"{len(EN) * 100} bytes"),
    ]


def test_a_corpus_without_a_wanted_language_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"kept no document of .*: none is in en, zh"):
        preprocess(tmp_path, [[{"text": DE}]])


def test_another_language_model_is_refused(tmp_path: Path) -> None:
    assert model_digest() == LID_176_FTZ
    with pytest.raises(ConfigError, match=r"the installed lid\.176\.ftz has sha256 8f3472cf"):
        preprocess(tmp_path, [[{"text": EN}]], language_model="0" * 64)


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    shards = [[{"text": f"{t} {n}"} for t in (ZH, DE, EN)] for n in range(4)]
    one = preprocess(tmp_path / "one", shards)
    two = preprocess(tmp_path / "two", shards, workers=2)
    assert [f.sha256 for f in one.artifact.files()] == [f.sha256 for f in two.artifact.files()]
    assert one.artifact.manifest.identity.documents == two.artifact.manifest.identity.documents


@pytest.mark.data
def test_languages_of_real_pages_are_recognised(tmp_path: Path, shared_data: Path) -> None:
    """Agreement with the language that lid.176 gave the pages' own plain text, over crawl_mix's first
    archive.
    """
    from tests.steps.ingest.objects import ingest

    told = {}
    for line in (shared_data / "crawl_mix" / "manifest.jsonl").read_text(encoding="utf-8").split("\n"):
        if line and (row := json.loads(line))["lang_score"] >= 0.6:  # below, it is wrong more often than not
            told[row["record"]] = row["lang_fasttext"]
    raw = ingest(tmp_path / "store", shared_data / "crawl_mix", ["crawl-shared-00000.warc.gz"])
    done = run_step(
        "preprocess",
        config={},
        inputs={"corpus": raw.ref},
        root=f"file://{tmp_path}/store",
        runtime=ONE,
    )
    kept = {json.loads(d["metadata"])["record_id"]: d["language"] for d in documents(done)}
    agree = [told[record] == language for record, language in kept.items() if record in told]
    assert len(agree) > 100
    assert sum(agree) >= 0.97 * len(agree)  # the menus of three English texts made their pages Chinese
