"""Exact percentile cut-offs from perplexities. Arrays in, numbers out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Cutoffs(NamedTuple):
    """Perplexities at or below which a document is high, medium; below `lowest` it is unnatural (or None)."""

    high: float | None
    medium: float | None
    lowest: float | None


def cutoff(perplexity: np.ndarray, weight: np.ndarray, share: float) -> float | None:
    """The smallest perplexity c such that documents at or below c hold at least `share` of the weight.

    perplexity float64[n] (no NaN), weight int64[n]. None for share 0 or nothing to measure. Exact: a sort,
    and integer sums; ties lie on the same side.
    """
    total = int(weight.sum())
    if share <= 0 or total == 0:
        return None
    order = np.argsort(perplexity, kind="stable")
    reached = np.cumsum(weight[order].astype(np.int64))
    # share * total may lie just above an integer for a share such as 0.3 that binary cannot hold
    wanted = min(int(np.ceil(round(share * total, 6))), total)
    return float(perplexity[order][np.searchsorted(reached, wanted)])


def language_cutoffs(
    perplexity: np.ndarray,
    size: np.ndarray,
    *,
    high_share: float,
    medium_share: float,
    by_bytes: bool,
    lowest: float | None,
    lowest_share: float,
    lowest_ratio: float,
    lowest_min_documents: int,
) -> Cutoffs:
    """Cut-offs of one language from all its documents.

    perplexity float64[n] (NaN: left out), size int64[n] in bytes.

    `lowest` given wins over the share; unnatural documents do not count in the shares of the others.
    """
    scored = ~np.isnan(perplexity)
    perplexity, size = perplexity[scored], size[scored]
    if lowest is None and lowest_share > 0 and len(perplexity) >= lowest_min_documents:
        edge = cutoff(perplexity, np.ones(len(perplexity), np.int64), lowest_share)
        middle = cutoff(perplexity, np.ones(len(perplexity), np.int64), 0.5)
        if edge is not None and middle is not None:
            lowest = min(edge, lowest_ratio * middle)
    if lowest is not None:
        natural = perplexity >= lowest
        perplexity, size = perplexity[natural], size[natural]
    weight = size if by_bytes else np.ones(len(perplexity), np.int64)
    return Cutoffs(
        cutoff(perplexity, weight, high_share), cutoff(perplexity, weight, high_share + medium_share), lowest
    )


def qualities(perplexity: np.ndarray, cutoffs: Cutoffs) -> np.ndarray:
    """object[n] of high, medium, low or unnatural; NaN (no text to score) is low."""
    high, medium, lowest = (-np.inf if c is None else c for c in cutoffs)
    out = np.full(len(perplexity), "low", dtype=object)
    out[perplexity <= medium] = "medium"
    out[perplexity <= high] = "high"
    out[perplexity < lowest] = "unnatural"
    return out
