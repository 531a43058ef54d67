"""search_mixture: the cells of a search → every held-out loss over tokens, the Pareto front, plots."""

from __future__ import annotations

import json
from typing import Any

from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.search_mixture.config import Cell, Config
from steps.search_mixture.design import cells
from steps.search_mixture.losses import Measured, pareto_front, read_cell, write_csv
from steps.search_mixture.recipe import mix_settings
from steps.search_mixture.report import report


def run(ctx: StepContext) -> None:
    """Read what every cell measured; the table is for `fit_scaling_law` and for people, the front for the choice."""
    found = ctx.part("collect", collect).result
    for name, value in found.items():
        ctx.set(name, value)
    for cell in found["cells"]:
        for name, loss in cell["losses"].items():
            ctx.metric(f"eval/loss_{name}", loss, cell["cell"])


def collect(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """measurements.csv and losses.json (all points, for the report); returns the facts."""
    config: Config = part.config
    wanted = cells(config)
    given = {
        int(name.partition(".")[2]): train for name, train in part.inputs.items() if name.startswith("cells.")
    }
    if sorted(given) != list(range(len(wanted))):
        lacking = [f"{number} ({cell.label})" for number, cell in enumerate(wanted) if number not in given]
        raise DataError(
            f"search_mixture: of {len(wanted)} cells these are not trained: {'; '.join(lacking) or 'none'}, and the "
            f"inputs are of {sorted(given)}; train them (in Airflow: clear them in `cells`, marking is not enough)"
        )
    for number, cell in enumerate(wanted):
        check_made(config, number, cell, given[number])
    measured = [read_cell(number, cell, given[number]) for number, cell in enumerate(wanted)]
    check_sets(measured)
    part.put_bytes("measurements.csv", write_csv(measured), "measurements")
    losses = [{"cell": m.number, "losses": dict(m.losses)} for m in measured]
    part.put_bytes("losses.json", json.dumps(losses, sort_keys=True).encode(), "losses")
    return {
        "cells": [describe(found) for found in measured],
        "pareto_front": pareto_front(measured),
        "stopped": [found.number for found in measured if found.stopped],
        "sets": sorted(measured[0].losses),
    }


def check_made(config: Config, number: int, cell: Cell, train: Artifact) -> None:
    """Raise DataError unless ``train`` was made with the cell's learning rate and tokens."""
    while train.has_input("previous"):
        train = train.input("previous")
    mix = train.input("tokens").input("mix").config
    # a second time would turn the stages' order back; amounts and replay stay as they are
    again = mix_settings(config, cell.model_copy(update={"stage_order": None}), mix)
    if again != mix or train.config["learning_rate"] != cell.learning_rate:
        raise DataError(
            f"input cells.{number:03d}, {train.reference.uri}, was not trained as {cell.label}; give the cell's own"
        )


def check_sets(measured: list[Measured]) -> None:
    """Raise DataError unless every cell measured the same sets: otherwise no two can be compared."""
    sets = sorted(measured[0].losses)
    for found in measured:
        if sorted(found.losses) != sets:
            raise DataError(
                f"cell {found.number} ({found.cell.label}) measured {', '.join(sorted(found.losses))}, cell 0 "
                f"{', '.join(sets)}; give every set enough tokens and held-out documents"
            )


def describe(found: Measured) -> dict[str, Any]:
    """A cell in the facts: its point, its losses at the end and how far they rose, what ended it early."""
    return {
        "cell": found.number,
        "label": found.cell.label,
        **found.cell.model_dump(mode="json"),
        "tokens": max(points[-1][0] for points in found.losses.values()),
        "losses": {name: found.last(name) for name in sorted(found.losses)},
        "rises": {name: found.rise(name) for name in sorted(found.losses)},
        "stopped_early": dict(found.stopped) if found.stopped else None,
        "train": found.digest,
    }


STEP = Step(
    name="search_mixture",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("cells", many=True),),
    libraries=("numpy", "scipy"),
    determinism="per-layout",
    report=report,
)
