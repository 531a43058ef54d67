"""What a block does between its matrix products, as pure functions that torch can compile; all sums in FP32.

Shapes: B windows, S positions, D hidden, H heads, K head size, F inner size of the MLP, T positions of a chunk,
V vocabulary rows of this rank.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one graph; shapes are fixed, so nothing is compiled twice during a run."""
    return torch.compile(function, dynamic=False, fullgraph=True)


def rms_norm(x_BSD: Tensor, weight_D: Tensor, epsilon: float) -> Tensor:
    """RMSNorm, computed in FP32 (Ziya2 §5.2)."""
    wide_BSD = x_BSD.float()
    scale_BS1 = torch.rsqrt(wide_BSD.square().mean(dim=-1, keepdim=True) + epsilon)
    return (weight_D.float() * (wide_BSD * scale_BS1)).to(x_BSD.dtype)


def add_norm(x_BSD: Tensor, y_BSD: Tensor, weight_D: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The sum, and its norm."""
    sum_BSD = x_BSD + y_BSD
    return sum_BSD, rms_norm(sum_BSD, weight_D, epsilon)


def rotate(q_BSHK: Tensor, k_BSGK: Tensor, positions_BS: Tensor, theta: float) -> tuple[Tensor, Tensor]:
    """Rotary positions in FP32 (Ziya2 §5.2), halves turned against each other as Hugging Face does."""
    half = q_BSHK.shape[-1] // 2
    steps = torch.arange(half, device=q_BSHK.device, dtype=torch.float32) / half
    angles_BSK = positions_BS.float()[:, :, None] / theta**steps
    cos_BS1K, sin_BS1K = angles_BSK.cos()[:, :, None], angles_BSK.sin()[:, :, None]
    return _turn(q_BSHK, cos_BS1K, sin_BS1K), _turn(k_BSGK, cos_BS1K, sin_BS1K)


def _turn(x_BSHK: Tensor, cos_BS1K: Tensor, sin_BS1K: Tensor) -> Tensor:
    left, right = x_BSHK.float().chunk(2, dim=-1)
    turned = torch.cat([left * cos_BS1K - right * sin_BS1K, right * cos_BS1K + left * sin_BS1K], dim=-1)
    return turned.to(x_BSHK.dtype)


def gate(gate_BSF: Tensor, up_BSF: Tensor) -> Tensor:
    """SwiGLU."""
    return F.silu(gate_BSF) * up_BSF


def token_losses(
    logits_TV: Tensor, targets_T: Tensor, weights_T: Tensor, first_row: int, group: dist.ProcessGroup | None
) -> tuple[Tensor, Tensor]:
    """(Σ weight × cross-entropy in FP32, its gradient for the logits in their type).

    This rank's logits are those of vocabulary rows from ``first_row``; ``group`` holds the other rows (None: none).
    """
    wide_TV = logits_TV.float()
    rows_V = torch.arange(wide_TV.shape[1], device=wide_TV.device) + first_row
    hit_TV = rows_V[None] == targets_T[:, None]
    top_T = wide_TV.amax(dim=1)
    if group is not None:
        dist.all_reduce(top_T, dist.ReduceOp.MAX, group=group)
    shifted_TV = wide_TV - top_T[:, None]
    exp_TV = shifted_TV.exp()
    sums_2T = torch.stack([exp_TV.sum(dim=1), torch.where(hit_TV, shifted_TV, 0.0).sum(dim=1)])
    if group is not None:
        dist.all_reduce(sums_2T, group=group)
    loss = ((sums_2T[0].log() - sums_2T[1]) * weights_T).sum()
    share_TV = exp_TV / sums_2T[0][:, None]
    return loss, (torch.where(hit_TV, share_TV - 1.0, share_TV) * weights_T[:, None]).to(logits_TV.dtype)
