"""From a step's inputs to the files and settings that its ranks read."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from steps.core.approval import Approved
from steps.core.architecture import read_architecture
from steps.core.artifact import Artifact
from steps.core.errors import ConfigError, DataError
from steps.core.step import StepContext
from steps.train.checkpoints import fetch_newest
from steps.train.config import Config
from steps.train.estimate import check_memory, estimate
from steps.train.layout import check_layout

SETTINGS = Path(__file__).resolve().parents[2] / "configs" / "deepspeed"
LEAST_BUCKET, MOST_BUCKET = 1 << 20, 500_000_000  # numbers; the upper one is DeepSpeed's default
TRAIN, HELD_OUT = "train", "heldout/"


def check_chain(tokens: Artifact, model: Artifact, previous: Artifact | None, stage: int) -> None:
    """Raise DataError unless tokens, model and previous stage are what their steps made, and belong together."""
    for artifact, step in ((tokens, "pack"), (model, "initialize"), (previous, "train")):
        if artifact is not None and artifact.step != step:
            raise DataError(f"{artifact.reference.uri} was made by {artifact.step}, not by {step}")
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
    if previous.input("tokens").input("mix").digest != tokens.input("mix").digest:
        raise DataError(f"{previous.reference.uri} was trained on another mix than {tokens.reference.uri}")
    if stopped := previous.facts.get("stopped_early"):
        raise DataError(
            f"{previous.reference.uri} was stopped early at step {stopped['step']} (stop_above): "
            "nothing goes on from it"
        )
    if previous.facts["stage"] >= stage:
        raise DataError(
            f"{previous.reference.uri} is stage {previous.facts['stage']}: stage {stage} cannot follow it"
        )


def check_origin(tokens: Artifact, approved: Approved) -> None:
    """Raise DataError unless every token comes from a shard of the mix's inputs: approved, or ungated by its recipe."""
    mix = approved.mix
    if tokens.input("mix").digest != mix.digest:
        raise DataError(f"{tokens.reference.uri} was not packed from the mix {mix.reference.uri}")
    known = {entry.meta["shard"] for entry in mix.files("rows")}
    for entry in tokens.files("segments"):
        found = pc.unique(tokens.read_table(entry, ["shard"])["shard"]).to_pylist()
        if strange := sorted(set(found) - known):
            raise DataError(
                f"{tokens.where(entry)} holds tokens of the shard {strange[0][:12]}, which is not of the approved "
                f"corpora behind {mix.reference.uri}"
            )


def engine_settings(config: Config, parameters: int) -> dict[str, Any]:
    """DeepSpeed's settings: the committed file of this precision, and what follows from Config and model size."""
    settings: dict[str, Any] = json.loads((SETTINGS / f"{config.precision}.json").read_text())
    settings["zero_optimization"]["stage"] = config.zero
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
    check_layout(architecture, config, length)
    needed = estimate(architecture, config, length, tokens.facts["windows"])
    ctx.log.info("train: %s", needed.sentence())
    check_memory(needed, config)
    folder = ctx.scratch / "inputs"
    sets = fetch_windows(tokens, folder / "tokens")
    _check_sets(config, [name.removeprefix(HELD_OUT) for name in sets if name != TRAIN])
    weights = fetch_named(model, "weights", folder / "model")
    previous = ctx.inputs.get("previous")
    state = fetch_named(previous, "state", folder / "previous") if previous else None
    found = fetch_newest(ctx, folder / "checkpoint")
    supply = -(-tokens.facts["windows"] // config.batch_windows)
    steps = config.steps or supply
    if steps > supply:
        raise ConfigError(
            f"train_{config.stage}.steps {steps} needs {steps * config.batch_windows} windows, the stage has "
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
        "resume": str(found[0]) if found else None,
        "resumed_layout": found[1] if found else None,
        "out": str(out),
        "rendezvous": str(out / "rendezvous"),
    }
    path = ctx.scratch / "spec.json"
    path.write_text(json.dumps(spec))
    return path, steps


def _check_sets(config: Config, heldout: list[str]) -> None:
    """Raise ConfigError unless every set that may stop the stage is held out."""
    named = {bound.set for limit in config.stop_above for bound in limit.bounds}
    if unknown := sorted(named - set(heldout)):
        raise ConfigError(
            f"train_{config.stage}.stop_above: nothing is held out as {', '.join(unknown)}; "
            f"the sets are {', '.join(sorted(heldout))}"
        )


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
