"""Measures what each stage of recipes costs, for `tokenmill plan` (writes steps/plan/rates.yaml), or compares.

    python -m benchmarks.rates ROOT RECIPE[:DUMP]... [--set SECTION.FIELD=VALUE]... [--workers N…] [--compare]

runs the recipes one after the other below ROOT, each stage as a process of its own, once with one worker and once with
two (or `--workers`). Taken are CPU seconds, so that others may use the machine; the largest sum of the processes'
resident bytes (PSS); and the bytes that lie in the store afterwards. ROOT has nothing but the models that the recipes
ask for. Give a small and a large dump: what grows with the shard is told from what does not by them. `--compare` writes
nothing, and prints a table of what `plan` predicts for the same inputs beside what was measured.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import run_process
from steps.core.artifact import Artifact
from steps.core.config import StepConfig, config_class, parse_config
from steps.core.needs import Size
from steps.core.pipeline import resolve_inputs, stages
from steps.core.recipe import find_recipe
from steps.core.runs import section_config
from steps.core.step import load_step
from steps.plan.command import Plan, plan_run
from steps.plan.forecast import MARGIN, RATES, expanded, load_rates, need_of, size_of

# cost follows the model and its tokens, not the bytes of the data
MODEL_BOUND = ("initialize", "train", "export")
LEAST_WORKER = 50.0  # MB


class Sample(NamedTuple):
    """One run of a stage: its input, and what it took."""

    section: str
    step: str
    workers: int
    size: Size
    config: StepConfig
    seconds: float
    memory: int
    stored: int
    raw: float


def main() -> None:
    """Measure, then merge the rates into rates.yaml or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("recipes", nargs="+", metavar="RECIPE[:DUMP]")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    samples = []
    for number, item in enumerate(options.recipes):
        name, _, dump = item.rpartition(":") if ":" in item else (item, "", "")
        root = f"file://{options.root.resolve()}"
        run_id = f"rates-{number}-{Path(name).stem}-{dump}"
        plan = plan_run(find_recipe(name), root, run_id, dump=dump or None, overrides=options.overrides)
        samples += run_recipe(options.root.resolve(), plan, options.workers)
    if options.compare:
        print(markdown(*compared(samples)))
        return
    rates = load_rates()
    by_step: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_step[sample.step].append(sample)
    rates.update({step: fitted(found) for step, found in by_step.items() if load_step(step).needs is None})
    head = "# Cost of each step, measured by benchmarks/rates.py; what each means: steps/plan/forecast.py.\n"
    RATES.write_text(head + yaml.safe_dump(rates, sort_keys=True))


def run_recipe(root: Path, plan: Plan, numbers: Sequence[int]) -> list[Sample]:
    """Every stage with each number of workers, from the same inputs."""
    samples, made = [], dict[str, str]()
    raw = sum(expanded(item["key"], item["bytes"]) for item in plan.source.artifact.config["objects"])
    for stage in stages(plan.run["dag"]):
        if stage.step in MODEL_BOUND:
            break
        given = resolve_inputs(stage, {}, made)
        inputs = resolve_inputs(stage, plan.run["inputs"], made)
        size = size_of({name: Artifact.open(ref) for name, ref in inputs.items()}, raw)
        for workers in numbers:
            cost, ref = measure(root, plan.reference, stage.step, stage.section, given, workers)
            made[stage.section] = ref
            folder = root / "/".join(ref.partition("@")[0].split("/")[-2:])
            stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            config = parse_config(
                config_class(stage.section), section_config(plan.run, stage.section), stage.section
            )
            sample = Sample(
                stage.section, stage.step, workers, size, config, cost.cpu, cost.memory, stored, raw
            )
            samples.append(sample)
            print(
                f"{stage.section}, {workers} workers: {cost.cpu:.1f} s CPU, {cost.memory / 1e6:.0f} MB, "
                f"{size.bytes / 1e6:.1f} MB in, {stored / 1e6:.1f} MB stored",
                file=sys.stderr,
                flush=True,
            )
            if stage.step == "publish":
                break  # it is in the catalog now
            if workers != numbers[-1]:
                shutil.rmtree(folder)  # what it made is made again, to the byte
    return samples


def measure(
    root: Path, run: str, step: str, section: str, given: dict[str, str], workers: int
) -> tuple[Any, str]:
    """Run one stage; what it cost, and its reference."""
    result = root / "rates-result.json"
    command = [sys.executable, "-m", "steps.core.cli", "step", step, "--root", f"file://{root}"]
    command += ["--section", section, "--run", run]
    command += [word for name, ref in given.items() for word in ("--input", f"{name}={ref}")]
    cost = run_process(command, {"STEP_MANIFEST": str(result), "TOKENMILL_WORKERS": str(workers)})
    return cost, yaml.safe_load(result.read_text())["ref"]


def fitted(samples: list[Sample]) -> dict[str, float]:
    """The rates of a step, so that no sample lies above them."""
    samples = [s._replace(memory=s.memory - s.size.models) for s in samples]
    single = sorted((s for s in samples if s.workers == 1), key=lambda s: s.size.shard)
    small, large = single[0], single[-1]
    grown = large.size.shard - small.size.shard
    slope = max(0.0, (large.memory - small.memory) / grown) if grown else 0.0
    base = max(s.memory - slope * s.size.shard for s in single)
    more = [s.memory - base - 2 * slope * s.size.shard for s in samples if s.workers == 2]
    took: dict[int, float] = {}  # by size; the first run of all may have compiled kernels
    for s in samples:
        took[s.size.bytes] = min(s.seconds, took.get(s.size.bytes, s.seconds))
    least = min(took.values())
    rising = max((seconds - least) / (size / 1e6) for size, seconds in took.items())
    alone = least / (small.size.bytes / 1e6) if len(took) == 1 else 0.0
    return {
        "input_share": round(max(s.size.bytes / s.raw for s in samples), 3),
        "seconds": round(least if len(took) > 1 else 3.0, 1),
        "seconds_per_mb": round(max(rising, alone, 0.001), 3),
        "memory_mb": round(base / 1e6),
        "worker_mb": round(max(LEAST_WORKER, *(one / 1e6 for one in more), LEAST_WORKER)),
        "memory_per_shard_byte": round(slope, 2),
        "disk_per_byte": round(max(0.001, *(s.stored / s.size.bytes for s in samples)), 3),
    }


def compared(samples: list[Sample]) -> tuple[list[str], list[list[str]]]:
    """The table of predictions beside measurements; the margin is part of a prediction."""
    header = [
        "stage",
        "text, MB",
        "workers",
        "memory, MB",
        "predicted",
        "disk, MB",
        "predicted",
        "CPU s",
        "pred.",
    ]
    rows = []
    for sample in samples:
        need = need_of(sample.step, sample.config, sample.size, sample.workers, load_rates())
        assert need is not None  # MODEL_BOUND stages are not measured
        rows.append(
            [
                sample.section,
                f"{sample.size.bytes / 1e6:.1f}",
                str(sample.workers),
                f"{sample.memory / 1e6:.0f}",
                f"{need.memory / 1e6:.0f}",
                f"{sample.stored / 1e6:.1f}",
                f"{need.stored / 1e6:.1f}",
                f"{sample.seconds:.1f}",
                f"{need.seconds:.1f}",
            ]
        )
    return [*header[:-1], f"pred. (margin {MARGIN})"], rows


if __name__ == "__main__":
    main()
