"""From a step's inputs to the files and settings that its ranks read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from steps.core.artifact import Artifact, Files
from steps.core.errors import ConfigError, DataError
from steps.core.parts import read_marker
from steps.core.step import StepContext
from steps.train.architecture import check_layout, read_architecture
from steps.train.config import Config

SETTINGS = Path(__file__).resolve().parents[2] / "configs" / "deepspeed"
LEAST_BUCKET, MOST_BUCKET = 1 << 20, 500_000_000  # numbers; the upper one is DeepSpeed's default
CHECKPOINT = "checkpoint_"
TRAIN, HELD_OUT = "train", "heldout/"


def check_chain(tokens: Artifact, model: Artifact, previous: Artifact | None, stage: int) -> None:
    """Raise DataError unless tokens, model and previous stage belong together."""
    if tokens.facts.get("stage") != stage:
        raise DataError(
            f"{tokens.reference.uri} holds windows of stage {tokens.facts.get('stage')}, not {stage}"
        )
    if tokens.input("model").digest != model.digest:
        raise DataError(
            f"{tokens.reference.uri} was packed with another tokenizer than {model.reference.uri} has"
        )
    if previous is None:
        return
    if previous.input("model").digest != model.digest:
        raise DataError(f"{previous.reference.uri} was trained from another model than {model.reference.uri}")
    if previous.facts["stage"] >= stage:
        raise DataError(
            f"{previous.reference.uri} is stage {previous.facts['stage']}: stage {stage} cannot follow it"
        )


def engine_settings(config: Config, parameters: int) -> dict[str, Any]:
    """DeepSpeed's settings: the committed file of this precision, and what follows from Config and model size."""
    settings: dict[str, Any] = json.loads((SETTINGS / f"zero1_{config.precision}.json").read_text())
    # DeepSpeed allocates whole buckets, by default two of 500 million numbers, however small the model is.
    bucket = min(MOST_BUCKET, max(LEAST_BUCKET, parameters))
    settings["zero_optimization"] |= {"reduce_bucket_size": bucket, "allgather_bucket_size": bucket}
    return settings | {
        "train_micro_batch_size_per_gpu": config.micro_batch,
        "gradient_accumulation_steps": config.batch_windows // (config.micro_batch * config.layout.data),
        "gradient_clipping": config.clip,
    }


def write_spec(ctx: StepContext, out: Path) -> tuple[Path, int]:
    """Fetch inputs and write the ranks' spec; returns its path and the number of optimizer steps."""
    config: Config = ctx.config
    tokens, model = ctx.inputs["tokens"], ctx.inputs["model"]
    described = json.loads(model.read_bytes(model.file("config.json")))
    architecture = read_architecture(described)
    length = tokens.facts["sequence_length"]
    check_layout(architecture, config.layout.tensor, config.layout.pipeline, length)
    folder = ctx.scratch / "inputs"
    sets = fetch_windows(tokens, folder / "tokens")
    weights = fetch_named(model, "weights", folder / "model")
    previous = ctx.inputs.get("previous")
    state = fetch_named(previous, "state", folder / "previous") if previous else None
    resume = fetch_checkpoint(ctx, folder / "checkpoint")
    supply = -(-tokens.facts["windows"] // config.batch_windows)
    steps = config.steps or supply
    if steps > supply:
        raise ConfigError(
            f"train.steps {steps} needs {steps * config.batch_windows} windows, stage {config.stage} has "
            f"{tokens.facts['windows']}: nothing is repeated silently; give mix more epochs or lower steps"
        )
    spec = {
        "config": config.model_dump(mode="json"),
        "model": asdict(architecture),
        "settings": engine_settings(config, architecture.parameters),
        "sequence_length": length,
        "steps": steps,
        "windows": sets.pop(TRAIN),
        "heldout": {name.removeprefix(HELD_OUT): rows for name, rows in sets.items()},
        "weights": [str(path) for path in weights],
        "previous_state": [str(path) for path in state] if state else None,
        "previous_steps": previous.facts["optimizer_steps"] if previous else 0,
        "resume": str(resume) if resume else None,
        "out": str(out),
        "rendezvous": str(out / "rendezvous"),
    }
    path = ctx.scratch / "spec.json"
    path.write_text(json.dumps(spec))
    return path, steps


def fetch_windows(tokens: Artifact, folder: Path) -> dict[str, list[tuple[str, str, str]]]:
    """Local copies of all token files with their window tables, by set, in order."""
    sets: dict[str, list[tuple[str, str, str]]] = {}
    for entry in sorted(tokens.files("windows"), key=lambda e: (e.meta["set"], e.meta["number"])):
        stem = entry.key.removesuffix(".windows.parquet")
        binary = tokens.fetch(tokens.file(f"{stem}.bin"), folder)
        table = tokens.fetch(entry, folder)
        sets.setdefault(entry.meta["set"], []).append((str(binary), str(table), tokens.facts["token_type"]))
    return sets


def fetch_named(artifact: Artifact, kind: str, folder: Path) -> list[Path]:
    """Local copies of an artifact's files of one kind."""
    return [artifact.fetch(entry, folder) for entry in artifact.files(kind)]


def fetch_checkpoint(ctx: StepContext, folder: Path) -> Path | None:
    """The newest checkpoint that an earlier attempt of this very run left, every byte checked against its marker."""
    steps = checkpoint_steps(ctx)
    if not steps:
        return None
    marker = read_marker(ctx.store, ctx.folder, f"{CHECKPOINT}{steps[-1]:08d}", 0, {"step": steps[-1]})
    assert marker is not None
    files = Files(ctx.store, ctx.folder)
    for entry in marker.temporary:
        files.fetch(entry, folder).rename(folder / Path(entry.key).name)
    ctx.log.info("train: going on from the checkpoint of step %d", steps[-1])
    return folder


def checkpoint_steps(ctx: StepContext) -> list[int]:
    """Steps of this run's committed checkpoints, ascending."""
    prefix = f"{ctx.folder}/parts/{CHECKPOINT}"
    return sorted(int(info.key.removeprefix(prefix).partition("-")[0]) for info in ctx.store.list(prefix))
