"""Attention over packed windows: causal, and never across a document's end.

Shapes: B windows, S positions, T = B·S, H heads of this rank, G key/value heads of this rank, K head size.
"""

from __future__ import annotations

import importlib.util
import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor

from steps.core.errors import ConfigError

# flash-attn-4 has a backward pass from this compute capability on (its interface.py asserts so)
HOPPER = (9, 0)


def choose_backend(wanted: str, capability: tuple[int, int] | None) -> str:
    """reference, varlen, fa2 or fa4: what ``wanted`` means on this machine (``capability`` None: no GPU).

    Raises ConfigError if the forced one cannot run here.
    """
    if wanted == "reference" or (wanted == "auto" and capability is None):
        return "reference"
    if capability is None:
        raise ConfigError(f"train.attention: {wanted} needs a GPU; set auto or reference")
    if wanted != "varlen" and capability >= HOPPER and _installed("flash_attn.cute"):
        return "fa4"
    if wanted in ("auto", "varlen"):
        return "varlen"
    if _installed("flash_attn.flash_attn_interface"):
        return "fa2"
    raise ConfigError(
        "train.attention: flash_attn is not installed for this GPU: flash-attn-4 from Hopper on, flash-attn before "
        "(requirements/gpu.in); set auto or varlen"
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package
        return False


def attend(
    backend: str, q_BSHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, positions_BS: Tensor, ends: Tensor
) -> Tensor:
    """Attention output (B, S, H, K).

    ``positions_BS`` restarts at 0 with each document; ``ends`` holds the documents' cumulative lengths over the
    flattened batch, padded with its last value to a fixed size (int32).
    """
    if backend == "reference":
        return reference_attention(q_BSHK, k_BSGK, v_BSGK, positions_BS)
    B, S, H, K = q_BSHK.shape
    q_THK, k_TGK, v_TGK = (x.reshape(B * S, -1, K) for x in (q_BSHK, k_BSGK, v_BSGK))
    kernel = {"varlen": varlen_attention, "fa2": fa2_attention, "fa4": fa4_attention}[backend]
    return kernel(q_THK, k_TGK, v_TGK, ends, S).view(B, S, H, K)


def reference_attention(q_BSHK: Tensor, k_BSGK: Tensor, v_BSGK: Tensor, positions_BS: Tensor) -> Tensor:
    """Explicit scores, explicit mask, softmax in FP32 at least: the oracle of the faster backends, and the CPU path."""
    S, H, K = q_BSHK.shape[1:]
    groups = H // k_BSGK.shape[2]
    q_BHSK = q_BSHK.transpose(1, 2)
    k_BHSK, v_BHSK = (x.repeat_interleave(groups, dim=2).transpose(1, 2) for x in (k_BSGK, v_BSGK))
    document_BS = (positions_BS == 0).cumsum(dim=1)
    order_S = torch.arange(S, device=q_BSHK.device)
    visible_BSS = (document_BS[:, :, None] == document_BS[:, None, :]) & (
        order_S[:, None] >= order_S[None, :]
    )
    scores_BHSS = q_BHSK @ k_BHSK.transpose(2, 3)
    scores_BHSS = scores_BHSS.to(torch.promote_types(scores_BHSS.dtype, torch.float32)) * K**-0.5
    scores_BHSS = scores_BHSS.masked_fill(~visible_BSS[:, None], float("-inf"))
    weights_BHSS = torch.softmax(scores_BHSS, dim=-1).to(v_BHSK.dtype)
    return (weights_BHSS @ v_BHSK).transpose(1, 2)


@cache
def _varlen_options() -> dict[str, Any]:
    """How this torch's varlen_attn says causal and grouped: 2.10 had is_causal, later ones a window."""
    from torch.nn.attention.varlen import varlen_attn

    known = inspect.signature(varlen_attn).parameters
    causal: dict[str, Any] = {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
    return causal | ({"enable_gqa": True} if "enable_gqa" in known else {})


def varlen_attention(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, ends: Tensor, longest: int) -> Tensor:
    """torch's FlashAttention-2 kernels over documents of varying length (torch.nn.attention.varlen, from 2.10)."""
    from torch.nn.attention.varlen import varlen_attn

    options = _varlen_options()
    if "enable_gqa" not in options:
        groups = q_THK.shape[1] // k_TGK.shape[1]
        k_TGK, v_TGK = (x.repeat_interleave(groups, dim=1) for x in (k_TGK, v_TGK))
    return _first(varlen_attn(q_THK, k_TGK, v_TGK, ends, ends, longest, longest, **options))


def fa2_attention(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, ends: Tensor, longest: int) -> Tensor:
    """The flash-attn package (Ampere and Ada)."""
    from flash_attn import flash_attn_varlen_func

    return _first(flash_attn_varlen_func(q_THK, k_TGK, v_TGK, ends, ends, longest, longest, causal=True))


def fa4_attention(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, ends: Tensor, longest: int) -> Tensor:
    """The flash-attn-4 package (Hopper and later)."""
    from flash_attn.cute import flash_attn_varlen_func

    lengths = {"cu_seqlens_q": ends, "cu_seqlens_k": ends, "max_seqlen_q": longest, "max_seqlen_k": longest}
    return _first(flash_attn_varlen_func(q_THK, k_TGK, v_TGK, causal=True, **lengths))


def _first(out: Any) -> Tensor:
    """The output of kernels of which some versions return the log-sum-exp with it."""
    found = out[0] if isinstance(out, tuple | list) else out
    assert isinstance(found, Tensor)
    return found
