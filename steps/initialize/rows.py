"""New rows of embedding and output head."""

from __future__ import annotations

import torch
from torch import Tensor


def extend_rows(rows_VD: Tensor, former: list[list[int]], weights: str, total: int) -> Tensor:
    """``rows_VD`` with one row per entry of ``former``, then padding up to ``total`` rows; old rows keep their bits.

    A new row is the weighted average, in FP32, of the old rows whose ids ``former`` lists: equal weights (``mean``)
    or weights growing with position (``last_heavy``: 1, 2, 3 …; the last bytes of a character tell most). Padding
    rows, which no text uses, are the mean of all old rows, so that their logits stay ordinary.
    """
    wide_VD = rows_VD.float()
    new = torch.empty(len(former), rows_VD.shape[1])
    for place, ids in enumerate(former):
        share = (
            torch.ones(len(ids)) if weights == "mean" else torch.arange(1, len(ids) + 1, dtype=torch.float32)
        )
        new[place] = (share[:, None] * wide_VD[ids]).sum(dim=0) / share.sum()
    padding = wide_VD.mean(dim=0).expand(total - len(rows_VD) - len(former), -1)
    return torch.cat([rows_VD, new.to(rows_VD.dtype), padding.to(rows_VD.dtype)])


def padded(size: int, multiple: int) -> int:
    """``size`` rounded up to a multiple."""
    return -(-size // multiple) * multiple
