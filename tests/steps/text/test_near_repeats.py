"""Near-repeated sentences against all pairs in plain Python, and how the work grows."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from steps.text.edit_distance import indels
from steps.text.hashing import Words, words
from steps.text.near_repeats import BANDS, LONGEST, SHORTEST, near_repeats
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

HAN = "的是在有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动"
LEAST = 0.85


def tokens_of(sentences: list[str]) -> Words:
    return words(*text_buffers(pa.array(sentences, pa.large_string())), classes())


def similarities(documents: list[list[str]], least: float = LEAST) -> tuple[list[list[float]], int]:
    """How similar each sentence is to an earlier one, and the work."""
    number = np.repeat(np.arange(len(documents)), [len(some) for some in documents])
    found, work = near_repeats(tokens_of([s for some in documents for s in some]), number, least)
    ends = np.cumsum([len(some) for some in documents])[:-1]
    return [part.tolist() for part in np.split(found, ends)], work


def longest_common(a: list[str], b: list[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        new = [0]
        for j, y in enumerate(b):
            new.append(row[j] + 1 if x == y else max(row[j + 1], new[-1]))
        row = new
    return row[-1]


def test_indels_are_what_is_not_common() -> None:
    rng = random.Random(1)
    for _ in range(2_000):
        a, b = (rng.choices("abc", k=rng.randrange(10)) for _ in range(2))
        most = rng.randrange(8)
        expected = min(len(a) + len(b) - 2 * longest_common(a, b), most + 1)
        first, second = (np.array([ord(c) for c in text], np.uint64) for text in (a, b))
        assert indels(first, second, most) == expected


def changed(rng: random.Random, sentence: str, edits: int) -> str:
    """With that many characters inserted or removed."""
    for _ in range(edits):
        at = rng.randrange(len(sentence))
        added = [rng.choice(HAN), sentence[at]] if rng.random() < 0.5 else []
        sentence = "".join([sentence[:at], *added, sentence[at + 1 :]])
    return sentence


def test_what_is_found_is_true_and_nearly_all_pairs_are_found() -> None:
    rng = random.Random(2)
    wanted = found = 0
    for _ in range(40):
        sentences: list[str] = []
        for _ in range(30):
            if sentences and rng.random() < 0.4:
                sentences.append(changed(rng, rng.choice(sentences), rng.choice([1, 1, 2, 4])))
            else:
                sentences.append("".join(rng.choices(HAN, k=rng.choice([6, 15, 30, 60]))))
        (measured,), _ = similarities([sentences])
        stayed: list[str] = []
        for sentence, similarity in zip(sentences, measured, strict=True):
            best = max(
                (
                    1
                    - (len(sentence) + len(other) - 2 * longest_common(list(sentence), list(other)))
                    / max(len(sentence), len(other))
                    for other in stayed
                ),
                default=0.0,
            )
            assert similarity == 0 or LEAST <= similarity <= best + 1e-9
            wanted += best >= LEAST and len(sentence) >= SHORTEST
            found += similarity > 0
            if similarity == 0:
                stayed.append(sentence)
    assert wanted > 250
    assert found >= 0.98 * wanted


@pytest.mark.parametrize(
    ("first", "second", "repeats"),
    [
        ("河水越来越清，村里的人都很高兴。", "河水越来越清，村里的人都很高兴！", True),
        (
            "河水越来越清，村里的人都很高兴。",
            "后来河水越来越清，村里的人们都很高兴。",
            False,
        ),  # three in eighteen
        ("他说河水越来越清，村里的人听了都很高兴。", "他说河水越来越清，村里的人们听了都很高兴。", True),
        ("他说河水越来越清，村里的人听了都很高兴。", "他说河水越来越浑，村里的人听了都很高兴。", True),
        ("村里的人听了都很高兴，河水会漫过田地。", "村里的人听了都很高兴，河水不会漫过田地。", False),
        ("第三季度的收入比去年同一时期高出一成。", "第四季度的收入比去年同一时期高出一成。", False),
        ("2019年的收入比前一年同一时期高出很多。", "2020年的收入比前一年同一时期高出很多。", False),
        ("该型号的 A 版比上一代同样的产品快了很多", "该型号的 B 版比上一代同样的产品快了很多", False),
        (
            "We are open every day of the week except Sunday.",
            "we are open every day of the week, except Sunday",
            True,
        ),
        (
            "We are open every day of the week and Sunday.",
            "We are not open every day of the week and Sunday.",
            False,
        ),
        ("太短了。", "太短了。", False),
    ],
)
def test_two_sentences(first: str, second: str, repeats: bool) -> None:
    ((before, after),), _ = similarities([[first, second]])
    assert before == 0
    assert (after > 0) == repeats


def test_documents_do_not_meet() -> None:
    sentence = "他说河水越来越清，村里的人听了都很高兴。"
    found, _ = similarities([[sentence], [sentence, sentence], [], [sentence]])
    assert found == [[0.0], [0.0, 1.0], [], [0.0]]
    assert similarities([])[1] == 0


@pytest.mark.parametrize("kind", ["equal", "chain", "shared half", "distinct", "one long"])
def test_work_grows_with_the_tokens_and_not_with_their_square(kind: str) -> None:
    """Cells of edit tables, counted: for each token those of `BANDS` sentences at most, however many there are."""

    def sentences(many: int) -> list[str]:
        rng = random.Random(3)
        half = rng.choices(HAN, k=40)
        last = rng.choices(HAN, k=80)
        made = []
        for _ in range(many):
            if kind == "chain":  # each a little further from the first
                last[rng.randrange(80)] = rng.choice(HAN)
                last[rng.randrange(80)] = rng.choice(HAN)
            elif kind == "shared half":
                last = half + rng.choices(HAN, k=8)
            elif kind == "distinct":
                last = rng.choices(HAN, k=80)
            elif kind == "one long":
                last = rng.choices(HAN, k=LONGEST)
                last[:300] = (half * 8)[:300]
            made.append("".join(last))
        return made

    texts = sentences(1_000)
    _, work = similarities([texts])
    tokens = sum(map(len, texts))
    longest = max(map(len, texts))
    assert work <= BANDS * (2 * (1 - LEAST) * longest + 1) * tokens
