"""Attention over packed windows: causal, and never across a document's end.

Shapes: B windows, S positions, H heads of this rank, G key/value heads of this rank, K head size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steps.core.errors import ConfigError


def choose_backend(wanted: str, on_gpu: bool) -> str:
    """The backend to run. Raises ConfigError if the forced one cannot run here."""
    if wanted == "auto":
        return "varlen" if on_gpu else "reference"
    if wanted == "varlen" and not on_gpu:
        raise ConfigError("attention: varlen needs a GPU; set auto or reference")
    return wanted


def attend(
    backend: str, q_BSHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, positions_BS: Tensor, ends: Tensor
) -> Tensor:
    """Attention output (B, S, H, K).

    ``positions_BS`` restarts at 0 with each document; ``ends`` holds the documents' cumulative lengths over the
    flattened batch, padded with its last value to a fixed size (int32).
    """
    if backend == "reference":
        return reference_attention(q_BSHK, k_BSGK, v_BSGK, positions_BS)
    return varlen_attention(q_BSHK, k_BSGK, v_BSGK, ends)


def reference_attention(q_BSHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, positions_BS: Tensor) -> Tensor:
    """Explicit scores, explicit mask, softmax in FP32: the oracle of the faster backends, and the CPU path."""
    S, H, K = q_BSHK.shape[1:]
    groups = H // k_BSGK.shape[2]
    q_BHSK = q_BSHK.transpose(1, 2)
    k_BHSK, v_BHSK = (x.repeat_interleave(groups, dim=2).transpose(1, 2) for x in (k_BSGK, v_BSGK))
    document_BS = (positions_BS == 0).cumsum(dim=1)
    order_S = torch.arange(S, device=q_BSHK.device)
    visible_BSS = (document_BS[:, :, None] == document_BS[:, None, :]) & (
        order_S[:, None] >= order_S[None, :]
    )
    scores_BHSS = (q_BHSK @ k_BHSK.transpose(2, 3)).float() * K**-0.5
    scores_BHSS = scores_BHSS.masked_fill(~visible_BSS[:, None], float("-inf"))
    weights_BHSS = torch.softmax(scores_BHSS, dim=-1).to(v_BHSK.dtype)
    return (weights_BHSS @ v_BHSK).transpose(1, 2)


def varlen_attention(q_BSHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, ends: Tensor) -> Tensor:
    """torch's FlashAttention-2 kernels over documents of varying length (torch.nn.attention.varlen, 2.11 and later)."""
    from torch.nn.attention.varlen import varlen_attn

    B, S, H, K = q_BSHK.shape
    groups = H // k_BSGK.shape[2]
    # Repeated here, because enable_gqa is younger than the oldest torch that this runs on.
    k_THK, v_THK = (x.repeat_interleave(groups, dim=2).reshape(B * S, H, K) for x in (k_BSGK, v_BSGK))
    out_THK = varlen_attn(q_BSHK.reshape(B * S, H, K), k_THK, v_THK, ends, ends, S, S, window_size=(-1, 0))
    assert isinstance(out_THK, Tensor)  # a tuple only where the log-sum-exp is asked for
    return out_THK.view(B, S, H, K)
