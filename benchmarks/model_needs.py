"""What `plan` predicts for the stages whose cost follows the model's size, beside what each of them takes.

    python -m benchmarks.model_needs [--root FOLDER] [--shapes HIDDENxLAYERS…]

For every shape a model is made, trained for a few steps on two CPU processes and exported, on the shared instruction
sets; each stage is a process of its own. Memory is the largest sum of the processes' resident bytes (PSS), store what
the stage's folder holds afterwards, seconds are of all cores. Predictions have no margin.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.quality.chain import markdown
from benchmarks.quality.quality_score import ROOT
from benchmarks.quality.study import Study
from benchmarks.quality.three_stages import ingest, mix_of
from benchmarks.speed.corpora import Cost, run_process
from steps.core.architecture import read_architecture
from steps.core.artifact import Artifact
from steps.core.config import config_class, parse_config, step_of
from steps.core.needs import Need
from steps.core.pipeline import stage
from steps.core.step import Outcome
from steps.plan.forecast import stage_forecast

LENGTH = 512
SETS: dict[str, dict[str, Any]] = {
    "alpaca_zh": {"stage": 1, "bytes": 200_000, "template": "text"},
    "gsm8k": {"stage": 1, "bytes": 300_000, "template": "text"},
}
CHAIN = {
    "initialize": {"mix": "mix"},
    "pack_1": {"mix": "mix", "model": "initialize"},
    "train_1": {"tokens": "pack_1", "model": "initialize"},
    "export": {"train": "train_1", "model": "initialize"},
}
HEADER = [
    "stage",
    "million weights",
    "memory, MB",
    "predicted",
    "store, MB",
    "predicted",
    "CPU s",
    "predicted",
]


def settings(hidden: int, layers: int) -> dict[str, dict[str, Any]]:
    """The sections of a small run: model, windows, six steps with two checkpoints, export."""
    shape = {
        "hidden": hidden,
        "layers": layers,
        "heads": hidden // 64,
        "ffn": 8 * hidden // 3 // 16 * 16,
        "vocabulary": 2000,
        "max_positions": LENGTH,
    }
    train = {
        "layout": {"data": 2},
        "steps": 6,
        "batch_windows": 2,
        "checkpoint_every": 3,
        "evaluate_every": 1000,
    }
    return {
        "mix": {},
        "initialize": {"from_scratch": shape, "characters": 500, "loss_bytes": 2000},
        "pack_1": {"stage": 1, "sequence_length": LENGTH},
        "train_1": {"stage": 1, "precision": "float32", **train},
        "train_3": {"stage": 3, "precision": "float32", **train},  # only what export is predicted from
        "export": {},
    }


def main() -> None:
    """Run every stage for every shape and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT / ".tokenmill" / "model_needs")
    parser.add_argument("--shapes", nargs="+", default=["256x4", "768x8"])
    options = parser.parse_args()
    study = Study("model-needs", options.root.resolve(), 1.0)
    study.root.mkdir(parents=True, exist_ok=True)
    mix = mix_of(study, ingest(study, list(SETS)), SETS)
    rows = []
    for shape in options.shapes:
        hidden, layers = map(int, shape.split("x"))
        rows += measured(study, mix, settings(hidden, layers))
    print(markdown(HEADER, rows))


def measured(study: Study, mix: Outcome, sections: Mapping[str, dict[str, Any]]) -> list[list[str]]:
    """A row per stage of one shape; what an earlier call made is made again."""
    configs = {name: parse_config(config_class(name), values, name) for name, values in sections.items()}
    made = {"mix": mix.ref}
    rows = []
    for section, wanted in CHAIN.items():
        inputs = {name: made[origin] for name, origin in wanted.items()}
        cost, made[section] = run_stage(study.root, section, sections[section], inputs)
        if section != "pack_1":
            need = stage_forecast(stage("continual_pretraining", section), configs).need
            assert need is not None  # a model from scratch is known before
            rows.append([section, *figures(Artifact.open(made[section]), cost, need)])
    return rows


def run_stage(
    root: Path, section: str, values: Mapping[str, Any], inputs: Mapping[str, str]
) -> tuple[Cost, str]:
    """Run one stage anew as a process; what it cost, and its reference."""
    settings, result = root / f"{section}.yaml", root / "result.json"
    settings.write_text(yaml.safe_dump(dict(values)))
    step = step_of(section)
    shutil.rmtree(root / step, ignore_errors=True)
    command = [sys.executable, "-m", "steps.core.cli", "step", step, "--root", f"file://{root}"]
    command += ["--config", str(settings)]
    command += [word for name, ref in inputs.items() for word in ("--input", f"{name}={ref}")]
    cost = run_process(command, {"STEP_MANIFEST": str(result)})
    print(f"{section}: {cost.cpu:.0f} s CPU, {cost.memory / 1e6:.0f} MB", file=sys.stderr, flush=True)
    return cost, json.loads(result.read_text())["ref"]


def figures(made: Artifact, cost: Cost, need: Need) -> list[str]:
    """Million weights; memory, store and time, each measured and predicted."""
    folder = Path(made.reference.uri.removeprefix("file://"))
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    described = made.read_bytes(made.file("config.json"))
    pairs = [
        (cost.memory / 1e6, need.memory / 1e6),
        (stored / 1e6, need.stored / 1e6),
        (cost.cpu, need.seconds),
    ]
    weights = read_architecture(json.loads(described)).parameters / 1e6
    return [f"{weights:.1f}", *(f"{value:,.0f}" for pair in pairs for value in pair)]


if __name__ == "__main__":
    main()
