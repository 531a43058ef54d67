"""DeepSpeed's engines around the stage modules, checked against Megatron-Core's ranks."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import deepspeed
import deepspeed.ops
import torch
import torch.distributed as dist
from deepspeed.pipe import PipelineModule
from deepspeed.runtime.pipe import schedule
from deepspeed.runtime.pipe.topology import PipeModelDataParallelTopology
from megatron.core import parallel_state
from torch import Tensor

from steps.core.architecture import Architecture
from steps.train.attention import choose_backend
from steps.train.clock import Clock
from steps.train.config import Config
from steps.train.layers import Computing, Whole, megatron_config, stages, weighted_loss
from steps.train.optimizer import GuardedAdamW, accumulate_in_place, fresh_moments, make_optimizer
from steps.train.weights import TensorFiles, load_weights
from steps.train.windows import Batch


@dataclass(frozen=True)
class Ranks:
    """Where this process stands in the layout."""

    tensor: int
    pipeline: int
    data: int
    world: int


@dataclass
class Trainer:
    """One rank's share of the model and its engine. All ranks call every method at the same time."""

    engine: Any
    module: Any  # forward_funcs: this rank's layers
    optimizer: GuardedAdamW
    ranks: Ranks
    backend: str
    device: torch.device
    hidden: int
    micro_batches: int
    clock: Clock = field(default_factory=Clock)
    loss: float | None = None
    """The mean loss of the batch under way, once its gradients are there."""

    def set_learning_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def train(self, batches: Iterator[Batch], allowed: Callable[[float, float], bool]) -> tuple[float, float]:
        """One optimizer step, unless ``allowed(loss, gradient norm)`` refuses it; returns both numbers.

        The loss is the mean over micro-batches and replicas. DeepSpeed itself leaves out a step whose gradient norm
        is not finite, without asking.
        """
        self.loss = None
        answer: list[bool] = []

        def ask() -> bool:
            if not answer:  # DeepSpeed steps each parameter group by itself
                self.loss = self.mean_loss()
                answer.append(allowed(self.loss, self.norm()))
            return answer[0]

        self.optimizer.allowed = ask
        self.clock.begin()
        self.run_batch(self.clock.timed(batches))
        self.clock.end()
        return self.mean_loss() if self.loss is None else self.loss, self.norm()

    def norm(self) -> float:
        """The gradient norm of the batch under way; the engine itself knows it only after the step."""
        return float(self.engine.optimizer._global_grad_norm)

    def run_batch(self, batches: Iterator[Batch]) -> None:
        raise NotImplementedError

    def mean_loss(self) -> float:
        """The loss of the batch under way over all ranks."""
        raise NotImplementedError

    def evaluate(self, batches: Iterator[Batch], count: int) -> float:
        """The mean loss over ``count`` micro-batches of every replica."""
        raise NotImplementedError


class PipelineTrainer(Trainer):
    """DeepSpeed's pipeline engine: every layout, with ZeRO-1."""

    def run_batch(self, batches: Iterator[Batch]) -> None:
        self.engine.train_batch(batches)

    def mean_loss(self) -> float:
        return float(self.engine._aggregate_total_loss())

    def evaluate(self, batches: Iterator[Batch], count: int) -> float:
        loss = float(self.engine.eval_batch(batches, num_micro_batches=count))
        self.engine.train()
        return loss


