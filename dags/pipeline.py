"""Builds the tasks of a DAG from the pipeline table that `tokenmill run` uses too."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import BaseOperator

from plugins.step_operator import step_task
from steps.core.pipeline import PIPELINES, Stage

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PLAN = Stage("plan", {})

# A service that is away or a full disk is waited for, up to about an hour in all; other failures are final
# or cheap to try again, since finished parts are kept (CONTRACT §7).
DEFAULT_ARGS: dict[str, Any] = {
    "retries": 5,
    "retry_delay": datetime.timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": datetime.timedelta(minutes=20),
}


def pipeline_tasks(dag: str, options: dict[str, dict[str, Any]] | None = None) -> dict[str, BaseOperator]:
    """One task per stage, `plan` first, each downstream of the tasks whose artifacts it reads.

    ``options``: operator arguments by section. Must be called inside a DAG's `with` block.
    """
    options = options or {}
    tasks = {"plan": step_task(dag, PLAN, **options.get("plan", {}))}
    for stage in PIPELINES[dag]:
        task = step_task(dag, stage, **options.get(stage.section, {}))
        needed = {origin for origin in stage.inputs.values() if not origin.startswith("run:")}
        for section in sorted(needed) or ["plan"]:
            tasks[section] >> task
        tasks[stage.section] = task
    return tasks
