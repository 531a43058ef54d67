"""Attention over packed documents equals attention over each document alone, gradients included."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from steps.core.errors import ConfigError
from steps.train.attention import attend, choose_backend, reference_attention

LENGTHS = [5, 1, 9, 1]


def inputs(dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    heads = (4, 2, 2)
    made = [torch.randn(2, sum(LENGTHS), h, 16, generator=generator) for h in heads]
    return [x.to(device, dtype).requires_grad_() for x in made]


def positions() -> torch.Tensor:
    return torch.cat([torch.arange(n) for n in LENGTHS]).expand(2, -1)


def alone(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Each document by itself, through torch's own attention, in float64."""
    pieces = []
    start = 0
    for length in LENGTHS:
        piece = slice(start, start + length)
        a, b, c = (x[:, piece].double().transpose(1, 2) for x in (q, k, v))
        b, c = (x.repeat_interleave(2, dim=1) for x in (b, c))
        pieces.append(F.scaled_dot_product_attention(a, b, c, is_causal=True).transpose(1, 2))
        start += length
    return torch.cat(pieces, dim=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2)])
def test_packed_equals_alone(dtype: torch.dtype, tolerance: float) -> None:
    q, k, v = inputs(dtype, "cpu")
    out = reference_attention(q, k, v, positions())
    oracle = alone(q, k, v)
    assert (out - oracle).abs().max() < tolerance
    probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(4))
    for found, wanted in zip(
        torch.autograd.grad((out.float() * probe).sum(), (q, k, v)),
        torch.autograd.grad((oracle * probe).sum(), (q, k, v)),
        strict=True,
    ):
        assert (found - wanted).abs().max() < 2 * tolerance


@pytest.mark.gpu
def test_varlen_equals_reference_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    q, k, v = inputs(torch.bfloat16, "cuda")
    cuts = torch.tensor(LENGTHS * 2).cumsum(0)
    ends = torch.cat([torch.zeros(1), cuts, cuts[-1:]]).to("cuda", torch.int32)
    place = positions().cuda()
    outs = [attend(name, q, k, v, place, ends) for name in ("varlen", "reference")]
    assert (outs[0] - outs[1]).abs().max() < 2e-2
    assert (outs[0] - alone(q, k, v)).abs().max() < 2e-2


def test_the_backend_follows_the_machine_and_can_be_forced() -> None:
    assert choose_backend("auto", True) == "varlen" and choose_backend("auto", False) == "reference"
    assert choose_backend("reference", True) == "reference"
    with pytest.raises(ConfigError, match="needs a GPU"):
        choose_backend("varlen", False)
