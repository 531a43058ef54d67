"""New rows of embedding and output head."""

from __future__ import annotations

import torch
from torch import Tensor

from steps.initialize.config import Weights


def shares(count: int, weights: Weights) -> Tensor:
    """(count,) FP32 weights of the pieces of a character, summing to one.

    ``first_heavy`` falls and ``last_heavy`` grows linearly with position (3 2 1, 1 2 3); ``first`` and ``last`` are one
    piece alone.
    """
    rising = torch.arange(1, count + 1, dtype=torch.float32)
    share = {
        "mean": torch.ones(count),
        "first_heavy": rising.flip(0),
        "last_heavy": rising,
        "first": (rising == 1).float(),
        "last": (rising == count).float(),
    }[weights]
    return share / share.sum()


def extend_rows(rows_VD: Tensor, former: list[list[int]], weights: Weights, total: int) -> Tensor:
    """``rows_VD`` with one row per entry of ``former``, then padding up to ``total`` rows; old rows keep their bits.

    A new row is the average, weighted by `shares` and in FP32, of the old rows whose ids ``former`` lists (Ziya2 §5.1).
    Padding rows, which no text uses, are the mean of all old rows, so that their logits stay ordinary.
    """
    wide_VD = rows_VD.float()
    new = torch.empty(len(former), rows_VD.shape[1])
    for place, ids in enumerate(former):
        new[place] = shares(len(ids), weights) @ wide_VD[ids]
    padding = wide_VD.mean(dim=0).expand(total - len(rows_VD) - len(former), -1)
    return torch.cat([rows_VD, new.to(rows_VD.dtype), padding.to(rows_VD.dtype)])


def padded(size: int, multiple: int) -> int:
    """``size`` rounded up to a multiple."""
    return -(-size // multiple) * multiple
