"""The few calls to Airflow's REST API that the demo needs."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode


class ApiError(Exception):
    """Airflow refused a call; ``status`` is the HTTP status (0: no answer)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """One Airflow, as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self.url = url
        answer = self._call("POST", "/auth/token", {"username": user, "password": password}, token=None)
        self._token: str = answer["access_token"]

    def import_errors(self) -> list[str]:
        """DAG files that Airflow could not import, with the last line of each error."""
        errors = self._get("/importErrors")["import_errors"]
        return [f"{item['filename']}: {item['stack_trace'].strip().splitlines()[-1]}" for item in errors]

    def has_dag(self, dag: str) -> bool:
        """Whether Airflow has parsed that DAG."""
        try:
            self._get(f"/dags/{dag}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def unpause(self, dag: str) -> None:
        """Let the DAG's runs start."""
        self._call("PATCH", f"/api/v2/dags/{dag}?update_mask=is_paused", {"is_paused": False})

    def import_pools(self, path: Path) -> None:
        """Make the pools of a file as `airflow pools import` reads it; existing ones keep their slots."""
        for name, pool in json.loads(path.read_text()).items():
            try:
                self._call("POST", "/api/v2/pools", {"name": name, **pool})
            except ApiError as error:
                if error.status != 409:
                    raise

    def trigger(self, dag: str, run_id: str, conf: dict[str, Any], partition_key: str | None) -> None:
        """Start a run."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "partition_key": partition_key}
        self._call("POST", f"/api/v2/dags/{dag}/dagRuns", body)

    def run(self, dag: str, run_id: str) -> dict[str, Any] | None:
        """A run, or None where there is none of that id."""
        try:
            return self._get(f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}")
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def runs(self, dag: str, limit: int = 20) -> list[dict[str, Any]]:
        """The latest runs, newest first."""
        return self._get(f"/dags/{dag}/dagRuns", order_by="-run_after", limit=limit)["dag_runs"]

    def newest_run(self, dag: str, state: str) -> dict[str, Any] | None:
        """The newest run in that state, or None."""
        return next((run for run in self.runs(dag, 100) if run["state"] == state), None)

    def fail_run(self, dag: str, run_id: str) -> None:
        """Mark a run failed, which stops its tasks."""
        where = f"/api/v2/dags/{dag}/dagRuns/{quote(run_id, safe='')}?update_mask=state"
        self._call("PATCH", where, {"state": "failed"})

    def tasks(self, dag: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        path = f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return self._get(path, limit=100)["task_instances"]

    def log(self, dag: str, run_id: str, task: str, attempt: int) -> list[str]:
        """Log lines of a task's attempt so far."""
        path = f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}/logs/{attempt}"
        content = self._get(path, full_content="true").get("content", [])
        return [line for item in content for line in _log_lines(item)]

    def result(self, dag: str, run_id: str, task: str) -> Any:
        """A task's return value, or None where it left none."""
        path = f"/dags/{dag}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}/xcomEntries/return_value"
        try:
            value = self._get(path)["value"]
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return json.loads(value) if isinstance(value, str) else value

    def _get(self, path: str, **query: Any) -> Any:
        return self._call("GET", f"/api/v2{path}" + (f"?{urlencode(query)}" if query else ""), None)

    def _call(self, method: str, path: str, body: Any, token: str | None = "") -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        if token is not None:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
            return json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            detail = error.read(2000).decode("utf-8", "replace")
            raise ApiError(
                f"Airflow answered {error.code} to {method} {path}: {detail}", error.code
            ) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ApiError(f"Airflow does not answer at {self.url} ({error})", 0) from None


def _log_lines(item: Any) -> list[str]:
    """The message of a log entry, and what went wrong where it says so."""
    if not isinstance(item, dict):
        return [str(item)]
    errors = item.get("error_detail") or []
    return [
        str(item.get("event", "")),
        *(f"{error.get('exc_type')}: {error.get('exc_value')}" for error in errors),
    ]
