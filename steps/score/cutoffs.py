"""Exact percentile cut-offs of any number of documents, in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

Batches = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
DIGIT_BITS = 16
DIGITS = 1 << DIGIT_BITS
_SIGN = np.uint64(1 << 63)


class Cutoffs(NamedTuple):
    """Values at or below which a document is high, medium; a perplexity below `lowest` is unnatural (or None)."""

    high: float | None
    medium: float | None
    lowest: float | None


def weighted_quantiles(batches: Batches, shares: Sequence[float]) -> list[float | None]:
    """For each share the smallest value c such that values at or below c hold at least that share of the weight.

    batches() gives (values float64[n] without NaN, weights int64[n] >= 0), the same on every call; it is called
    four times. None for share 0 or no weight. Exact, and memory is one batch and 512 KiB per share: a radix
    selection, which counts the leading 16 bits of the values' order and looks at the next 16 within the bin found.
    """
    keys = dict.fromkeys(range(len(shares)), 0)
    wanted: list[int] = []
    for level in range(3, -1, -1):
        counts = {key: np.zeros(DIGITS, np.int64) for key in keys.values()}
        for values, weights in batches():
            _count(_order(values), weights, level, counts)
        if level == 3:
            total = int(counts[0].sum())
            wanted = [min(_ceil(Fraction(str(share)) * total), total) for share in shares]
        for i, key in keys.items():
            if wanted[i] > 0:
                reached = np.cumsum(counts[key])
                digit = int(np.searchsorted(reached, wanted[i]))
                wanted[i] -= int(reached[digit] - counts[key][digit])
                keys[i] = key << DIGIT_BITS | digit
    return [_value(key) if wanted[i] > 0 else None for i, key in keys.items()]


def _ceil(value: Fraction) -> int:
    return -(-value.numerator // value.denominator)


def _count(order: np.ndarray, weights: np.ndarray, level: int, counts: dict[int, np.ndarray]) -> None:
    """Adds the weights of keys that begin with each of `counts`, by their digit at `level`."""
    for key, found in counts.items():
        digits, mine = order >> np.uint64(DIGIT_BITS * level), weights
        if level < 3:
            inside = digits >> np.uint64(DIGIT_BITS) == np.uint64(key)
            digits, mine = digits[inside], weights[inside]
        place = (digits & np.uint64(DIGITS - 1)).astype(np.int64)
        np.add.at(found, place, mine.astype(np.int64))


def _order(values: np.ndarray) -> np.ndarray:
    """uint64[n] in the order of the floats: the sign bit of positive ones set, all bits of negative ones flipped."""
    bits = (values.astype(np.float64) + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _value(key: int) -> float:
    bits = np.array([key], np.uint64)
    return float(np.where(bits & _SIGN, bits ^ _SIGN, ~bits).view(np.float64)[0])


def lowest_cutoff(
    perplexity: Batches, *, lowest: float | None, share: float, ratio: float, min_documents: int
) -> float | None:
    """The perplexity below which text is unnatural; `lowest` given wins over the share.

    perplexity: batches of (float64[n], ones). None where the share is off or there are too few documents.
    """
    if lowest is not None or share <= 0 or sum(len(values) for values, _ in perplexity()) < min_documents:
        return lowest
    edge, middle = weighted_quantiles(perplexity, (share, 0.5))
    return None if edge is None or middle is None else min(edge, ratio * middle)


def qualities(rank: np.ndarray, perplexity: np.ndarray, cutoffs: Cutoffs) -> np.ndarray:
    """object[n] of high, medium, low or unnatural from ranks (lower is better); NaN (nothing to score) is low."""
    high, medium, lowest = (-np.inf if c is None else c for c in cutoffs)
    out = np.full(len(rank), "low", dtype=object)
    out[rank <= medium] = "medium"
    out[rank <= high] = "high"
    out[perplexity < lowest] = "unnatural"
    return out
