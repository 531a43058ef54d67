"""choose_mixture: a search and the law fitted to its cells → the cell that is taken, and its recipe."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import yaml

from steps.choose_mixture.choice import check_fit, choose, recipe_of, target_steps
from steps.choose_mixture.config import Config
from steps.choose_mixture.report import report
from steps.core import lineage
from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.runs import run_key
from steps.core.step import Input, Step, StepContext

LOG = logging.getLogger("tokenmill.choose_mixture")


def run(ctx: StepContext) -> None:
    """Check that the law holds for cells it has not seen, and choose among those that were measured."""
    for name, value in ctx.part("choose", decide).result.items():
        ctx.set(name, value)
    cell = ctx.facts["cell"]
    ctx.log.info("choose_mixture: cell %d, %s", cell["cell"], cell["label"])


def decide(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """choice.json; returns the facts."""
    config: Config = part.config
    search, fit = part.inputs["search"], part.inputs["fit"]
    if fit.input("measurements").digest != search.digest:
        raise DataError(f"{fit.reference.uri} was not fitted to the search {search.reference.uri}")
    cell = choose(config, search.facts)
    found = {"cell": cell, "left_out_errors": check_fit(config, fit.facts["fits"], search.facts["sets"])}
    part.put_bytes("choice.json", json.dumps(found, sort_keys=True).encode(), "choice")
    return found


def cell_sections(train: Artifact) -> dict[str, dict[str, Any]]:
    """What a cell was made with, by the section of a recipe."""
    found: dict[str, dict[str, Any]] = {}
    stage: Artifact | None = train
    while stage is not None:
        number, tokens = stage.config["stage"], stage.input("tokens")
        found |= {f"train_{number}": stage.config, f"pack_{number}": tokens.config}
        found["mix"] = tokens.input("mix").config
        stage = stage.input("previous") if stage.has_input("previous") else None
    return found


def write_recipe(artifact: Artifact, run: Mapping[str, Any]) -> None:
    """`chosen.yaml` beside run.json, for the run's last choice; what it links is no part of an identity."""
    if not run:
        return
    config = Config.model_validate(artifact.config)
    search = artifact.input("search")
    cell = artifact.facts["cell"]
    train = search.input(f"cells.{cell['cell']:03d}")
    evidence = {
        "choice": artifact.ref,
        "search": search.ref,
        "fit": artifact.input("fit").ref,
        "cell": train.ref,
        "run": f"{artifact.store.uri}/{run_key(run['dag'], run['run_id'])}",
    }
    if mlflow := lineage.parent_path(artifact.store, run["dag"], run["run_id"]):
        evidence["mlflow"] = mlflow
    steps = target_steps(config, cell_sections(train), run["recipe"]["steps"])
    made = recipe_of(config, run, steps, cell["label"], evidence)
    text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120)
    key = chosen_key(run)
    artifact.store.put(key, text.encode())
    LOG.info("choose_mixture: the recipe for continual_pretraining is %s/%s", artifact.store.uri, key)


def chosen_key(run: Mapping[str, Any]) -> str:
    """Where the chosen recipe of a run lies."""
    return run_key(run["dag"], run["run_id"]).removesuffix("run.json") + "chosen.yaml"


STEP = Step(
    name="choose_mixture",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("search"), Input("fit")),
    report=report,
    after_commit=write_recipe,
)
