"""``tokenmill search``: train one cell of a mixture search, with its own run in MLflow."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from typing import Any

from steps.core import lineage
from steps.core.arguments import pairs
from steps.core.errors import StepError, UsageError
from steps.core.live import shown
from steps.core.manifest import StepResult
from steps.core.runs import read_run
from steps.core.step import Outcome
from steps.core.store import open_store
from steps.core.task import head_entry, lineage_entry, result_of
from steps.search_mixture.cells import search_config, train_cell
from steps.search_mixture.design import cells, pilots
from steps.search_mixture.losses import read_cell

SHARED = ("ingest", "initialize")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=["cell"])
    parser.add_argument("--run", required=True, help="runs/mixture_search/<run id>/run.json@<sha256>")
    parser.add_argument("--number", required=True, type=int, help="the cell, counted from 0")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=REF",
        dest="inputs",
        help="initialize, ingest where the recipe has sources, and cells.N for every pilot",
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Train the cell; its StepResult is that of its last stage."""
    made, finished = {}, {}
    for name, ref in pairs(arguments.inputs).items():
        if name in SHARED:
            made[name] = ref
        elif found := re.fullmatch(r"cells\.([0-9]{1,3})", name):
            finished[int(found[1])] = ref
        else:
            raise UsageError(f"--input {name}: a cell takes {', '.join(SHARED)} and cells.N")
    if "initialize" not in made:
        raise UsageError("--input initialize=REFERENCE is missing: all cells start from one model")
    run = read_run(open_store(root), arguments.run)
    return run_cell(run, arguments.number, made, root, finished).model_dump()


def train_cells(run: dict[str, Any], made: Mapping[str, str], root: str) -> Iterator[tuple[str, StepResult]]:
    """All cells of a search, pilots first, as (number, result)."""
    config = search_config(run)
    first, finished = pilots(config), dict[int, str]()
    for number in [*first, *(n for n in range(len(cells(config))) if n not in first)]:
        result = run_cell(run, number, made, root, finished)
        if number in first:
            finished[number] = result.ref
        yield f"{number:03d}", result


def run_cell(
    run: dict[str, Any], number: int, made: Mapping[str, str], root: str, finished: Mapping[int, str]
) -> StepResult:
    """Train a cell, and record it as a run of its own below the search's."""
    last = len(cells(search_config(run))) - 1
    if not 0 <= number <= last:
        raise UsageError(f"the search has cells 0 to {last}, not {number}")
    store, section = open_store(root), section_of(number)
    try:
        with shown(store, head_entry(run, section, "train")):
            outcome = train_cell(run, number, made, root, finished)
    except StepError as error:
        lineage.record_failure(store, run["dag"], run["run_id"], section, error)
        raise
    entry = cell_entry(run, number, outcome)
    lineage.record(store, entry)
    return result_of(outcome, section).model_copy(update={"mlflow_run": lineage.run_path(store, entry)})


def section_of(number: int) -> str:
    """What a cell is called where a stage has its section."""
    return f"cell_{number:03d}"


def cell_entry(run: Mapping[str, Any], number: int, outcome: Outcome) -> lineage.LineageEntry:
    """What MLflow shows of a cell: its point, and each validation loss over tokens as a series of its own."""
    cell = cells(search_config(run))[number]
    measured = read_cell(number, cell, outcome.artifact)
    entry = lineage_entry(run, section_of(number), outcome.artifact.config, outcome)
    over_tokens = [
        lineage.Point(name=f"search/{name}", value=loss, step=tokens)
        for name, points in sorted(measured.losses.items())
        for tokens, loss in points
    ]
    params = {f"cell.{name}": value for name, value in cell.point.items() if value != ""}
    last = {f"eval/loss_{name}": measured.last(name) for name in measured.losses}
    tags = {
        "mlflow.runName": f"{section_of(number)}: {cell.label}",  # a list of numbers tells nobody anything
        "cell": cell.label,
        "cell.stopped": str(int(bool(measured.stopped))),
    }
    return entry.model_copy(
        update={
            "params": {"cell.number": number, **params, **entry.params},
            "metrics": {**entry.metrics, **last},
            "series": [*entry.series, *over_tokens],
            "tags": {**entry.tags, **tags},
        }
    )
