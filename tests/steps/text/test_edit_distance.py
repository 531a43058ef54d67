"""Edits of a text against the part of another that it fits best, beside the whole table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.text.edit_distance import edit_units, fits, fitted_edits
from steps.text.hashing import words
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

TOKENS = st.lists(st.integers(0, 3), max_size=24)


def sellers(short: list[int], long: list[int]) -> int:
    """The whole table: fewest edits that make ``short`` a part of ``long``."""
    row = [0] * (len(long) + 1)
    for number, token in enumerate(short, 1):
        left, row = row, [number]
        for at, other in enumerate(long):
            row.append(min(left[at + 1] + 1, row[at] + 1, left[at] + (token != other)))
    return min(row)


@settings(deadline=None)  # the first call compiles
@given(TOKENS, TOKENS, st.integers(0, 26))
def test_edits_equal_those_of_the_whole_table(a: list[int], b: list[int], most: int) -> None:
    short, long = sorted((a, b), key=len)
    found = fitted_edits(np.array(short, np.uint64), np.array(long, np.uint64), most)
    assert found == min(sellers(short, long), most + 1)


@pytest.mark.parametrize(
    ("short", "long", "similarity", "expected"),
    [
        ("abcdefghij", "abcdefghij", 1.0, True),
        ("abcdefghij", "abcdeXghij", 0.9, True),
        ("abcdefghij", "abcdeXghij", 0.91, False),
        ("abcdefghij", "..abcdefghij.", 1.0, True),
        ("abcdefghij", "..abcdefghij..", 1.0, False),  # less than 3/4 of the other's length
        ("abcdefghij", "aXbcdXefghij", 0.8, True),
        ("abcdefghij", "aXbcdXefghij", 0.85, False),
        ("", "", 0.9, True),
    ],
)
def test_head_and_tail_are_free_up_to_a_quarter(
    short: str, long: str, similarity: float, expected: bool
) -> None:
    a, b = (np.array([ord(c) for c in text], np.uint64) for text in (short, long))
    assert fits(a, b, similarity, 0.75, 100) == expected
    assert fits(b, a, similarity, 0.75, 100) == expected
    assert not fits(a, b, similarity, 0.75, len(b) - 1)


def test_units_are_characters_where_most_of_a_text_is_chinese_and_words_elsewhere() -> None:
    texts = ["用 GPU 训练大模型é", "Train on a GPU 模型", "", "ＡＢ", "中"]
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    offsets, units = edit_units(tokens)
    assert np.diff(offsets).tolist() == [10, 6, 0, 1, 1]
    first, last = tokens.offsets[1:3]
    assert units[10:16].tolist() == tokens.hash[first:last].tolist()
    same = pa.array(["用gpu训练大模型é"], pa.large_string())
    assert units[:10].tolist() == edit_units(words(*text_buffers(same), classes()))[1].tolist()
    assert len(set(units[:10].tolist())) == 10
