"""The state of a run as safetensors that no layout shapes: FP32 weights, AdamW moments, losses so far.

DeepSpeed's own checkpoints are pickles cut by rank; these files hold whole tensors under Hugging Face names, so any
layout can read what any other wrote, and nothing that is read can run code. Every rank writes its share of them.
"""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from steps.train.gang import done_file
from steps.train.optimizer import MOMENTS, fresh_moments
from steps.train.weights import TensorFiles, gather, local_parameters, whole_shape

MASTER = "master."
RECORD = "record.json"


@dataclass
class Record:
    """What a run has measured so far; it is saved with every checkpoint."""

    step: int = 0
    """Batches consumed: the place in the data order."""
    adam_step: int = 0
    tokens: int = 0
    """Target tokens of the steps taken."""
    train: list[dict[str, float]] = field(default_factory=list)
    heldout: list[dict[str, Any]] = field(default_factory=list)
    """Losses of held-out sets, each with the target tokens trained on before, and those of the set."""
    events: list[dict[str, Any]] = field(default_factory=list)
    """Steps that were passed over, and why."""
    layouts: list[dict[str, int]] = field(default_factory=list)
    """Earlier layouts, each with the step at which it was left."""
    stopped_early: dict[str, Any] | None = None
    """The held-out loss that ended the stage before its last step."""

    def json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, folder: Path) -> Record:
        return cls(**json.loads((folder / RECORD).read_text()))


def snapshot(trainer: Trainer) -> dict[str, Tensor]:
    """This rank's share of the state, in its machine's memory; the ranks' shares together are the whole."""
    group = parallel_state.get_tensor_model_parallel_group()
    tensors, replicas = (
        parallel_state.get_tensor_model_parallel_world_size(),
        parallel_state.get_data_parallel_world_size(),
    )
    share: dict[str, Tensor] = {}
    for number, (name, split, parameter) in enumerate(local_parameters(trainer.module)):
        values = {MASTER: safe_get_full_fp32_param(parameter)}
        values |= {f"{moment}.": safe_get_full_optimizer_state(parameter, moment) for moment in MOMENTS}
        keeper = (number // replicas) % tensors
        for prefix, value in values.items():
            tensor = gather(value, split, group, keeper)
            if tensor is not None and trainer.ranks.data == number % replicas:
                share[prefix + name] = tensor.detach().cpu().clone().contiguous()
    return share


class Saver:
    """Writes shares while training goes on; one at a time, so that at most one copy of the state is in memory."""

    def __init__(self, rank: int) -> None:
        self.rank = rank
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, trainer: Trainer, folder: Path, record: Record) -> None:
        """Begin to write this rank's share; its `done_file` appears when it is there."""
        self.wait()
        self._writing = self._pool.submit(self._write, snapshot(trainer), folder, record.json())

    def wait(self) -> None:
        """Return when nothing is being written. Raises what the writing raised."""
        if self._writing is not None:
            self._writing.result()

    def _write(self, share: dict[str, Tensor], folder: Path, record: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(share, folder / f"state-{self.rank:04d}.safetensors")
        if self.rank == 0:
            (folder / RECORD).write_text(record)
        done_file(folder, self.rank).touch()


def state_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("state-*.safetensors"))


def load_state(trainer: Trainer, files: TensorFiles, adam_step: int) -> None:
    """Set FP32 weights, the weights made of them, and moments from ``files``."""
    set_masters(trainer, files)
    fresh_moments(trainer.engine, trainer.optimizer, adam_step)
    for name, split, parameter in local_parameters(trainer.module):
        for moment in MOMENTS:
            part = files.part(f"{moment}.{name}", whole_shape(parameter), split, trainer.ranks.tensor)
            safe_set_full_optimizer_state(parameter, part.to(trainer.device), moment)


def set_masters(trainer: Trainer, files: TensorFiles) -> None:
    """Set the FP32 weights, and those in the trained precision."""
    for name, split, parameter in local_parameters(trainer.module):
        part = files.part(MASTER + name, whole_shape(parameter), split, trainer.ranks.tensor).to(
            trainer.device
        )
        safe_set_full_fp32_param(parameter, part)
        if (
            parameter.shape == part.shape
        ):  # else ZeRO 3 holds a share only, and takes it from the FP32 weights
            parameter.data.copy_(part)
