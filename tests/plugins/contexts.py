"""The little of Airflow's task context that the operators use."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

PLAN = {
    "ref": "s3://bucket/plan/aa@bb",
    "run": "runs/data_factory/manual__1/run.json@cc",
    "dump": "CC-TEST-1",
    "review": "optional",
}


SHOW_KEYS = (
    "import os; print('keys', [n in os.environ for n in ('TOKENMILL_SIGNING_KEY', 'TOKENMILL_PUBLIC_KEYS')])"
)
"""A step that says which keys it has been given."""


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """Airflow's task log as pytest's caplog sees it: key-value pairs behind the message."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("step"))

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, dict[str, Any]]:
        return (f"{msg} {kwargs}" if kwargs else msg), {}


class StateStore(dict[str, Any]):
    """Values per task instance, kept over its tries, or per asset."""

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key, default)

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(
    task: str = "filter",
    xcoms: dict[str, Any] | None = None,
    state: StateStore | None = None,
    params: dict[str, Any] | None = None,
    partition_key: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A context of one try of a task."""
    results = {"plan": PLAN, "score": {"ref": "s3://bucket/score/aa@bb"}, **(xcoms or {})}
    instance = SimpleNamespace(
        dag_id="data_factory",
        run_id="manual__1",
        task_id=task,
        map_index=-1,
        try_number=1,
        log_url="http://airflow/log",
        stats_tags={},
        xcom_pull=lambda task_ids: results.get(task_ids),
    )
    return {
        "ti": instance,
        "dag_run": SimpleNamespace(run_id="manual__1", partition_key=partition_key),
        "params": params or {},
        "task_state_store": StateStore() if state is None else state,
        **more,
    }
