"""Attention over packed documents equals attention over each document alone, gradients included."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from steps.core.errors import ConfigError
from steps.train import attention
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
@pytest.mark.parametrize("wanted", ["varlen", "flash_attn"])
def test_fast_backends_equal_documents_alone_on_a_gpu(wanted: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    try:
        backend = choose_backend(wanted, torch.cuda.get_device_capability())
    except ConfigError as missing:
        pytest.skip(str(missing))
    q, k, v = (x.repeat(1, 1, 1, 4) for x in inputs(torch.bfloat16, "cuda"))  # heads of 64
    q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
    cuts = torch.tensor(LENGTHS * 2).cumsum(0)
    ends = torch.cat([torch.zeros(1), cuts, cuts[-1:]]).to("cuda", torch.int32)
    out, oracle = attend(backend, q, k, v, positions().cuda(), ends), alone(q, k, v)
    assert (out - oracle).abs().max() < 2e-2
    for found, wished in zip(
        torch.autograd.grad(out.float().sum(), (q, k, v)),
        torch.autograd.grad(oracle.sum(), (q, k, v)),
        strict=True,
    ):
        assert (found - wished).abs().max() < 5e-2


@pytest.mark.parametrize(
    ("wanted", "capability", "installed", "chosen"),
    [
        ("auto", None, [], "reference"),
        ("auto", (9, 0), ["flash_attn.cute"], "fa4"),
        ("auto", (9, 0), [], "varlen"),
        ("auto", (8, 0), ["flash_attn.cute", "flash_attn.flash_attn_interface"], "varlen"),
        ("reference", (9, 0), ["flash_attn.cute"], "reference"),
        ("varlen", (9, 0), ["flash_attn.cute"], "varlen"),
        ("flash_attn", (9, 0), ["flash_attn.cute", "flash_attn.flash_attn_interface"], "fa4"),
        ("flash_attn", (8, 0), ["flash_attn.cute", "flash_attn.flash_attn_interface"], "fa2"),
    ],
)
def test_the_backend_follows_the_machine_and_can_be_forced(
    monkeypatch: pytest.MonkeyPatch, wanted: str, capability: Any, installed: list[str], chosen: str
) -> None:
    monkeypatch.setattr(attention, "_installed", lambda module: module in installed)
    assert choose_backend(wanted, capability) == chosen


def test_a_backend_that_cannot_run_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_installed", lambda module: module == "flash_attn.cute")
    with pytest.raises(ConfigError, match="needs a GPU"):
        choose_backend("varlen", None)
    with pytest.raises(ConfigError, match="not installed for this GPU"):
        choose_backend("flash_attn", (8, 0))


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        (["query", "is_causal"], {"is_causal": True}),  # torch 2.10
        (["query", "window_size"], {"window_size": (-1, 0)}),  # torch 2.11
        (["query", "window_size", "enable_gqa"], {"window_size": (-1, 0), "enable_gqa": True}),  # torch 2.13
    ],
)
def test_varlen_is_called_as_this_torch_wants_it(
    monkeypatch: pytest.MonkeyPatch, parameters: list[str], options: dict[str, Any]
) -> None:
    """A function with each version's parameters stands in: torch's own runs on a GPU only."""
    import torch.nn.attention.varlen as module

    calls: list[Any] = []

    def stand_in(*tensors: Any, **given: Any) -> torch.Tensor:
        calls.append((tensors, given))
        return tensors[0]

    stand_in.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in parameters]
    )
    monkeypatch.setattr(module, "varlen_attn", stand_in)
    attention._varlen_options.cache_clear()
    q, k, v = inputs(torch.float32, "cpu")
    out = attend("varlen", q, k, v, positions(), torch.tensor([0, 16, 32]))
    attention._varlen_options.cache_clear()
    assert torch.equal(out, q)
    (tensors, given), grouped = calls[0], "enable_gqa" in options
    assert given == options and tensors[1].shape[1] == (2 if grouped else 4)
