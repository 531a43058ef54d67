"""MinHash band keys and sketches equal plain Python's, and behave as the theory says."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.text.hashing import gram_sets, words
from steps.text.minhash import (
    BANDS,
    MINIMA,
    ROWS,
    SKETCHED,
    _orders,
    alike,
    least_agreement,
    min_hash,
)
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

CHARACTERS = [chr(point) for point in range(0x4E00, 0x5E00)]


def keys(texts: list[str], n: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    return min_hash(tokens.offsets, tokens.hash, np.full(len(texts), n))


def finalise(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
    return value ^ (value >> 31)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_keys_equal_plain_python(n: int) -> None:
    rng = random.Random(n)
    texts = ["".join(rng.choices(CHARACTERS[:40], k=k)) for k in (n, 5, 60, 400)]
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    offsets, grams = gram_sets(tokens.offsets, tokens.hash, np.full(len(texts), n))
    factors, shifts = (column.tolist() for column in _orders())
    bands, sketches, distinct = keys(texts, n)
    for i in range(len(texts)):
        mine = [int(g) >> 32 for g in grams[offsets[i] : offsets[i + 1]]]
        minima = [min((g * a + b) % 2**32 for g in mine) for a, b in zip(factors, shifts, strict=True)]
        assert distinct[i] == len(mine)
        for band in range(BANDS):
            key = band
            for value in minima[band * ROWS : band * ROWS + ROWS]:
                key = finalise(key ^ value)
            assert bands[i, band] == key % 2**32
        bits = sum((finalise(value) & 3) << (2 * j) for j, value in enumerate(minima[:SKETCHED]))
        assert sketches[i].tolist() == [bits % 2**64, bits >> 64]
    assert MINIMA == BANDS * ROWS


def pairs_of_similarity(similarity: float, count: int, size: int = 300) -> list[str]:
    """2 x count texts; text i and text i + count have so large a share of characters in common."""
    rng = random.Random(11)
    both = round(2 * size * similarity / (1 + similarity))
    first, second = [], []
    for _ in range(count):
        pool = rng.sample(CHARACTERS, 2 * size - both)
        first.append("".join(pool[:size]))
        second.append("".join(pool[size - both :]))
    return first + second


@pytest.mark.parametrize("similarity", [0.3, 0.6, 0.7, 0.8, 0.9])
def test_pairs_share_a_band_as_often_as_the_theory_says(similarity: float) -> None:
    count = 600
    bands, sketches, sizes = keys(pairs_of_similarity(similarity, count), 1)
    found = (bands[:count] == bands[count:]).any(axis=1).mean()
    expected = 1 - (1 - similarity**ROWS) ** BANDS
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / count) ** 0.5 + 0.01)
    if similarity >= 0.7:  # none of 600 is lost where one in 30,000 may be
        least = least_agreement(similarity - 0.005)
        pairs = zip(sketches[:count], sketches[count:], sizes, strict=False)
        assert all(alike(a[0], a[1], n, b[0], b[1], n, similarity, least) for a, b, n in pairs)


def test_sketches_reject_texts_that_have_little_in_common() -> None:
    count = 2000
    _, sketches, _ = keys(pairs_of_similarity(0.1, count), 1)
    pairs = zip(sketches[:count], sketches[count:], strict=True)
    least = least_agreement(0.7)
    assert sum(alike(a[0], a[1], 9, b[0], b[1], 9, 0.7, least) for a, b in pairs) <= 0.001 * count


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.5, 0.7, 0.8, 1.0]))
def test_sizes_reject_only_what_no_common_part_could_make_similar(a: int, b: int, similarity: float) -> None:
    zero = np.uint64(0)
    highest = min(a, b) / max(a, b, 1)
    assert alike(zero, zero, a, zero, zero, b, similarity, SKETCHED) == (highest >= similarity)