class PlainTrainer(Trainer):
    """DeepSpeed's engine without pipeline: ZeRO 2 and 3."""

    total: Tensor

    def run_batch(self, batches: Iterator[Batch]) -> None:
        self.total = torch.zeros((), device=self.device)
        for _ in range(self.micro_batches):
            loss = self.forward(next(batches))
            self.total += loss.detach()
            self.engine.backward(loss)
            self.clock.arrive()
            self.engine.step()

    def forward(self, batch: Batch) -> Tensor:
        inputs, labels = (tuple(x.to(self.device) for x in tensors) for tensors in batch)
        loss: Tensor = self.engine(inputs, labels)
        return loss

    def mean_loss(self) -> float:
        return self._mean(self.total, self.micro_batches)

    def _mean(self, total: Tensor, count: int) -> float:
        group = parallel_state.get_data_parallel_group()
        total = total.clone()
        dist.all_reduce(total, group=group)
        return float(total) / count / dist.get_world_size(group)

    @torch.no_grad()
    def evaluate(self, batches: Iterator[Batch], count: int) -> float:
        self.engine.eval()
        total = torch.zeros((), device=self.device)
        for _ in range(count):
            total += self.forward(next(batches))
        self.engine.train()
        return self._mean(total, count)


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
    """The engine with its weights loaded (tensors named ``prefix`` + Hugging Face name) and zero moments."""
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")
    backend = choose_backend(config.attention, torch.cuda.get_device_capability() if on_gpu else None)
    compiles = config.compile == "on" or (config.compile == "auto" and on_gpu)
    computing = Computing(backend, compiles, config.recompute)
    make = _plain if config.zero > 1 else _pipeline
    module, mpu = make(config, model, computing, device)
    load_weights(module, weights, prefix, ranks.tensor)
    optimizer = make_optimizer(config, module, on_gpu)
    options = {"mpu": mpu} if mpu else {}
    engine, *_ = deepspeed.initialize(model=module, optimizer=optimizer, config=settings, **options)
    accumulate_in_place(engine.optimizer)
    fresh_moments(engine, optimizer, 0)
    kind = PlainTrainer if config.zero > 1 else PipelineTrainer
    trainer = kind(engine, module, optimizer, ranks, backend, device, model.hidden, config.micro_batches)
    if isinstance(trainer, PipelineTrainer):
        _check_grid(engine.grid, ranks)
        _clock_arrivals(engine, trainer.clock)
    return trainer


def _pipeline(
    config: Config, model: Architecture, computing: Computing, device: torch.device
) -> tuple[Any, None]:
    layout, dtype = config.layout, getattr(torch, config.precision)
    topology = PipeModelDataParallelTopology(num_pp=layout.pipeline, num_mp=layout.tensor, num_dp=layout.data)

    layers = stages(model, megatron_config(model, layout.tensor, dtype, device.type == "cuda"), computing)
    module = PipelineModule(
        layers,
        topology=topology,
        loss_fn=partial(weighted_loss, computing=computing),
        partition_method="uniform",
    ).to(dtype)
    return module, None


def _plain(
    config: Config, model: Architecture, computing: Computing, device: torch.device
) -> tuple[Any, Any]:
    dtype = getattr(torch, config.precision)
    settings = megatron_config(model, config.layout.tensor, dtype, device.type == "cuda")
    # what DeepSpeed asks of Megatron's parallel_state
    names = ("rank", "group", "world_size")
    tensor = {name: getattr(parallel_state, f"get_tensor_model_parallel_{name}") for name in names}
    data = {
        f"get_data_parallel_{name}": getattr(parallel_state, f"get_data_parallel_{name}") for name in names
    }
    mpu = SimpleNamespace(
        **{
            f"get_{kind}_parallel_{name}": call
            for kind in ("model", "tensor_model")
            for name, call in tensor.items()
        },
        **data,
        get_tensor_model_parallel_src_rank=parallel_state.get_tensor_model_parallel_src_rank,
    )
    return Whole(model, settings, computing).to(dtype), mpu


def _check_grid(grid: Any, ranks: Ranks) -> None:
    found = (grid.get_slice_parallel_rank(), grid.get_pipe_parallel_rank(), grid.get_data_parallel_rank())
    if found != (ranks.tensor, ranks.pipeline, ranks.data):
        raise RuntimeError(
            f"DeepSpeed places rank {ranks.world} at {found}, Megatron-Core elsewhere: {ranks}"
        )


def _clock_arrivals(engine: Any, clock: Clock) -> None:
    """Note when this rank is through with its own work of a batch: when gradients are about to be reduced."""
    reduce = engine._INSTRUCTION_MAP[schedule.ReduceGrads]

    def noted(self: Any, *arguments: Any, **options: Any) -> Any:
        clock.arrive()
        return reduce(self, *arguments, **options)

    engine._INSTRUCTION_MAP = {**engine._INSTRUCTION_MAP, schedule.ReduceGrads: noted}


def leave(code: int) -> None:
    """End this rank. A plain exit aborts now and then while gloo's threads free tensors (pytorch issue 190489)."""
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
