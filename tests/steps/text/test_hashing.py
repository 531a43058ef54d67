"""Fingerprints equal the `simhash` package's; stripped texts and n-gram sets equal plain Python's."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from simhash import Simhash

from steps.text.hashing import (
    gram_sets,
    hash128,
    jaccard,
    mostly_ideographs,
    popcount,
    strip_texts,
    words,
)
from steps.text.segment import text_buffers
from steps.text.simhash import simhash64
from steps.text.unicode_tables import classes
from tests.steps.deduplicate.oracle import TOKEN, grams

TEXTS = [
    "",
    "word",
    "The Quick brown fox, the lazy dog; it's 3.14 — THE end.",
    "ÄÖÜ Ünïcödé ΑΒΓ Жизнь прекрасна",
    "今天天气很好，我们去公园散步。今天天气很好！",
    "在 Linux 系统里用 apt-get 安装 Python 3.11，然后运行。",
    "x" * 200 + " " + "long " * 400,
]


def fingerprint(texts: list[str], n: int, once: bool) -> tuple[np.ndarray, np.ndarray]:
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    return simhash64(tokens, np.full(len(texts), n), np.full(len(texts), once))


@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_fingerprints_equal_the_simhash_package(n: int, once: bool) -> None:
    rng = random.Random(n)
    vocabulary = [f"word{i}" for i in range(300)] + list("的一是不了人我在有他这为之大来以个中上们")
    texts = TEXTS + [" ".join(rng.choices(vocabulary, k=rng.randrange(1, 900))) for _ in range(40)]
    found, features = fingerprint(texts, n, once)
    for text, value, count in zip(texts, found.tolist(), features.tolist(), strict=True):
        expected = grams(TOKEN.findall(text.lower()), n)
        expected = sorted(set(expected)) if once else expected
        assert count == len(expected)
        if expected:
            assert value == Simhash(expected).value, text[:60]


def test_several_lengths_weigh_as_the_package_weighs_them() -> None:
    rng = random.Random(3)
    texts = [text for text in TEXTS if text] + [
        "".join(rng.choices("的一是不了人我在有他", k=90)) for _ in range(20)
    ]
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    n = len(texts)
    for once in (True, False):
        found, _ = simhash64(tokens, np.full(n, 3), np.full(n, once), np.full(n, 1))
        for text, value in zip(texts, found.tolist(), strict=True):
            pieces = TOKEN.findall(text.lower())
            features = [(gram, 4 - length) for length in (1, 2, 3) for gram in grams(pieces, length)]
            weighted = dict(features) if once else features
            assert value == Simhash(weighted).value, text[:60]


def test_a_feature_longer_than_one_md5_block_is_hashed_whole() -> None:
    for length in (54, 55, 56, 63, 64, 65, 119, 120, 1000):
        assert fingerprint(["a" * length], 1, False)[0][0] == Simhash(["a" * length]).value


@pytest.mark.timeout(20)
def test_a_document_of_one_word_takes_time_by_its_length_not_by_its_square() -> None:
    text = "0123456789abcdef" * 250_000
    assert fingerprint([text], 1, False)[0][0] == Simhash([text]).value


def test_more_than_255_equal_features_do_not_overflow_the_counters() -> None:
    words_here = ["a"] * 300 + ["b"] * 299 + ["c"] * 10
    expected = Simhash(
        {f"{'abc'[i]}": w for i, w in enumerate((50, 49, 2))}
    )  # the package is limited to small weights
    assert fingerprint([" ".join(words_here)], 1, False)[0][0] == _plain_simhash(words_here)
    assert expected.value == _plain_simhash(["a"] * 50 + ["b"] * 49 + ["c"] * 2)


def _plain_simhash(features: list[str]) -> int:
    import hashlib

    hashes = [int.from_bytes(hashlib.md5(f.encode()).digest()[-8:], "big") for f in features]
    return sum(1 << bit for bit in range(64) if 2 * sum(h >> bit & 1 for h in hashes) > len(hashes))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=60), max_size=4)
)
def test_stripped_text_is_letters_digits_and_marks(texts: list[str]) -> None:
    data, offsets, chars = strip_texts(*text_buffers(pa.array(texts, pa.large_string())), classes())
    for i, text in enumerate(texts):
        kept = "".join(c for c in text if unicodedata.category(c)[0] in "LNM" and not _emoji_part(c))
        assert data[offsets[i] : offsets[i + 1]].tobytes().decode() == kept
        assert chars[i] == len(kept)


def _emoji_part(char: str) -> bool:
    return 0xFE00 <= ord(char) <= 0xFE0F or ord(char) == 0x20E3 or 0xE0100 <= ord(char) <= 0xE01EF


def test_hash128_is_xxh3() -> None:
    data, offsets = text_buffers(pa.array(["", "abc", "中文"], pa.large_string()))
    found = hash128(data, offsets)
    for row, text in zip(found.tolist(), ["", "abc", "中文"], strict=True):
        assert (row[0] << 64) | row[1] == xxhash.xxh3_128_intdigest(text.encode())


def test_jaccard_equals_python_sets() -> None:
    rng = random.Random(5)
    texts = [" ".join(rng.choices("abcdefgh", k=rng.randrange(0, 40))) for _ in range(30)]
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    offsets, hashes = gram_sets(tokens.offsets, tokens.hash, np.full(len(texts), 2))
    sets = [set(grams(TOKEN.findall(text), 2)) for text in texts]
    for i in range(30):
        for j in range(30):
            both = sets[i] | sets[j]
            expected = len(sets[i] & sets[j]) / len(both) if both else 0.0
            assert jaccard(offsets, hashes, i, j) == expected
            for bound in (0.1, expected, 0.7, 1.0):
                assert jaccard(offsets, hashes, i, j, bound) == (expected if expected >= bound else 0.0)


def test_script_of_a_text_is_what_most_of_its_tokens_are() -> None:
    texts = ["完全中文", "all english words", "中文 with more english words inside", "在 Linux 系统里安装"]
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    assert mostly_ideographs(tokens.offsets, tokens.ideograph).tolist() == [True, False, False, True]


def test_popcount() -> None:
    rng = random.Random(1)
    for value in [0, 1, 2**64 - 1, *(rng.getrandbits(64) for _ in range(100))]:
        assert popcount(np.uint64(value)) == bin(value).count("1")
