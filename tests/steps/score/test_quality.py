"""Features against counting by hand, the curves against their definition, and what the committed curves say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.errors import ConfigError
from steps.core.step import run_step
from steps.score.config import Config
from steps.score.features import FEATURES, GRAM, measure
from steps.score.quality import FEATURES as ALL
from steps.score.quality import line_features, quality_scores
from steps.text.kenlm_score import Scores


def feature(text: str, name: str, language: str = "en") -> float:
    return float(measure([text], language)[0, FEATURES.index(name)])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("function_word_share", "The cat sat ON it.", 3 / 5),
        ("function_word_share", "the", 1.0),
        ("sentence_end_share", "One two three four.\nHome\n", 19 / 23),
        ("sentence_end_share", 'He said: "one two three four."', 1.0),
        ("sentence_end_share", "End.", 0.0),  # too short to be a sentence
        ("short_line_share", "one two three four five six seven eight\nHome\n\n  \n", 0.5),
        ("bullet_line_share", "• one\n- two\nthree", 2 / 3),
        ("line_length", "a b c d\ne f g h", math.log10(4)),
        ("sentence_length", "One two. Three 3.14 four!", math.log10(5 / 2)),
        ("sentence_length", "one two three", math.log10(3)),
        ("mark_share", "ab, c$", 2 / 5),
        ("digit_share", "a 123", 3 / 4),
        ("upper_share", "ABc d", 2 / 4),
        ("capital_word_share", "One two Three", 2 / 3),
        ("long_word_share", f"{'x' * 21} y", 1 / 2),
        ("repeated_line_share", "same line\nsame line\nother", 9 / 23),
        ("repeated_gram_share", "a b c d a b c d", 1 / 5),
    ],
)
def test_a_feature_is_what_its_name_says(name: str, text: str, expected: float) -> None:
    assert feature(text, name) == pytest.approx(expected)


def test_chinese_is_measured_in_characters() -> None:
    text = "我们的山很高。河水流得很快！"
    assert feature(text, "function_word_share", "zh") == pytest.approx(5 / 12)
    assert feature(text, "sentence_length", "zh") == pytest.approx(math.log10(12 / 2))
    assert feature(text, "sentence_end_share", "zh") == 1.0
    assert feature(text, "function_word_share", "de") == 0.0


@given(st.lists(st.text(st.sampled_from("aB9 .,\n中。—•\u2028\U0001f600"), max_size=80), max_size=4))
def test_documents_do_not_leak_into_each_other_and_shares_are_shares(texts: list[str]) -> None:
    whole = measure(texts, "zh")
    assert whole.shape == (len(texts), len(FEATURES))
    for text, row in zip(texts, whole, strict=True):
        assert row.tolist() == measure([text], "zh")[0].tolist()
    shares = [i for i, name in enumerate(FEATURES) if name.endswith("_share")]
    assert ((whole[:, shares] >= 0) & (whole[:, shares] <= 1)).all() and np.isfinite(whole).all()


@given(st.lists(st.sampled_from("abcd"), min_size=GRAM, max_size=40))
def test_repeated_runs_are_those_of_a_slow_count(words: list[str]) -> None:
    runs = [tuple(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1)]
    expected = sum(run in runs[:i] for i, run in enumerate(runs)) / len(runs)
    assert feature(" ".join(words), "repeated_gram_share") == pytest.approx(expected)


def test_lines_weigh_by_their_bytes() -> None:
    scores = Scores(np.ones(3), np.array([0, 0, 2]), np.array([1.0, 3.0, 2.0]), np.array([30, 10, 5]))
    spread, bad = line_features(3, scores, 2.5)
    assert spread[0] == pytest.approx(math.sqrt(0.75 * 0.25) * 2) and spread[2] == 0
    assert bad[0] == 0.25 and bad[2] == 0 and math.isnan(bad[1]) and math.isnan(spread[1])


def test_curves_add_up_and_a_missing_feature_adds_nothing() -> None:
    weights = {
        "intercept": 1.0,
        "curves": {
            "surprise": {"at": [0.0, 2.0], "add": [1.0, -1.0]},
            "line_spread": {"at": [0.0, 1.0], "add": [0.5, 0.5]},
        },
    }
    values = np.full((4, len(ALL)), np.nan)
    values[:3, 0] = [-5.0, 1.0, 9.0]
    values[1, 1] = 0.3
    found = quality_scores(values, weights)
    expected = [1 / (1 + math.exp(-x)) for x in (1 + 1, 1 + 0 + 0.5, 1 - 1)]
    assert found[:3].tolist() == pytest.approx(expected, abs=1e-6) and math.isnan(found[3])


def test_the_committed_curves_know_every_feature_and_the_worse_is_never_better() -> None:
    for language, weights in Config().quality_weights.items():
        assert set(weights.curves) == set(ALL), language
        for name in ("bad_lines", "bullet_line_share", "repeated_line_share", "repeated_gram_share"):
            assert all(np.diff(weights.curves[name].add) <= 0), (language, name)
        assert all(np.diff(weights.curves["function_word_share"].add) >= 0)


def test_a_quality_file_that_cannot_be_read_names_itself() -> None:
    with pytest.raises(
        ConfigError, match=r"there is no file 'mine', and none of that name in configs/quality"
    ):
        run_step("score", config={"quality_file": "mine"}, inputs={}, root="file:///nowhere")
    with pytest.raises(ConfigError, match="at must rise"):
        run_step(
            "score",
            config={
                "quality_weights": {
                    "en": {"intercept": 0, "curves": {"surprise": {"at": [1, 0], "add": [0, 0]}}}
                }
            },
            inputs={},
            root="file:///nowhere",
        )
