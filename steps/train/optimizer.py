"""AdamW that a step can be kept from, and FP32 gradient accumulation at the price of its memory traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steps.train.config import Config
from steps.train.weights import local_parameters

MOMENTS = ("exp_avg", "exp_avg_sq")


class GuardedAdamW(torch.optim.AdamW):
    """AdamW that asks before each step; refused, it leaves weights and moments as they are."""

    allowed: Callable[[], bool] = staticmethod(lambda: True)

    def step(self, closure: Any = None) -> Any:
        return super().step(closure) if self.allowed() else None


def make_optimizer(config: Config, module: nn.Module, on_gpu: bool) -> GuardedAdamW:
    """AdamW over this rank's parameters; norms are not decayed."""
    named = list(local_parameters(module))
    groups = [
        {"params": [p for _, _, p in named if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for _, _, p in named if p.dim() == 1], "weight_decay": 0.0},
    ]
    return GuardedAdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=on_gpu,
    )


def masters(outer: Any) -> list[Tensor]:
    """The flat FP32 weights of one of DeepSpeed's optimizers (BF16_Optimizer, ZeRO 1 and 2, ZeRO 3)."""
    for name in (
        "fp32_groups_flat_partition",
        "single_partition_of_fp32_groups",
        "fp32_partitioned_groups_flat",
    ):
        if hasattr(outer, name):
            return list(getattr(outer, name))
    raise RuntimeError(f"DeepSpeed made a {type(outer).__name__}, whose FP32 weights are not known")


def fresh_moments(engine: Any, optimizer: GuardedAdamW, step: int) -> None:
    """Zero moments for every FP32 weight, and Adam's step number; DeepSpeed finds them under each parameter."""
    fused = any(group["fused"] for group in optimizer.param_groups)
    for flat in masters(engine.optimizer):
        optimizer.state[flat] = {
            "step": torch.tensor(float(step), device=flat.device if fused else "cpu"),
            **{moment: torch.zeros_like(flat) for moment in MOMENTS},
        }
    # it looks for them once, in some classes before torch has made them
    engine.optimizer._hp_optimizer_states_linked = False
    if hasattr(engine.optimizer, "_lazy_init_hp_params_optimizer_state"):
        engine.optimizer._lazy_init_hp_params_optimizer_state()


def accumulate_in_place(outer: Any) -> None:
    """Have BF16_Optimizer add a BF16 gradient to its FP32 sum in one pass, and then free it.

    Its own way makes an FP32 copy first, and clears the BF16 gradient instead of freeing it, so that autograd adds to
    zeros: 26 bytes of traffic per weight and micro-batch instead of 10.
    """
    if not hasattr(outer, "fp32_groups_gradients"):
        return

    @torch.no_grad()
    def update(parameter: nn.Parameter, group: int, index: int, clear_lp_grads: bool) -> None:
        if parameter.grad is not None:
            total = outer.fp32_groups_gradients[group][index]
            total.add_(parameter.grad.view(total.shape))
            outer.fp32_groups_has_gradients[group][index] = True
            parameter._hp_grad = total  # type: ignore[attr-defined]
            parameter.grad = None

    outer._update_hp_grad = update
