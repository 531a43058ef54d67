"""A stage that the recipe gives no data: the model goes on as the stage before left it."""

from __future__ import annotations

from typing import Any

from steps.core.artifact import Artifact
from steps.core.errors import ConfigError
from steps.core.parts import PartWriter
from steps.core.step import StepContext

KINDS = ("weights", "state", "probe", "config")


def pass_on(ctx: StepContext, previous: Artifact) -> None:
    """Keep the previous stage's weights, optimizer state and probe as this stage's, of no steps and no tokens.

    Raises ConfigError where the stage would be trained in another precision: what is handed on says which one it has.
    """
    before, own = previous.config["precision"], ctx.config.precision
    if before != own:
        raise ConfigError(
            f"train_{ctx.config.stage} has no data and precision {own}, but the stage before was trained in {before}; "
            "give it that precision"
        )
    ctx.log.info("train: stage %d has no data; the model stays as it is", ctx.config.stage)
    ctx.part("pass_on", copy_files)
    last, held = previous.facts["loss"]["last"], previous.facts["heldout_loss"]
    facts = {
        "stage": ctx.config.stage,
        "steps": 0,
        "optimizer_steps": previous.facts["optimizer_steps"],
        "tokens": 0,
        "loss": {"first": last, "last": last},
        "heldout_loss": {name: {"first": loss["last"], "last": loss["last"]} for name, loss in held.items()},
        "passed_over": [],
    }
    for name, value in facts.items():
        ctx.set(name, value)


def copy_files(task: dict[str, Any], part: PartWriter) -> None:
    """Write what a stage leaves once more, file by file."""
    previous = part.inputs["previous"]
    for entry in previous.files():
        if entry.kind in KINDS:
            path = previous.fetch(entry, part.scratch)
            part.put_file(entry.key, path, entry.kind, rows=entry.rows, **entry.meta)
            path.unlink()
