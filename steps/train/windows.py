"""Token windows as training batches: which window is in which batch never depends on the layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from steps.core.errors import DataError

Batch = tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
EMPTY = -1


@dataclass(frozen=True)
class TokenFile:
    """One ``.bin`` of tokens and the Parquet table of its windows."""

    tokens: Path
    windows: Path
    dtype: str


class Windows:
    """All windows of a stage (or of one held-out set) in training order, read through a memory map."""

    def __init__(self, files: list[TokenFile], sequence_length: int) -> None:
        self.sequence_length = sequence_length
        self._maps = [
            np.memmap(file.tokens, dtype=file.dtype, mode="r") if file.tokens.stat().st_size else None
            for file in files
        ]
        tables = [pq.read_table(file.windows, use_threads=False) for file in files]
        self._file = np.repeat(np.arange(len(files)), [table.num_rows for table in tables])
        column = lambda name: np.concatenate([t[name].to_numpy() for t in tables] or [np.zeros(0, np.int64)])  # noqa: E731
        self._offset, self._next = column("offset"), column("next_token")
        self._ends = [ends for table in tables for ends in table["ends"].to_numpy(zero_copy_only=False)]
        segments = np.array([len(ends) for ends in self._ends], np.int64)
        tokens = np.array([ends[-1] for ends in self._ends], np.int64)
        self.targets = tokens - segments + (self._next >= 0)
        self.areas = np.array([_area(ends) for ends in self._ends], np.int64)
        self.most_segments = int(segments.max(initial=0)) + 1

    def __len__(self) -> int:
        return len(self._ends)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Window ``index``: ids, positions, targets, whether each target counts (all of length S), document ends.

        Padding is a last document of its own that no target counts in; ``EMPTY`` gives a window of padding only.
        """
        S = self.sequence_length
        ids = np.zeros(S, np.int64)
        ends = np.zeros(0, np.int64) if index == EMPTY else np.asarray(self._ends[index], np.int64)
        tokens = int(ends[-1]) if len(ends) else 0
        follows = index != EMPTY and self._next[index] >= 0
        if tokens:
            start = int(self._offset[index])
            piece = self._maps[self._file[index]][start : start + tokens]
            if len(piece) != tokens:
                raise DataError(f"window {index}: its token file ends early; pack the stage again")
            ids[:tokens] = piece
        targets = np.roll(ids, -1)
        counts = np.arange(S) < tokens
        counts[ends - 1] = False
        if follows:
            targets[tokens - 1], counts[tokens - 1] = self._next[index], True
        if tokens < S:
            ends = np.append(ends, S)
        starts = np.concatenate(([0], ends[:-1]))
        positions = np.arange(S) - np.repeat(starts, ends - starts)
        return ids, positions, targets, counts, ends


def _area(ends: np.ndarray) -> int:
    """Σ length² of a window's documents: twice what a causal document mask leaves of its attention."""
    lengths = np.diff(ends, prepend=0).astype(np.int64)
    return int((lengths * lengths).sum())


def batch_windows(windows: Windows, step: int, size: int) -> np.ndarray:
    """The windows of optimizer step ``step``: ``size`` indices, ``EMPTY`` beyond the last window."""
    chosen = np.arange(step * size, (step + 1) * size)
    return np.where(chosen < len(windows), chosen, EMPTY)


def micro_batches(
    windows: Windows, chosen: np.ndarray, micro_batch: int, replica: int, replicas: int
) -> Iterator[Batch]:
    """This replica's micro-batches of the chosen windows: ((ids, positions, ends), (targets, loss weights)).

    Weights are micro-batches × replicas / target tokens of all chosen windows: the mean that the engine takes
    over micro-batches and replicas is then the mean over tokens.
    """
    rows = chosen.reshape(-1, replicas, micro_batch)
    tokens = int(windows.targets[chosen[chosen != EMPTY]].sum())
    weight = rows.shape[0] * replicas / max(1, tokens)
    for row in rows[:, replica]:
        yield collate(windows, row, weight)


def collate(windows: Windows, row: np.ndarray, weight: float) -> Batch:
    """One micro-batch of the windows in ``row``; all tensors have fixed shapes, as pipelines demand."""
    S = windows.sequence_length
    ids, positions, targets, counts, ends = zip(*(windows.read(int(index)) for index in row), strict=True)
    flat = np.concatenate([[0], *(end + S * place for place, end in enumerate(ends))])
    padded = np.full(len(row) * windows.most_segments + 1, len(row) * S, np.int32)
    padded[: len(flat)] = flat
    stack = lambda arrays: torch.from_numpy(np.stack(arrays))  # noqa: E731
    weights = stack(counts).to(torch.float32) * weight
    return (stack(ids), stack(positions), torch.from_numpy(padded)), (stack(targets), weights)
