"""DeepSpeed's pipeline engine around the stage modules, checked against Megatron-Core's ranks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deepspeed
import deepspeed.ops
import torch
import torch.distributed as dist
from deepspeed.pipe import PipelineModule
from deepspeed.runtime.pipe.topology import PipeModelDataParallelTopology
from megatron.core import parallel_state
from torch import nn

from steps.train.architecture import Architecture
from steps.train.attention import choose_backend
from steps.train.config import Config
from steps.train.layers import megatron_config, stages, weighted_loss
from steps.train.weights import TensorFiles, load_weights, local_parameters


@dataclass(frozen=True)
class Ranks:
    """Where this process stands in the layout."""

    tensor: int
    pipeline: int
    data: int
    world: int

    @property
    def writes_state(self) -> bool:
        """One rank per pipeline stage writes the stage's tensors."""
        return self.tensor == 0 and self.data == 0


@dataclass
class Trainer:
    engine: Any
    module: Any  # deepspeed's PipelineModule
    optimizer: torch.optim.AdamW
    ranks: Ranks
    backend: str
    device: torch.device
    hidden: int


def start_ranks(config: Config, rendezvous: Path, on_gpu: bool) -> Ranks:
    """Join the other ranks over the rendezvous file and lay out Megatron-Core's groups."""
    # DeepSpeed would compile this CPU operator, which only inference uses, at start (half a minute, needs g++).
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    deepspeed.init_distributed(
        "nccl" if on_gpu else "gloo",
        auto_mpi_discovery=False,
        verbose=False,
        init_method=f"file://{rendezvous}",
        rank=rank,
        world_size=world,
    )
    parallel_state.initialize_model_parallel(config.layout.tensor, config.layout.pipeline)
    return Ranks(
        tensor=parallel_state.get_tensor_model_parallel_rank(),
        pipeline=parallel_state.get_pipeline_model_parallel_rank(),
        data=parallel_state.get_data_parallel_rank(),
        world=rank,
    )


def build(
    config: Config,
    model: Architecture,
    ranks: Ranks,
    weights: TensorFiles,
    prefix: str,
    settings: dict[str, Any],
) -> Trainer:
    """The engine with its weights loaded (tensors named ``prefix`` + Hugging Face name); no optimizer state yet."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    dtype = getattr(torch, config.precision)
    backend = choose_backend(config.attention, on_gpu)
    layout = config.layout
    topology = PipeModelDataParallelTopology(num_pp=layout.pipeline, num_mp=layout.tensor, num_dp=layout.data)
    module = PipelineModule(
        stages(model, megatron_config(model, layout.tensor, dtype, on_gpu), backend),
        topology=topology,
        loss_fn=weighted_loss,
        partition_method="uniform",
    ).to(dtype)
    load_weights(module, weights, prefix, ranks.tensor)
    optimizer = make_optimizer(config, module, on_gpu)
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=settings)
    grid = engine.grid
    found = (grid.get_slice_parallel_rank(), grid.get_pipe_parallel_rank(), grid.get_data_parallel_rank())
    if found != (ranks.tensor, ranks.pipeline, ranks.data):
        raise RuntimeError(
            f"DeepSpeed places rank {ranks.world} at {found}, Megatron-Core elsewhere: {ranks}"
        )
    return Trainer(engine, module, optimizer, ranks, backend, device, model.hidden)


def make_optimizer(config: Config, module: nn.Module, on_gpu: bool) -> torch.optim.AdamW:
    """AdamW over this rank's parameters; norms are not decayed."""
    named = list(local_parameters(module))
    groups = [
        {"params": [p for _, _, p in named if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for _, _, p in named if p.dim() == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=on_gpu,
    )


def set_learning_rate(trainer: Trainer, rate: float) -> None:
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate


def leave(code: int) -> None:
    """End this rank. A plain exit aborts now and then while gloo's threads free tensors (pytorch issue 190489)."""
    import sys

    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
