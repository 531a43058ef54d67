"""What a stage will need, from the sizes of model and layout: memory per rank, time, and rank-hours.

Bytes per weight follow DeepSpeed's classes (BF16_Optimizer holds BF16 weights and gradients, an FP32 sum of gradients,
and shares FP32 weights and two moments among replicas). Ten layers of 13B width on one H200, two windows of 4096, took
75 GiB; this count gives 78.
"""

from __future__ import annotations

import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steps.core.architecture import Architecture
from steps.core.errors import ConfigError
from steps.core.memory import host_memory
from steps.train.config import Config

GIB = 1 << 30
LOSS_CHUNK = 4096  # layers.LOSS_CHUNK, whose module needs torch
# Half of what an H100 or H200 does at its peak in BF16: the share that docs/training.md measures at these settings.
GPU_TFLOPS = 500.0
# one core of ours with FP32 weights of some million numbers (own measurement: the acceptance run)
CPU_TFLOPS = 0.02
GPU_RUNTIME = 1.5 * GIB  # CUDA context, NCCL
CPU_RUNTIME = 0.6 * GIB  # a process that has loaded torch and DeepSpeed
MEMORY, PRICE = "TOKENMILL_DEVICE_MEMORY_GIB", "TOKENMILL_RANK_HOUR_PRICE"


@dataclass(frozen=True)
class Estimate:
    """Bytes per rank by use, seconds, and ranks."""

    bytes: dict[str, float]
    seconds: float
    ranks: int

    @property
    def memory(self) -> float:
        return sum(self.bytes.values())

    def sentence(self) -> str:
        parts = ", ".join(f"{name} {size / GIB:.2f}" for name, size in self.bytes.items())
        hours = self.ranks * self.seconds / 3600
        price = _number(PRICE, "a price")
        cost = f", {hours * price:,.2f} at {price:g} each" if price else ""
        time = f", about {self.seconds:,.0f} s or {hours:,.2f} rank-hours{cost}" if self.seconds else ""
        return f"expected {self.memory / GIB:.2f} GiB per rank ({parts}){time}"


def estimate(model: Architecture, config: Config, length: int, windows: int) -> Estimate:
    """The estimate for ``windows`` windows of ``length`` tokens; memory is that of the fullest rank."""
    layout, on_gpu = config.layout, has_gpu()
    layers = -(
        -(model.layers + 2) // layout.pipeline
    )  # embedding and head count as layers when they are dealt out
    ends = model.vocabulary * model.hidden * (2 if layout.pipeline == 1 else 1)
    block = (model.parameters - 2 * model.vocabulary * model.hidden) / model.layers
    blocks = min(model.layers, layers - (2 if layout.pipeline == 1 else 1))
    weights = (blocks * block + ends) / layout.tensor
    state, gradients = _per_weight(config)
    buckets = 0.0 if config.precision == "bfloat16" and config.zero == 1 else 2 * 4 * min(5e8, weights)
    kept = min(layout.pipeline, config.micro_batches) * blocks * _activations(model, config, length)
    positions, rows = config.micro_batch * length, model.vocabulary / layout.tensor
    width = 2 if config.precision == "bfloat16" else 4
    # logits and their gradients, and three FP32 arrays of a chunk
    head = rows * (2 * width * positions + 12 * min(LOSS_CHUNK, positions))
    size = {
        "weights and optimizer": weights * state + buckets,
        # activations are freed while gradients come
        "activations, gradients and head": max(weights * gradients, kept + head),
        "runtime": GPU_RUNTIME if on_gpu else CPU_RUNTIME,
    }
    used = min(windows, (config.steps or windows) * config.batch_windows)
    flops = model.flops(used * length, used * length * length)
    recomputed = {"none": 1.0, "mlp": 1.2, "full": 4 / 3}[config.recompute]
    rate = (GPU_TFLOPS if on_gpu else CPU_TFLOPS * config.threads_per_rank) * 1e12
    return Estimate(size, flops * recomputed / rate / layout.ranks, layout.ranks)


def _per_weight(config: Config) -> tuple[float, float]:
    """(bytes held all the time, bytes of gradients at the end of a backward pass) per weight of this rank."""
    replicas, width = config.layout.data, 2 if config.precision == "bfloat16" else 4
    shared = 12 / replicas  # FP32 weight and two moments
    if config.zero == 1:
        return width + shared + (4 if width == 2 else 0), width
    if config.zero == 2:
        return width + shared + 4 / replicas, width
    return (width + 4) / replicas + shared, width / replicas


def _activations(model: Architecture, config: Config, length: int) -> float:
    """Bytes that one block keeps of one micro-batch for its backward pass."""
    positions = config.micro_batch * length
    keys = model.key_value_heads * model.head_size
    width = 2 if config.precision == "bfloat16" else 4
    if config.recompute == "full":
        return width * positions * model.hidden
    inner = 0 if config.recompute == "mlp" else 3 * model.ffn
    split = 3 * model.hidden + 2 * keys + inner  # q, k, v, attention's output; gate, up and their product
    size = width * positions * (4 * model.hidden + split / config.layout.tensor)
    if config.attention == "reference" or not has_gpu():
        # scores and weights in FP32, the mask, and weights in the trained precision
        size += positions * length * (9 + width) * model.heads / config.layout.tensor
    return size


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists()


def memory_is_known() -> bool:
    """Whether this machine knows how much memory the ranks will have."""
    return has_gpu() or bool(os.environ.get(MEMORY))


def device_memory(ranks: int) -> float | None:
    """Bytes that a rank may use: what TOKENMILL_DEVICE_MEMORY_GIB says, a GPU's, or a share of this machine's."""
    if given := _number(MEMORY, "a number of GiB"):
        return given * GIB
    if has_gpu():
        command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
            return min(float(line) for line in answer.splitlines()) * (1 << 20)
        except (OSError, ValueError, subprocess.SubprocessError):  # none, or one that does not say
            return None
    return host_memory() / ranks


def _number(variable: str, what: str) -> float | None:
    """A setting's value; None where it is not set. Raises ConfigError for one that is no number above 0."""
    given = os.environ.get(variable)
    if not given:
        return None
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{variable}={given!r} is not {what}")
    return value


def check_memory(needed: Estimate, config: Config) -> None:
    """Raise ConfigError if a rank is predicted to need more memory than it has."""
    there = device_memory(config.layout.ranks)
    if there is not None and needed.memory > there:
        raise ConfigError(
            f"train_{config.stage}: a rank needs about {needed.memory / GIB:.1f} GiB and has {there / GIB:.1f} GiB: "
            f"give layout more tensor, pipeline or data ranks, lower micro_batch ({config.micro_batch}), or set "
            f"recompute ({config.recompute}) to mlp or full"
        )
