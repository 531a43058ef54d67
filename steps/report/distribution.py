"""Counts of values in fixed buckets: a histogram that parts can make apart and add up, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

BUCKETS_PER_OCTAVE = 128  # a value is known to 1/128 of itself or better; 0 and small integers exactly
_SHIFT = 1100  # frexp exponents of float64 begin at -1073, so that every key of a positive value is positive


class Distribution:
    """How many finite values fell into each bucket; the buckets are the same for everyone, so that sums are exact.

    Buckets divide every octave evenly (HdrHistogram's layout), so that one range fits shares and perplexities alike.
    At most some thousand buckets of a real signal are ever in use, however many values are added.
    """

    def __init__(self, buckets: Mapping[int, int] | None = None, missing: int = 0) -> None:
        self._buckets = dict(buckets or {})
        self.missing = missing  # NaN, infinite or null

    @classmethod
    def of(cls, values: Any) -> Distribution:
        """The distribution of one array of numbers (booleans and integers too; None and NaN count as missing)."""
        made = cls()
        made.add(values)
        return made

    def add(self, values: Any) -> None:
        """Count an array of numbers, float64[n] or what NumPy can make of it."""
        numbers = np.asarray(values, dtype=np.float64)
        if not len(numbers):
            return
        finite = numbers[np.isfinite(numbers)]
        self.missing += int(len(numbers) - len(finite))
        for key, count in zip(*np.unique(_keys(finite), return_counts=True), strict=True):
            self._buckets[int(key)] = self._buckets.get(int(key), 0) + int(count)

    def merge(self, other: Distribution) -> None:
        """Add what another one counted."""
        self.missing += other.missing
        for key, count in other._buckets.items():
            self._buckets[key] = self._buckets.get(key, 0) + count

    @classmethod
    def sum(cls, several: Iterable[Distribution]) -> Distribution:
        """All of them together."""
        total = cls()
        for one in several:
            total.merge(one)
        return total

    @property
    def count(self) -> int:
        """How many values were finite."""
        return sum(self._buckets.values())

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """(float64[b] lower edges of the buckets in use, ascending; int64[b] their counts)."""
        keys = np.array(sorted(self._buckets), dtype=np.int64)
        return _edges(keys), np.array([self._buckets[key] for key in keys.tolist()], dtype=np.int64)

    def quantile(self, share: float) -> float | None:
        """The value that `share` of the values do not exceed, to the width of a bucket; None without values."""
        edges, counts = self.values()
        if not len(edges):
            return None
        reached = np.cumsum(counts)
        return float(edges[np.searchsorted(reached, min(share, 1.0) * reached[-1], side="left")])

    def histogram(self, edges: np.ndarray) -> np.ndarray:
        """int64[len(edges) - 1]: values per bin; those outside of the first and last edge lie in the end bins."""
        values, counts = self.values()
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        return np.bincount(place, weights=counts, minlength=len(edges) - 1).astype(np.int64)

    def to_json(self) -> dict[str, Any]:
        """As a part's result carries it; `from_json` reads it back."""
        return {
            "buckets": [[key, self._buckets[key]] for key in sorted(self._buckets)],
            "missing": self.missing,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Distribution:
        """What `to_json` gave."""
        return cls({int(key): int(count) for key, count in value["buckets"]}, int(value["missing"]))


def _keys(values: np.ndarray) -> np.ndarray:
    """int64[n]: bucket of each finite value; 0 for 0, negative for negative values."""
    mantissa, exponent = np.frexp(np.abs(values))
    within = ((mantissa - 0.5) * (2 * BUCKETS_PER_OCTAVE)).astype(np.int64)
    keys = (exponent.astype(np.int64) + _SHIFT) * BUCKETS_PER_OCTAVE + within + 1
    return np.where(values == 0, 0, np.where(values < 0, -keys, keys))


def _edges(keys: np.ndarray) -> np.ndarray:
    """float64[n]: the value nearest to 0 in each bucket."""
    whole = np.abs(keys) - 1
    mantissa = 0.5 + (whole % BUCKETS_PER_OCTAVE) / (2 * BUCKETS_PER_OCTAVE)
    size = np.ldexp(mantissa, (whole // BUCKETS_PER_OCTAVE - _SHIFT).astype(np.int32))
    return np.where(keys == 0, 0.0, np.sign(keys) * size)
