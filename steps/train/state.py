"""The state of a run as safetensors that no layout shapes: FP32 weights, AdamW moments, losses so far.

DeepSpeed's own checkpoints are pickles cut by rank; these files hold whole tensors under Hugging Face names, so any
layout can read what any other wrote, and nothing that is read can run code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from deepspeed.utils import (
    safe_get_full_fp32_param,
    safe_get_full_optimizer_state,
    safe_set_full_fp32_param,
    safe_set_full_optimizer_state,
)
from megatron.core import parallel_state
from safetensors.torch import save_file
from torch import Tensor

from steps.train.engine import Trainer
from steps.train.weights import TensorFiles, gather, local_parameters

MASTER = "master."
MOMENTS = ("exp_avg", "exp_avg_sq")
RECORD = "record.json"


def save_state(trainer: Trainer, folder: Path, record: dict[str, Any]) -> None:
    """Write this rank's share of the state to ``folder`` (made by the first rank to come)."""
    folder.mkdir(parents=True, exist_ok=True)
    link_moments(trainer)
    group = parallel_state.get_tensor_model_parallel_group()
    whole: dict[str, Tensor] = {}
    for name, split, parameter in local_parameters(trainer.module):
        values = {MASTER: safe_get_full_fp32_param(parameter)}
        values |= {f"{moment}.": safe_get_full_optimizer_state(parameter, moment) for moment in MOMENTS}
        for prefix, value in values.items():
            tensor = gather(value, split, group)
            if tensor is not None and trainer.ranks.writes_state:
                whole[prefix + name] = tensor.cpu().contiguous()
    if trainer.ranks.writes_state:
        save_file(whole, folder / f"state-{trainer.ranks.pipeline:02d}.safetensors")
    if trainer.ranks.world == 0:
        (folder / RECORD).write_text(json.dumps(record, sort_keys=True))


def load_state(trainer: Trainer, files: TensorFiles, adam_step: int) -> None:
    """Set FP32 weights and moments from ``files``; the module's own weights were loaded from the same masters."""
    for group in trainer.optimizer.param_groups:
        for flat in group["params"]:
            on_device = bool(group["fused"])
            trainer.optimizer.state[flat] = {
                "step": torch.tensor(float(adam_step), device=flat.device if on_device else "cpu"),
                "exp_avg": torch.zeros_like(flat),
                "exp_avg_sq": torch.zeros_like(flat),
            }
    link_moments(trainer)
    rank = trainer.ranks.tensor
    for name, split, parameter in local_parameters(trainer.module):
        part = lambda prefix: files.part(prefix + name, parameter.shape, split, rank).to(trainer.device)  # noqa: B023, E731
        safe_set_full_fp32_param(parameter, part(MASTER))
        for moment in MOMENTS:
            safe_set_full_optimizer_state(parameter, part(f"{moment}."), moment)


def link_moments(trainer: Trainer) -> None:
    """Have DeepSpeed find the moments again: it looks once, in FP32 runs before torch has made them."""
    outer = trainer.engine.optimizer
    outer._hp_optimizer_states_linked = False
    outer._lazy_init_hp_params_optimizer_state()


def set_masters(trainer: Trainer, files: TensorFiles) -> None:
    """Set the FP32 weights alone: a new stage goes on from them with fresh moments."""
    for name, split, parameter in local_parameters(trainer.module):
        part = files.part(MASTER + name, parameter.shape, split, trainer.ranks.tensor)
        safe_set_full_fp32_param(parameter, part.to(trainer.device))


def read_record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return record
