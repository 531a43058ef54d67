"""The train step: start the ranks, watch them, upload what they write."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from steps.core.approval import verify_training
from steps.core.errors import DataError, ServiceError, StepError
from steps.core.parts import PartWriter, read_marker
from steps.core.step import Input, Step, StepContext, Terminated
from steps.train.checkpoints import Checkpoints
from steps.train.config import Config
from steps.train.gang import DIVERGED, OUT, PROGRESS, STOP, Gang
from steps.train.monitor import Monitor
from steps.train.needs import forecast
from steps.train.passed_on import pass_on
from steps.train.prepare import check_chain, check_origin, write_spec
from steps.train.report import report

GRACE_SECONDS = 25.0  # to finish an optimizer step and save, below the 30 s of most schedulers
FINAL = "final"
KINDS = {"model": "weights", "state": "state", "record": "record", "probe": "probe"}


def run(ctx: StepContext) -> None:
    """Verify what is trained on, train (from the last checkpoint, where there is one), and keep what came out."""
    config: Config = ctx.config
    tokens, model, previous = ctx.inputs["tokens"], ctx.inputs["model"], ctx.inputs.get("previous")
    check_origin(tokens, verify_training(tokens))
    check_chain(tokens, model, previous, config.stage)
    if previous is not None and not tokens.facts["windows"]:
        pass_on(ctx, previous)
        return
    out = ctx.scratch / OUT
    if read_marker(ctx.store, ctx.folder, FINAL, 0, {}) is None:
        train(ctx, out)
    record = ctx.part(FINAL, partial(upload_final, out / "final")).result
    for name, value in summary(config, record).items():
        ctx.set(name, value)
    for entry in record["train"]:
        for name in ("loss", "learning_rate", "gradient_norm", "tokens"):
            ctx.metric(f"train/{name}", entry[name], entry["step"])
    for entry in record["heldout"]:
        ctx.metric(f"eval/loss_{entry['set']}", entry["loss"], entry["step"])
    for event in record["events"]:
        ctx.metric("train/passed_over", event["step"], event["step"])


def train(ctx: StepContext, out: Path) -> None:
    """Run the ranks to the end; their checkpoints are committed as they appear."""
    config: Config = ctx.config
    out.mkdir(parents=True)
    spec, steps = write_spec(ctx, out)
    ranks = config.layout.ranks
    ctx.log.info("train: stage %d, %d steps on %d ranks", config.stage, steps, ranks)
    gang = Gang(spec, ranks, config.threads_per_rank, ctx.scratch / "logs")
    monitor, checkpoints = Monitor(ctx, out / PROGRESS, steps), Checkpoints(ctx, out)
    try:
        while (code := gang.poll()) is None:
            gang.wait(0.5)
            monitor.read()
            checkpoints.commit()
        checkpoints.commit()
        monitor.read(force=True)
    except Terminated:
        ctx.log.info("train: asked to stop; saving a checkpoint")
        (out / STOP).touch()
        end = time.monotonic() + GRACE_SECONDS
        while (code := gang.poll()) is None and time.monotonic() < end:
            gang.wait(0.2)
        checkpoints.commit()
        if code == 0:  # they were through before they saw the request
            ctx.part(FINAL, partial(upload_final, out / "final"))
        raise
    finally:
        gang.kill()
    if code == DIVERGED:
        raise DataError(
            f"training diverged at {monitor.stopped}; lower learning_rate, look at the data of that step, or let "
            "stability pass such steps over"
        )
    if code < 0:
        raise ServiceError(f"a training rank was killed by signal {-code} (out of memory?); a retry resumes")
    if code:
        raise StepError(f"a training rank failed:\n{gang.tail()}")
    ctx.provenance["speed"] = monitor.speed()


def upload_final(folder: Path, task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Weights, optimizer state, probe and record of the finished stage; returns the record."""
    model = part.inputs["model"]
    part.put_bytes("config.json", model.read_bytes(model.file("config.json")), "config")
    for path in sorted(folder.iterdir()):
        if kind := KINDS.get(path.name.partition("-")[0].partition(".")[0]):
            part.put_file(path.name, path, kind)
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def summary(config: Config, record: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says about the stage: steps, tokens, first and last losses, what was passed over."""
    heldout: dict[str, dict[str, float]] = {}
    for entry in record["heldout"]:
        heldout.setdefault(entry["set"], {"first": entry["loss"]})["last"] = entry["loss"]
    losses = [entry["loss"] for entry in record["train"]]
    if not losses:
        raise DataError("every step of the stage was passed over: " + json.dumps(record["events"][:3]))
    found = {
        "stage": config.stage,
        "steps": record["step"],
        "optimizer_steps": record["adam_step"],
        "tokens": record["tokens"],
        "loss": {"first": losses[0], "last": losses[-1]},
        "heldout_loss": heldout,
        "passed_over": record["events"],
    }
    found |= {"earlier_layouts": record["layouts"]} if record["layouts"] else {}
    return found | ({"stopped_early": record["stopped_early"]} if record["stopped_early"] else {})


STEP = Step(
    name="train",
    version=4,  # 4: ordinary steps of few tokens are no spikes; warm-up and decay of exactly the share that is set
    config=Config,
    run=run,
    inputs=(Input("tokens"), Input("model"), Input("previous", optional=True)),
    libraries=("torch", "deepspeed", "megatron-core", "safetensors"),
    determinism="per-layout",
    report=report,
    forecast=forecast,
)
