"""The train step's ranks on one GPU: speed, overhead of the engine, data stall, numerics of attention, memory.

    python -m benchmarks.speed.train_gpu [--layers 10] [--steps 6] [--profile]
    python -m benchmarks.speed.train_gpu --tiny      # the same code on a CPU, to see that it runs

13B width (5120, 40 heads, 13824, vocabulary 39,424), windows of 4096 with documents of 600 tokens on average, 8
micro-batches a step: `steps.train.rank.Rank` itself (DeepSpeed engine, document mask, FP32 accumulation, reports on),
with random weights, beside a bare loop around the same layers. A step's time is that of the wall, its report and the
talk between ranks included. TFLOPS count what is executed once: 6 x weights of matrix products x positions, and
attention where the document mask leaves area. Each line is measured in a process of its own and printed when it is
there, the bars' own lines first: about two minutes each on an H200. ``--profile`` adds what the first line's time goes
into, kernel by kernel. Without a GPU it ends with 69.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.quality.chain import markdown
from steps.core.architecture import Architecture
from steps.train.config import Config
from steps.train.estimate import GIB, estimate, has_gpu
from steps.train.gang import PROGRESS, rank_environment
from steps.train.prepare import engine_settings

NO_DEVICE = 69
PEAK = 989.0  # TFLOPS of an H100 or H200 in dense BF16, by its data sheet
WARM = 3  # steps before the first that counts: compilation, allocator
WIDE = {"hidden": 5120, "heads": 40, "key_value_heads": 40, "ffn": 13824, "vocabulary": 39424}
TINY = {"hidden": 64, "heads": 4, "key_value_heads": 2, "ffn": 96, "vocabulary": 512}
RUNS: list[dict[str, Any]] = [
    {"attention": "flash_attn", "micro_batch": 4},
    {"attention": "varlen", "micro_batch": 4},
    {"attention": "flash_attn", "micro_batch": 2},
    {"attention": "flash_attn", "micro_batch": 4, "compile": "off"},
    {"attention": "flash_attn", "micro_batch": 4, "recompute": "mlp"},
    {"attention": "flash_attn", "micro_batch": 4, "recompute": "full"},
]


def shape(layers: int, tiny: bool) -> tuple[Architecture, int, int]:
    """(model, window length, mean document length)."""
    length, mean = (64, 20) if tiny else (4096, 600)
    sizes = TINY if tiny else WIDE
    return (
        Architecture(layers=layers, rope_theta=1e4, max_positions=length, norm_epsilon=1e-5, **sizes),
        length,
        mean,
    )


def write_windows(folder: Path, count: int, length: int, mean: int, vocabulary: int) -> tuple[str, str, str]:
    """Full windows of random tokens, documents of exponential length; a row of a rank's spec."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    ends = []
    for _ in range(count):
        cuts = np.cumsum(np.maximum(4, rng.exponential(mean, 4 * length // mean).astype(np.int64)))
        ends.append([*cuts[cuts < length - 1].tolist(), length])
    rng.integers(3, vocabulary, count * length).astype(np.uint16).tofile(folder / "tokens.bin")
    table = pa.table(
        {
            "offset": pa.array(np.arange(count) * length, pa.int64()),
            "ends": pa.array(ends, pa.list_(pa.int32())),
            "next_token": pa.array(np.full(count, -1), pa.int32()),
        }
    )
    pq.write_table(table, folder / "windows.parquet")
    return str(folder / "tokens.bin"), str(folder / "windows.parquet"), "uint16"


class RandomWeights:
    """Stands where a rank's tensor files are: every tensor is drawn, norms are ones."""

    def __init__(self, paths: list[Path]) -> None:
        pass

    def part(self, name: str, shape: Any, split: int | None, rank: int) -> Any:
        import torch

        return torch.ones(shape) if len(shape) == 1 else torch.randn(shape) * 0.02


def settings_of(asked: dict[str, Any]) -> Config:
    micro = asked["micro_batch"]
    options = {name: asked[name] for name in ("attention", "compile", "recompute") if name in asked}
    never = 1 << 30
    return Config(
        batch_windows=8 * micro,
        micro_batch=micro,
        steps=asked["steps"] + WARM,
        checkpoint_every=never,
        evaluate_every=never,
        **options,
    )


def write_spec(folder: Path, asked: dict[str, Any]) -> Path:
    model, length, mean = shape(asked["layers"], asked["tiny"])
    config = settings_of(asked)
    steps = asked["steps"] + WARM
    spec = {
        "config": config.model_dump(mode="json"),
        "model": vars(model),
        "settings": engine_settings(config, model.parameters),
        "sequence_length": length,
        "steps": steps,
        "windows": [write_windows(folder, steps * config.batch_windows, length, mean, model.vocabulary)],
        "heldout": {},
        "weights": [],
        "previous_state": None,
        "previous_steps": 0,
        "resume": None,
        "resumed_layout": None,
        "out": str(folder),
        "rendezvous": str(folder / "rendezvous"),
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def measure_rank(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Medians of what the rank itself reports, after `WARM` steps; memory as it is and as it was expected."""
    from steps.train import rank
    from steps.train.spec import Spec

    rank.TensorFiles = RandomWeights  # type: ignore[assignment, misc]
    spec = Spec.read(write_spec(folder, asked))
    it = rank.Rank(spec)
    walls = []
    while it.record.step < spec.steps:
        began = time.perf_counter()
        if not it.step():
            raise SystemExit("the run diverged")
        it.compare()
        walls.append(time.perf_counter() - began)
    lines = [json.loads(line) for line in (folder / PROGRESS).read_text().splitlines()][WARM:]
    expected = estimate(spec.model, spec.config, spec.sequence_length, len(it.windows)).memory / GIB
    flops = statistics.median(line["tflops_per_rank"] * line["seconds"] for line in lines)
    seconds = statistics.median(walls[WARM:])
    return {
        "seconds": seconds,
        "tflops": flops / seconds,
        "stall_share": statistics.median(line["stall_share"] for line in lines),
        "memory_gib": max(line["memory_gib"] for line in lines),
        "expected_gib": expected,
        "backend": it.trainer.backend,
    }


def profile_rank(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The kernels that one step of the rank spends most time in, as torch's profiler prints them."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from steps.train import rank
    from steps.train.spec import Spec

    rank.TensorFiles = RandomWeights  # type: ignore[assignment, misc]
    it = rank.Rank(Spec.read(write_spec(folder, asked)))
    for _ in range(WARM):
        it.step()
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as found:
        it.step()
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    table = found.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=70)
    return {"table": table}


def measure_bare(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The same layers and batches in a plain loop: FP32 sums of gradients, clip, torch's AdamW on FP32 weights."""
    import torch

    from steps.train.attention import choose_backend
    from steps.train.engine import start_ranks
    from steps.train.layers import Computing, Whole, megatron_config
    from steps.train.spec import Spec
    from steps.train.weights import load_weights
    from steps.train.windows import Windows, batch_windows, micro_batches

    spec = Spec.read(write_spec(folder, asked))
    on_gpu = torch.cuda.is_available()
    start_ranks(spec.config, spec.rendezvous, on_gpu)
    device = torch.device("cuda" if on_gpu else "cpu")
    backend = choose_backend(spec.config.attention, torch.cuda.get_device_capability() if on_gpu else None)
    computing = Computing(backend, on_gpu, "none")
    model = Whole(spec.model, megatron_config(spec.model, 1, torch.bfloat16, on_gpu), computing)
    model = model.to(device, torch.bfloat16)
    load_weights(model, RandomWeights([]), "", 0)  # type: ignore[arg-type]
    weights: list[torch.Tensor] = list(model.parameters())
    masters = [weight.detach().float() for weight in weights]
    sums = [torch.zeros_like(master) for master in masters]
    optimizer = torch.optim.AdamW(masters, lr=1e-5, betas=(0.9, 0.95), weight_decay=0.1, fused=on_gpu)
    windows = Windows(spec.windows, spec.sequence_length)
    steps = []
    for step in range(spec.steps):
        chosen = batch_windows(windows, step, spec.config.batch_windows)
        batches = list(micro_batches(windows, chosen, spec.config.micro_batch, 0, 1))
        began = time.perf_counter()
        for inputs, labels in batches:
            loss = model(tuple(x.to(device) for x in inputs), tuple(x.to(device) for x in labels))
            (loss / len(batches)).backward()
            with torch.no_grad():
                for weight, total in zip(weights, sums, strict=True):
                    assert weight.grad is not None
                    total.add_(weight.grad)
                    weight.grad = None
        with torch.no_grad():
            norm = torch.stack(torch._foreach_norm(sums)).norm()
            torch._foreach_mul_(sums, (1.0 / (norm + 1e-6)).clamp(max=1.0))
            for master, total in zip(masters, sums, strict=True):
                master.grad = total
            optimizer.step()
            torch._foreach_copy_(weights, masters)
            torch._foreach_zero_(sums)
        if on_gpu:
            torch.cuda.synchronize()
        steps.append(time.perf_counter() - began)
    memory = torch.cuda.max_memory_allocated() / GIB if on_gpu else 0.0
    return {"seconds": statistics.median(steps[WARM:]), "memory_gib": memory, "backend": backend}


def measure_attention(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Relative errors of a backend's output and gradients in BF16 against the reference in float64, and its time.

    The ends are padded with their last value, as the trainer's are. Time is that of output and gradients on two windows
    of `shape`'s model; the reference, which no GPU run uses, is not timed.
    """
    import torch

    from steps.train.attention import attend, choose_backend

    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    backend = choose_backend(asked["attention"], torch.cuda.get_device_capability() if on_gpu else None)
    lengths = [300, 1, 1747] if on_gpu else [30, 1, 33]
    heads, groups, size = (8, 4, 128) if on_gpu else (4, 2, 16)
    generator = torch.Generator().manual_seed(1)
    drawn = [
        torch.randn(1, sum(lengths), n, size, generator=generator) for n in (heads, groups, groups, heads)
    ]
    positions = torch.cat([torch.arange(n) for n in lengths])[None].to(device)
    ends = torch.tensor([0, *lengths, 0, 0]).cumsum(0).to(device, torch.int32)

    def run(name: str, dtype: Any) -> list[Any]:
        q, k, v, probe = (x.to(device, torch.bfloat16).to(dtype) for x in drawn)
        q, k, v = (x.requires_grad_() for x in (q, k, v))
        out = attend(name, q, k, v, positions, ends)
        return [out.detach(), *torch.autograd.grad((out * probe).sum(), (q, k, v))]

    truth = run("reference", torch.float64)
    found = run(backend, torch.bfloat16)
    errors = [float((a.double() - b).norm() / b.norm()) for a, b in zip(found, truth, strict=True)]
    timed = on_gpu and backend != "reference"
    return {
        "backend": backend,
        "errors": errors,
        "ms": time_attention(folder, asked, backend) if timed else None,
    }


def time_attention(folder: Path, asked: dict[str, Any], backend: str) -> float:
    """Milliseconds of output and gradients of one layer's attention over two packed windows; the least of 20."""
    import torch

    from steps.train.attention import attend
    from steps.train.windows import TokenFile, Windows, collate

    model, length, mean = shape(1, asked["tiny"])
    row = write_windows(folder, 2, length, mean, model.vocabulary)
    windows = Windows([TokenFile(Path(row[0]), Path(row[1]), row[2])], length)
    (_, positions, ends), _ = collate(windows, torch.arange(2).numpy(), 1.0)
    positions, ends = positions.cuda(), ends.cuda()
    sizes = (model.heads, model.key_value_heads, model.key_value_heads, model.heads)
    q, k, v, probe = (torch.randn(2, length, n, model.head_size, device="cuda").bfloat16() for n in sizes)
    q, k, v = (x.requires_grad_() for x in (q, k, v))
    found = []
    for _ in range(25):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        torch.autograd.grad(attend(backend, q, k, v, positions, ends), (q, k, v), probe)
        end.record()
        torch.cuda.synchronize()
        found.append(start.elapsed_time(end))
    return min(found[5:])


WORKERS = {
    "rank": measure_rank,
    "bare": measure_bare,
    "attention": measure_attention,
    "profile": profile_rank,
}


def measure(kind: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The answer of one worker process; {"error": its last line} where it fails."""
    request = json.dumps({"kind": kind, **asked})
    environment = rank_environment(1, 2) | {"RANK": "0", "LOCAL_RANK": "0"}
    command = [sys.executable, "-m", "benchmarks.speed.train_gpu", "--worker", request]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        return {"error": (done.stderr.strip() or "it said nothing").splitlines()[-1][:120]}
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def work(request: str) -> None:
    """Answer one request, in this process, on standard output."""
    asked = json.loads(request)
    answers = os.fdopen(os.dup(1), "w")  # libraries print too
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="train-gpu-") as folder:
        print(json.dumps(WORKERS[asked["kind"]](Path(folder), asked)), file=answers, flush=True)
    os._exit(0)  # see steps.train.engine.leave


def attention_rows(backends: list[str], common: dict[str, Any]) -> Iterator[list[str]]:
    for name in backends:
        found = measure("attention", common | {"attention": name})
        errors = [f"{error:.1e}" for error in found.get("errors", [])] or [found.get("error", ""), "", "", ""]
        ms = found.get("ms")
        yield [f"{name} ({found.get('backend', '-')})", *errors, "" if ms is None else f"{ms:.2f}"]


def step_rows(runs: list[dict[str, Any]], common: dict[str, Any]) -> Iterator[list[str]]:
    bare = measure("bare", common | runs[0])
    said = f"{1000 * bare['seconds']:.0f}" if "seconds" in bare else bare["error"]
    yield [
        "bare loop, settings of the next line",
        said,
        "",
        "",
        "",
        "",
        f"{bare.get('memory_gib', 0):.1f}",
        "",
    ]
    for run in runs:
        found = measure("rank", common | run)
        name = ", ".join(f"{key} {value}" for key, value in run.items())
        if "error" in found:
            yield [name, found["error"], *[""] * 6]
            continue
        same = run == runs[0] and "seconds" in bare
        yield [
            f"{name} ({found['backend']})",
            f"{1000 * found['seconds']:.0f}",
            f"{found['tflops']:.3g}",
            f"{found['tflops'] / PEAK:.1%}",
            f"{found['seconds'] / bare['seconds'] - 1:+.1%}" if same else "",
            f"{found['stall_share']:.2%}",
            f"{found['memory_gib']:.1f}",
            f"{found['expected_gib']:.1f}",
        ]


def show(header: list[str], rows: Iterator[list[str]]) -> None:
    """Print a Markdown table line by line, so that what is measured is there if the machine goes."""
    print(markdown(header, []), flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print(flush=True)


def machine() -> str:
    """The GPU and the versions that the figures depend on."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    gpu = subprocess.run(command, capture_output=True, text=True).stdout.strip() if has_gpu() else "no GPU"
    versions = []
    for name in ("torch", "deepspeed", "megatron-core", "flash-attn-4", "flash-attn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    return f"{gpu}; {', '.join(versions)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--steps", type=int, default=6, help="measured steps per line")
    parser.add_argument("--profile", action="store_true", help="print the first line's kernels")
    parser.add_argument(
        "--tiny", action="store_true", help="tiny shapes on a CPU: shows that the script runs"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
    if not (has_gpu() or options.tiny):
        print("no NVIDIA GPU on this machine; --tiny runs the same code on its CPU")
        raise SystemExit(NO_DEVICE)
    common = {"layers": 2 if options.tiny else options.layers, "steps": options.steps, "tiny": options.tiny}
    backends = ["reference"] if options.tiny else ["reference", "varlen", "flash_attn"]
    runs = [{"attention": "reference", "micro_batch": 2}] if options.tiny else RUNS
    print(machine(), end="\n\n", flush=True)
    attention = ["attention in BF16 against float64", "output", "dq", "dk", "dv", "ms, two windows"]
    show(attention, attention_rows(backends, common))
    step = [
        "step of 8 micro-batches",
        "ms",
        "TFLOPS",
        "of 989",
        "over bare loop",
        "data stall",
        "GiB",
        "expected",
    ]
    show(step, step_rows(runs, common))
    if options.profile:
        found = measure("profile", common | runs[0])
        print(found.get("table", found.get("error")))


if __name__ == "__main__":
    main()
