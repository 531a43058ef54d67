"""DAG runs of the demo: found again, started, watched."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.airflow_api import AirflowApi, ApiError
from demo.screen import Screen
from demo.services import ROOT, write_private

_ENDED = ("success", "failed")
_POLL_SECONDS = 1.5
_PARTITIONED = ("data_factory", "continual_pretraining")  # Airflow refuses a partition key for others


@dataclass(frozen=True)
class Wanted:
    """A run that the demo needs: the DAG, its recipe and dump, and whether another DAG's success starts it."""

    dag: str
    recipe: str
    dump: str
    follows: bool = False

    @property
    def key(self) -> str:
        """Names what the run depends on: dump, recipe, and the code and settings of all steps."""
        return f"{self.dag}/{self.dump}/{self.recipe}/{code_digest()[:12]}"


class RunFailed(Exception):
    """A DAG run ended badly; the message has the failed tasks and why."""


class Runs:
    """The runs of one Airflow, and which of them already did what is wanted."""

    def __init__(self, api: AirflowApi, state: Path, screen: Screen) -> None:
        self.api, self.screen = api, screen
        self.active: tuple[str, str] | None = None
        self._file = state / "runs.json"

    def ensure(self, wanted: Wanted, since: str | None = None) -> tuple[str, bool]:
        """Run what is wanted, or find the run that did it. Returns run id and whether it is new.

        ``since``: for a DAG that follows another, when the other one was started; its run then comes by
        itself. Raises RunFailed.
        """
        done = json.loads(self._file.read_text()) if self._file.exists() else {}
        if (run_id := done.get(wanted.key)) and self._state(wanted.dag, run_id) == "success":
            return run_id, False
        run_id = self._coming(wanted, since) if wanted.follows and since else None
        if run_id is None:
            run_id = self._start(wanted)
        self.watch(wanted.dag, run_id)
        done = json.loads(self._file.read_text()) if self._file.exists() else {}
        write_private(self._file, json.dumps({**done, wanted.key: run_id}, indent=1))
        return run_id, True

    def watch(self, dag: str, run_id: str) -> None:
        """Show a run's tasks until it ends. Raises RunFailed."""
        self.active = (dag, run_id)
        shown: dict[str, str] = {}
        while True:
            tasks = self.api.tasks(dag, run_id)
            for task in sorted(tasks, key=lambda item: item["start_date"] or "9"):
                self._show(dag, task, shown)
            state = self._state(dag, run_id)
            if state in _ENDED or state is None:
                break
            self._progress(dag, run_id, tasks)
            time.sleep(_POLL_SECONDS)
        self.active = None
        if state != "success":
            raise RunFailed(self._why(dag, run_id))

    def stop_active(self) -> None:
        """Fail the run that is being watched, which ends its steps."""
        if self.active is not None:
            dag, run_id = self.active
            self.active = None
            try:
                self.api.fail_run(dag, run_id)
            except ApiError as error:
                self.screen.say(f"{dag}: {error}")

    def _start(self, wanted: Wanted) -> str:
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        run_id = f"demo__{wanted.dump}__{stamp}"
        key = wanted.dump if wanted.dag in _PARTITIONED else None
        self.api.trigger(wanted.dag, run_id, {"recipe": wanted.recipe, "dump": wanted.dump}, key)
        self.screen.say(f"{wanted.dag}: started for dump {wanted.dump}, recipe {wanted.recipe}")
        return run_id

    def _coming(self, wanted: Wanted, since: str, seconds: float = 60) -> str | None:
        """The run that Airflow starts by itself for the dump's partition."""
        self.screen.status(f"{wanted.dag}: waiting for Airflow to start it")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for run in self.api.runs(wanted.dag):
                if run["partition_key"] == wanted.dump and run["run_after"] >= since:
                    self.screen.say(f"{wanted.dag}: started by the approved corpus of {wanted.dump}")
                    return run["dag_run_id"]
            time.sleep(_POLL_SECONDS)
        return None

    def _state(self, dag: str, run_id: str) -> str | None:
        run = self.api.run(dag, run_id)
        return run["state"] if run else None

    def _show(self, dag: str, task: dict[str, Any], shown: dict[str, str]) -> None:
        name, state = task["task_id"], task["state"]
        if shown.get(name) == state or state in (None, "scheduled", "queued"):
            return
        shown[name] = state
        if state == "running":
            self.screen.status(f"{dag}  {name}: running")
            return
        took = f" in {task['duration']:.0f} s" if task.get("duration") else ""
        self.screen.say(f"{dag}  {name}: {state}{took}")
        if state == "awaiting_input":
            self.screen.say("a person is asked: answer under Required Actions in the Airflow UI")

    def _progress(self, dag: str, run_id: str, tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            if task["state"] != "running":
                continue
            try:
                lines = self.api.log(dag, run_id, task["task_id"], task["try_number"])
            except ApiError:
                continue  # its log is not there yet
            last = next((line for line in reversed(lines) if line.strip()), "")
            self.screen.status(f"{dag}  {task['task_id']}: {last}")
            return

    def _why(self, dag: str, run_id: str) -> str:
        lines = [f"{dag} run {run_id} failed"]
        for task in self.api.tasks(dag, run_id):
            if task["state"] != "failed":
                continue
            try:
                log = self.api.log(dag, run_id, task["task_id"], max(task["try_number"], 1))
            except ApiError:
                log = []
            tail = [line for line in log if line.strip() and not line.startswith("::")][-12:]
            lines += [f"task {task['task_id']}:", *(f"    {line[:300]}" for line in tail)]
        return "\n".join(lines)


@functools.cache  # one value for a whole call, even if somebody edits a file while it runs
def code_digest() -> str:
    """sha256 over the code and settings that decide what the steps make."""
    digest = hashlib.sha256()
    for folder in ("steps", "configs", "dags", "plugins"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".yaml", ".json", ".txt", ".tsv"):
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
