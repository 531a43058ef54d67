"""Kernels give the same compiled or not, and the chunked loss is the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from steps.train import kernels


def drawn(*size: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed)).to(dtype)


CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "rms_norm": (kernels.rms_norm, [drawn(2, 6, 8), drawn(8, seed=1), 1e-5]),
    "add_norm": (kernels.add_norm, [drawn(2, 6, 8), drawn(2, 6, 8, seed=1), drawn(8, seed=2), 1e-5]),
    "rotate": (
        kernels.rotate,
        [drawn(2, 6, 4, 8), drawn(2, 6, 2, 8, seed=1), torch.arange(6).expand(2, -1), 1e4],
    ),
    "gate": (kernels.gate, [drawn(2, 6, 8), drawn(2, 6, 8, seed=1)]),
    "token_losses": (
        kernels.token_losses,
        [drawn(5, 7), torch.tensor([0, 6, 3, 3, 1]), drawn(5, seed=1), 0, None],
    ),
}


def outputs(function: Callable[..., Any], arguments: list[Any]) -> list[torch.Tensor]:
    """What the function gives, and the gradients of its sum for every real tensor that it takes."""
    arguments = [
        x.detach().clone().requires_grad_() if isinstance(x, torch.Tensor) and x.is_floating_point() else x
        for x in arguments
    ]
    found = function(*arguments)
    tensors = list(found) if isinstance(found, tuple) else [found]
    leaves = [x for x in arguments if isinstance(x, torch.Tensor) and x.requires_grad]
    grads = torch.autograd.grad(sum(x.square().sum() for x in tensors), leaves)
    return [*tensors, *grads]


@pytest.mark.parametrize("name", CASES)
def test_compiled_or_not_is_the_same(name: str) -> None:
    """The whole function in one graph, forwards and backwards, traced as on a GPU; only the code maker is left out."""
    function, arguments = CASES[name]
    graph = torch.compile(function, dynamic=False, fullgraph=True, backend="aot_eager")
    for found, wanted in zip(outputs(graph, arguments), outputs(function, arguments), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CASES)
def test_compiled_or_not_is_the_same_on_a_gpu(name: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    function, arguments = CASES[name]
    arguments = [x.cuda() if isinstance(x, torch.Tensor) else x for x in arguments]
    for found, wanted in zip(
        outputs(kernels.compiled(function), arguments), outputs(function, arguments), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_token_losses_are_cross_entropy_with_its_gradient(dtype: torch.dtype, tolerance: float) -> None:
    logits, weights = drawn(9, 50, dtype=dtype), drawn(9, seed=1).abs()
    targets = torch.randint(0, 50, (9,), generator=torch.Generator().manual_seed(2))
    truth = logits.double().requires_grad_()
    wanted = (F.cross_entropy(truth, targets, reduction="none") * weights.double()).sum()
    (grad,) = torch.autograd.grad(wanted, truth)
    loss, found = kernels.token_losses(logits, targets, weights, 0, None)
    assert float(loss) == pytest.approx(float(wanted), rel=1e-6)
    assert found.dtype == dtype and (found - grad).abs().max() < tolerance
