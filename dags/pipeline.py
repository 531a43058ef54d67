"""Builds the tasks of a DAG from the pipeline table that `tokenmill run` uses too."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import task

from plugins.step_operator import cell_tasks, step_task
from steps.core.pipeline import CELLS, PIPELINES, Stage

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PLAN = Stage("plan", {})
PILOTS = "pilots"

# A service that is away or a full disk is waited for, up to about an hour in all; other failures are final
# or cheap to try again, since finished parts are kept (CONTRACT §7).
DEFAULT_ARGS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": datetime.timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": datetime.timedelta(minutes=20),
}


def pipeline_tasks(dag: str, options: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """One task per stage, `plan` first, each downstream of the tasks whose artifacts it reads.

    What is done per cell of a search is done by two mapped tasks, `PILOTS` and `CELLS`, before the stage that reads
    all cells. ``options``: operator arguments by section. Must be called inside a DAG's `with` block.
    """
    options = options or {}
    tasks: dict[str, Any] = {"plan": step_task(dag, PLAN, **options.get("plan", {}))}
    for stage in PIPELINES[dag]:
        if stage.per_cell:
            continue
        if CELLS in stage.inputs.values():
            tasks |= search_tasks(dag, tasks)
        task = step_task(dag, stage, **options.get(stage.section, {}))
        needed = {origin for origin in stage.inputs.values() if not origin.startswith("run:")}
        for section in sorted(needed) or ["plan"]:
            tasks[section] >> task
        tasks[stage.section] = task
    return tasks


def search_tasks(dag: str, tasks: dict[str, Any]) -> dict[str, Any]:
    """Mapped trainings in the GPU pool: those that others are measured by (none: skipped), then all.

    A cell that a pilot has trained already is taken as it is.
    """
    shared = {"ingest": "ingest", "initialize": "initialize"}
    pilots = Stage(PILOTS, shared, image="trainer", pool="gpu")
    cells = Stage(CELLS, {**shared, CELLS: PILOTS}, image="trainer", pool="gpu")
    made = {
        PILOTS: cell_tasks(dag, pilots, _listed(tasks["plan"], PILOTS)),
        CELLS: cell_tasks(dag, cells, _listed(tasks["plan"], CELLS), trigger_rule="none_failed"),
    }
    tasks["initialize"] >> made[PILOTS] >> made[CELLS]
    return made


def _listed(plan: Any, name: str) -> Any:
    """A list out of plan's result: Airflow maps over nothing less than a task's whole result."""

    @task(task_id=f"list_{name}")
    def listed(result: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = result[name]
        return found

    return listed(plan.output)
