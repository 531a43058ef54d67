"""Decontamination: what counts as holding a benchmark item, against brute force and on planted items."""

from __future__ import annotations

import gzip
import json
import random
import re
import unicodedata
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text.overlap import build_index, find_items

ITEMS = [
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?",
    "下列关于光合作用的说法中，哪一项是正确的？A. 只在白天进行 B. 产生二氧化碳 C. 需要叶绿素 D. 消耗氧气",
    "Short one.",
]
PAGE = "The market opens at seven and the first boats come in with the tide. "


def holds(texts: list[str], items: list[str] = ITEMS, n: int = 8, share: float = 0.5) -> list[int]:
    index = build_index(pa.array(items, pa.string()), n, 100)
    return find_items(pa.chunked_array([pa.array(texts, pa.string())]), index, n, share).item.tolist()


def widen(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@pytest.mark.parametrize("number", [0, 1])
def test_an_item_is_found_however_it_is_written(number: int) -> None:
    item = ITEMS[number]
    ways = {
        "verbatim": item,
        "upper case": item.upper(),
        "full width": widen(item),
        "no punctuation": re.sub(r"[^\w\s]", "", item),
        "other punctuation": item.replace(",", " —").replace("，", " / ").replace("?", "!").replace(".", "…"),
        "Markdown": "**" + item.replace(" ", "  \n", 3) + "**",
        "decomposed": unicodedata.normalize("NFD", item),
        "first two thirds": item[: len(item) * 2 // 3],
    }
    found = {name: holds([PAGE * 20 + way + PAGE * 20])[0] for name, way in ways.items()}
    assert found == dict.fromkeys(ways, number)


def test_one_edited_word_does_not_hide_an_item_and_a_third_of_it_is_none() -> None:
    assert holds([ITEMS[0].replace("Natalia", "Maria").replace("clips to", "pins to")]) == [0]
    assert holds([ITEMS[0][: len(ITEMS[0]) // 3], PAGE * 50, ""]) == [-1, -1, -1]


def test_an_item_shorter_than_a_match_is_in_no_document() -> None:
    index = build_index(pa.array(ITEMS), 8, 100)
    assert (index.reachable > 0).tolist() == [True, True, False]
    assert holds(["Short one. " * 5]) == [-1]


def test_wording_that_many_items_share_matches_nothing() -> None:
    wording = "The following is a multiple choice question about the topic that is named"
    items = [
        f"{wording} {number}: {' '.join(random.Random(number).sample(PAGE.split(), 12))}"
        for number in range(9)
    ]
    assert holds([wording + " elsewhere"], items) == [0]  # half of every item
    index = build_index(pa.array(items), 8, 3)
    found = find_items(pa.chunked_array([[wording + " elsewhere", items[4]]]), index, 8, 0.5)
    assert found.item.tolist() == [-1, 4] and found.share.tolist() == [0.0, 1.0]


def brute_force(text: str, items: list[str], n: int, share: float) -> tuple[int, float]:
    """The same by sets of tuples of words, one document and item at a time."""
    words = text.lower().split()
    grams = {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    best, most = -1, 0.0
    for number, item in enumerate(items):
        own = item.lower().split()
        covered = set()
        for i in range(len(own) - n + 1):
            if tuple(own[i : i + n]) in grams:
                covered |= set(range(i, i + n))
        if len(own) >= n and len(covered) / len(own) >= share and len(covered) / len(own) > most:
            best, most = number, len(covered) / len(own)
    return best, most


LETTERS = st.lists(st.sampled_from(["a", "b", "c", "D", "e", "F"]), max_size=30).map(" ".join)


@given(st.lists(LETTERS, min_size=1, max_size=6), st.lists(LETTERS, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_items_and_shares_equal_brute_force(texts: list[str], items: list[str]) -> None:
    index = build_index(pa.array(items), 4, 100)
    found = find_items(pa.chunked_array([texts]), index, 4, 0.5)
    wanted = [brute_force(text, items, 4, 0.5) for text in texts]
    assert found.item.tolist() == [number for number, _ in wanted]
    assert np.allclose(found.share, [share for _, share in wanted])
    held = [[brute_force(text, [item], 4, 0.5)[0] == 0 for text in texts] for item in items]
    assert found.documents.tolist() == [sum(row) for row in held]


@pytest.mark.data
def test_planted_gsm8k_questions_are_found_on_wiki_pages_and_nothing_else_is(shared_data: Path) -> None:
    def read(name: str, count: int) -> list[dict[str, str]]:
        with gzip.open(shared_data / name, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in islice(file, count)]

    items = [record["question"] for record in read("sft_gsm8k/train.jsonl.gz", 600)]
    pages = [record["text"] for name in ("en", "zh") for record in read(f"wiki_{name}/train.jsonl.gz", 300)]
    index = build_index(pa.array(items), 8, 100)
    assert (find_items(pa.chunked_array([pages]), index, 8, 0.5).item == -1).all()
    planted = [f"{page}\n{item}\n{page}" for page, item in zip(pages, items, strict=True)]
    assert (find_items(pa.chunked_array([planted]), index, 8, 0.5).item == np.arange(600)).all()
