"""The train step: start the ranks, watch them, upload what they write."""

from __future__ import annotations

import json
import math
import time
from functools import partial
from pathlib import Path
from typing import Any

from steps.core.approval import verify_training
from steps.core.errors import DataError, ServiceError, StepError
from steps.core.parts import PartWriter, read_marker
from steps.core.step import Input, Step, StepContext, Terminated
from steps.train.config import Config
from steps.train.gang import DIVERGED, DONE, PROGRESS, STOP, Gang
from steps.train.prepare import CHECKPOINT, check_chain, write_spec

GRACE_SECONDS = 25.0  # to finish an optimizer step and save, below the 30 s of most schedulers
FINAL = "final"
KINDS = {"model": "weights", "state": "state", "record": "record", "probe": "probe"}


def run(ctx: StepContext) -> None:
    """Verify what is trained on, train (from the last checkpoint, where there is one), and keep what came out."""
    config: Config = ctx.config
    tokens, model, previous = ctx.inputs["tokens"], ctx.inputs["model"], ctx.inputs.get("previous")
    verify_training(tokens)
    check_chain(tokens, model, previous, config.stage)
    out = ctx.scratch / "out"
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


def train(ctx: StepContext, out: Path) -> None:
    """Run the ranks to the end; their checkpoints are committed as they appear."""
    config: Config = ctx.config
    out.mkdir(parents=True)
    spec, steps = write_spec(ctx, out)
    ranks = config.layout.ranks
    ctx.log.info("train: stage %d, %d steps on %d ranks", config.stage, steps, ranks)
    gang = Gang(spec, ranks, config.threads_per_rank, ctx.scratch / "logs")
    seen = Progress(ctx, steps)
    try:
        while (code := gang.poll()) is None:
            gang.wait(0.5)
            seen.read(out / PROGRESS)
            commit_checkpoints(ctx, out)
        commit_checkpoints(ctx, out)
        seen.read(out / PROGRESS, force=True)
    except Terminated:
        ctx.log.info("train: asked to stop; saving a checkpoint")
        (out / STOP).touch()
        end = time.monotonic() + GRACE_SECONDS
        while (code := gang.poll()) is None and time.monotonic() < end:
            gang.wait(0.2)
        commit_checkpoints(ctx, out)
        if code == 0:  # they were through before they saw the request
            ctx.part(FINAL, partial(upload_final, out / "final"))
        raise
    finally:
        gang.kill()
    if code == DIVERGED:
        raise DataError(
            f"training diverged at {seen.error}; lower learning_rate or look at the data of that step"
        )
    if code < 0:
        raise ServiceError(f"a training rank was killed by signal {-code} (out of memory?); a retry resumes")
    if code:
        raise StepError(f"a training rank failed:\n{gang.tail()}")


def commit_checkpoints(ctx: StepContext, out: Path) -> None:
    """Commit every finished checkpoint as a part, oldest first, and free its disk space."""
    for done in sorted(out.glob(f"checkpoint-*/{DONE}")):
        step = int(done.parent.name.removeprefix("checkpoint-"))
        ctx.part(f"{CHECKPOINT}{step:08d}", partial(upload_checkpoint, done.parent), {"step": step})
        for path in done.parent.iterdir():
            path.unlink()
        done.parent.rmdir()


def upload_checkpoint(folder: Path, task: dict[str, Any], part: PartWriter) -> None:
    for path in sorted(folder.iterdir()):
        if path.name != DONE:
            part.put_file(f"{folder.name}/{path.name}", path, "checkpoint", temporary=True)


def upload_final(folder: Path, task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Weights, optimizer state, probe and record of the finished stage; returns the record."""
    model = part.inputs["model"]
    part.put_bytes("config.json", model.read_bytes(model.file("config.json")), "config")
    for path in sorted(folder.iterdir()):
        part.put_file(path.name, path, KINDS[path.name.partition("-")[0].partition(".")[0]])
    record: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return record


def summary(config: Config, record: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says about the stage: steps, tokens, first and last losses."""
    heldout: dict[str, dict[str, float]] = {}
    for entry in record["heldout"]:
        heldout.setdefault(entry["set"], {"first": entry["loss"]})["last"] = entry["loss"]
    losses = [entry["loss"] for entry in record["train"]]
    return {
        "stage": config.stage,
        "steps": record["step"],
        "optimizer_steps": record["adam_step"],
        "tokens": record["tokens"],
        "loss": {"first": losses[0], "last": losses[-1]},
        "heldout_loss": heldout,
    }


class Progress:
    """Log lines from what the first rank reports, not more often than Runtime asks."""

    def __init__(self, ctx: StepContext, steps: int) -> None:
        self.log, self.every, self.steps = ctx.log, ctx.runtime.progress_seconds, steps
        self.at, self.last, self.began = 0, -math.inf, 0.0
        self.first: int | None = None
        self.error = ""

    def read(self, path: Path, force: bool = False) -> None:
        """Read new lines; log the newest optimizer step and every held-out loss."""
        if not path.exists():
            return
        with path.open() as file:
            file.seek(self.at)
            text = file.read()
        text = text[: text.rfind("\n") + 1]
        self.at += len(text.encode())
        newest = None
        for line in map(json.loads, text.splitlines()):
            if line["kind"] == "train":
                newest = line
            elif line["kind"] == "heldout":
                self.log.info("train: step %(step)d, held-out loss of %(set)s %(loss).4f", line)
            else:
                self.error = line["message"]
        if newest and (force or newest["step"] == self.steps or time.monotonic() - self.last >= self.every):
            self._step(newest)

    def _step(self, line: dict[str, Any]) -> None:
        now = time.monotonic()
        if self.first is None:  # start-up is not part of the rate
            self.first, self.began = line["step"], now
        done, left = line["step"] - self.first, self.steps - line["step"]
        rate = f", {left * (now - self.began) / done:.0f} s left" if done and left else ""
        self.log.info(
            "train: step %d/%d, loss %.4f, learning rate %.2e, gradient norm %.3f, %d tokens%s",
            line["step"], self.steps, line["loss"], line["learning_rate"], line["gradient_norm"], line["tokens"], rate,
        )  # fmt: skip
        self.last = now


STEP = Step(
    name="train",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("tokens"), Input("model"), Input("previous", optional=True)),
    libraries=("torch", "deepspeed", "megatron-core", "safetensors"),
    determinism="per-layout",
)
