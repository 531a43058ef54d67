"""Records on local disk, by the range of rows that they are about, for work on more rows than fit in memory."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 1 << 18  # records that are read at once: some megabytes


class Ranges:
    """``rows`` rows, cut into ranges of ``size``; the last one may be shorter."""

    def __init__(self, rows: int, size: int) -> None:
        self.rows, self.size = rows, size

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def bounds(self, number: int) -> tuple[int, int]:
        """The first row of a range, and how many it has."""
        begin = number * self.size
        return begin, min(self.size, self.rows - begin)


class Spill:
    """Records of one kind, a file for each range: written as they come, read in that order."""

    def __init__(self, folder: Path, name: str, kind: np.dtype[Any], ranges: Ranges) -> None:
        self._prefix, self._kind, self.ranges = folder / name, kind, ranges

    def add(self, by: np.ndarray, *columns: np.ndarray) -> None:
        """Keep records, given by their fields, with the ranges of the rows ``by`` (int64[n])."""
        owner = by // self.ranges.size
        narrow = np.min_scalar_type(len(self.ranges))  # 16 bits are sorted by their digits
        order = np.argsort(owner.astype(narrow), kind="stable")
        records = _records(self._kind, columns, order)
        bounds = np.searchsorted(owner[order], np.arange(len(self.ranges) + 1))
        for number in np.flatnonzero(np.diff(bounds)).tolist():
            with self._path(number).open("ab") as file:
                file.write(records[bounds[number] : bounds[number + 1]].view(np.uint8).data)

    def read(self, number: int) -> Iterator[np.ndarray]:
        """The records of a range, some at a time."""
        return _read(self._path(number), self._kind, CHUNK)

    def all(self, number: int) -> np.ndarray:
        """The records of a range, where they are not more than its rows."""
        return np.concatenate([np.empty(0, self._kind), *self.read(number)])

    def remove(self, number: int) -> None:
        """Forget the records of a range."""
        self._path(number).unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._prefix.with_name(f"{self._prefix.name}-{number}")


class SortedRuns:
    """Records sorted by all their fields, as many at a time as are added together, and merged when they are read."""

    def __init__(self, folder: Path, name: str, kind: np.dtype[Any]) -> None:
        self._prefix, self._kind = folder / name, kind
        self._paths: list[Path] = []

    def add(self, *columns: np.ndarray) -> None:
        """Keep records, given by their fields."""
        records = _records(self._kind, columns, np.lexsort(columns[::-1]))
        self._paths.append(self._prefix.with_name(f"{self._prefix.name}-{len(self._paths)}"))
        self._paths[-1].write_bytes(records.view(np.uint8).data)

    def read(self, most: int) -> Iterator[np.ndarray]:
        """All records in order, some at a time, once; about ``most`` of them are in memory."""
        share = max(1, min(CHUNK, most // max(1, len(self._paths))))
        runs = [_read(path, self._kind, share) for path in self._paths]
        blocks = [next(run) for run in runs]
        while blocks:
            # what is not above the least of the last records is there from every run
            least = min(block[-1].item() for block in blocks)
            ends = [_bisect(block, least) for block in blocks]
            merged = np.concatenate([block[:end] for block, end in zip(blocks, ends, strict=True)])
            yield merged[np.lexsort([merged[name] for name in reversed(merged.dtype.names or ())])]
            rest = [block[end:] for block, end in zip(blocks, ends, strict=True)]
            filled = [
                (block if len(block) else next(run, block)) for block, run in zip(rest, runs, strict=True)
            ]
            runs = [run for run, block in zip(runs, filled, strict=True) if len(block)]
            blocks = [block for block in filled if len(block)]
        for path in self._paths:
            path.unlink()


def _records(kind: np.dtype[Any], columns: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    records = np.empty(len(order), kind)
    for name, column in zip(kind.names or (), columns, strict=True):
        records[name] = column[order]
    return records


def _bisect(block: np.ndarray, record: tuple[int, ...]) -> int:
    return bisect.bisect_right(range(len(block)), record, key=lambda i: block[i].item())


def _read(path: Path, kind: np.dtype[Any], count: int) -> Iterator[np.ndarray]:
    """Records of a file, ``count`` at a time; none if there is no file. It is not kept open: there may be thousands."""
    size = path.stat().st_size if path.exists() else 0
    for offset in range(0, size, count * kind.itemsize):
        yield np.fromfile(path, kind, count, offset=offset)
