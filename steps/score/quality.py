"""quality_score: how likely a text is one that a reader would keep, from perplexity and shares of the text.

An additive logistic model: each feature goes through a curve of a few straight pieces, the curves' values are added,
and the logistic function of the sum is the score. The curves are data (configs/quality/default.yaml): a person can
read off what a feature adds. Why not perplexity alone: a menu of common words, a repeated line and a list of titles
have a good one. `python -m benchmarks.quality.quality_score` measures both on sources that the curves were not
made from; docs/scoring.md has the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from steps.score import features
from steps.text.kenlm_score import Scores

DECIMALS = 6  # no C library's last bit of exp() enters a digest
FEATURES = (
    "surprise",  # log10 perplexity, from the median of reference texts, in widths of theirs
    "line_spread",  # standard deviation of the lines' log10 perplexity, weighted by bytes, in the same widths
    "bad_lines",  # bytes in lines of a perplexity that 90 % of the lines of reference texts do not reach
    *features.FEATURES,
)


def measure(
    texts: pa.Array | pa.ChunkedArray, language: str, scores: Scores, reference: Mapping[str, Any]
) -> np.ndarray:
    """float64[texts, FEATURES]; NaN where a text or the model's normalisation does not have it.

    `reference` is what the language model found in texts that it was not trained on
    (steps/language_model/reference.py).
    """
    surprise = (np.log10(scores.perplexity) - reference["surprise"]) / reference["width"]
    spread, bad = line_features(len(texts), scores, reference["line"])
    return np.column_stack([surprise, spread / reference["width"], bad, features.measure(texts, language)])


def line_features(documents: int, scores: Scores, limit: float | None) -> tuple[np.ndarray, np.ndarray]:
    """(spread, share of bytes above `limit`), float64[documents] each, of the lines' log10 perplexity."""
    if limit is None:
        return np.full(documents, np.nan), np.full(documents, np.nan)
    weight = scores.bytes.astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(scores.parent, weight, documents)
        some = np.full(documents, np.nan)
        return np.divide(
            np.bincount(scores.parent, weight * values, documents), total, out=some, where=total > 0
        )

    from_mean = scores.surprise - mean(scores.surprise)[scores.parent]
    return np.sqrt(mean(from_mean**2)), mean((scores.surprise > limit).astype(np.float64))


def quality_scores(values: np.ndarray, weights: Mapping[str, Any]) -> np.ndarray:
    """float64[n] between 0 and 1, rounded; NaN for a text without a perplexity.

    values float64[n, FEATURES]; weights {intercept, curves: {feature: {at, add}}}: `add` at the values `at`, straight
    lines between them and level beyond. A feature that is not there (NaN) adds nothing.
    """
    total = np.full(len(values), float(weights["intercept"]))
    for name, curve in sorted(weights["curves"].items()):
        column = values[:, FEATURES.index(name)]
        added = np.interp(column, curve["at"], curve["add"])
        total += np.where(np.isnan(column), 0.0, added)
    scored = [round(1.0 / (1.0 + math.exp(-x)), DECIMALS) for x in total.tolist()]
    return np.where(np.isnan(values[:, 0]), np.nan, np.array(scored, np.float64))
