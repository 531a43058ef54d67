"""The measures of Ziya2's Table 1 say what they say they say."""

from __future__ import annotations

import pytest

from steps.evaluate import metrics
from steps.evaluate.detectors import read_batch

ALL_TEN = {
    *("privacy_rate", "toxic_rate", "advertising_rate", "web_residue_rate"),  # level 1
    *("perplexity", "compression", "entropy", "distinct", "sentence_length", "hard"),  # level 2
    *("languages", "characters", "topics"),  # level 3
}


def test_a_summary_has_all_metrics_of_the_paper() -> None:
    texts = ["我们爱北京天安门。", "The cat sat on the mat."]
    rows = metrics.describe(texts, ["zh", "en"]).append_column("perplexity", [[10.0, 20.0]])
    found = metrics.summary(rows, [["privacy"], []], ["zh", "en"])
    assert set(found) >= ALL_TEN
    assert (found["privacy_rate"], found["toxic_rate"], found["any_defect_rate"]) == (0.5, 0.0, 0.5)
    assert found["languages"] == {"en": 0.5, "zh": 0.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"", 1.0), (b"twelve bytes", 1.0), (b"abcdefghijkl" * 100, 12 / 1189), (bytes(range(256)), 1.0)],
)
def test_distinct_share_counts_windows(text: bytes, expected: float) -> None:
    assert metrics.distinct_share(text) == pytest.approx(expected)


def test_distinct_share_is_that_of_a_set() -> None:
    raw = ("一段话说两遍，一段话说两遍。" * 3 + "the end of the end of the end").encode()
    windows = [raw[i : i + metrics.DISTINCT_WINDOW] for i in range(len(raw) - metrics.DISTINCT_WINDOW + 1)]
    assert metrics.distinct_share(raw) == len(set(windows)) / len(windows)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("我们爱北京天安门。饕餮。", "zh", 0.2),  # two of ten characters, and no punctuation
        ("The extraordinary cat sat.", "en", 0.25),
        ("Perfect letters, six letter", "en", 0.5),
        ("12345 !!", "en", 0.0),
        ("饕餮", "en", 0.0),
    ],
)
def test_hard_is_the_share_of_long_words_or_uncommon_characters(
    text: str, language: str, expected: float
) -> None:
    assert metrics.describe([text], [language])["hard"].to_pylist() == [expected]


def test_measures_do_not_depend_on_the_batch() -> None:
    texts, languages = ["很短。", "A longer text, with numbers 123.", "比赛 球队 冠军"], ["zh", "en", "zh"]
    alone = [metrics.describe([t], [name]).to_pylist()[0] for t, name in zip(texts, languages, strict=True)]
    assert metrics.describe(texts, languages).to_pylist() == alone
    assert metrics.describe([], []).num_rows == 0
    assert alone[2]["topic"] == "sports"


def test_no_measure_of_a_hostile_text_fails() -> None:
    texts = ["\x00" * 5000, "\u202e" + "<" * 5000, "a" * 1_000_000, "\n" * 5000, "\ud7ff\U0010ffff"]
    described = metrics.describe(texts, ["zh", "en", "en", "zh", "und"])
    assert described.num_rows == len(read_batch(texts, ["zh", "en", "en", "zh", "und"])) == 5
