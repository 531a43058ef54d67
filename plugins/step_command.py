"""One stage of a pipeline as a command with an environment, the same for every runner."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.log import mask_secret

from steps.core.signing import SIGNING_KEY

RESULT_VARIABLE = "STEP_MANIFEST"
MAX_RESULT_BYTES = 48_000  # an XCom is a pointer, not data
MAX_LINE = 8_000  # longer log lines are cut: a step never needs them, a broken file may make them
NOT_RETRIED = {
    64: "the command line is wrong",
    65: "the input data cannot be used",
    77: "the store refused the credentials",
    78: "the configuration or the verdict was refused",
    79: "the verdict no longer holds: back to review",
}
RETRIED = {69: "a service does not answer", 74: "a disk or bucket is full or cannot be written"}

# What a step inherits from the worker. Airflow's own settings (which hold its secrets) never do.
_INHERITED = ("TOKENMILL_", "MLFLOW_TRACKING_", "NUMBA_", "OMP_", "RAY_ADDRESS", "LANG", "LC_", "TZ")

MAPPED = ("pilots", "cells")  # tasks with one result per cell of a search

_SIGNING_STEP = "gate"  # the only step that signs; the review page, which signs too, is no step


@dataclass(frozen=True)
class StageSpec:
    """One task: which step it runs, under which task id, from which other tasks' artifacts.

    ``inputs`` maps input name to the task id that makes it. Inputs that the run brings along (language
    models, published corpora) are in its run.json and need no mention. A task that is mapped over the cells of a
    search makes one ``name.<cell>`` input of each.
    """

    dag: str
    section: str
    step: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def upstream(self) -> tuple[str, ...]:
        """Task ids whose results the command needs; `plan` needs none."""
        if self.step == "plan":
            return ()
        return tuple(dict.fromkeys(("plan", *self.inputs.values())))


def step_command(spec: StageSpec, results: Mapping[str, Any], cell: int | None = None) -> list[str]:
    """The command line of a stage after `plan`, or of one ``cell`` of a search.

    ``results``: StepResult of each task of ``spec.upstream``, a list of them where it is mapped. Raises
    AirflowFailException where an upstream task left no usable result.
    """
    if cell is None:
        command = ["tokenmill", "step", spec.step, "--section", spec.section]
    else:
        command = ["tokenmill", "search", "cell", "--number", str(cell)]
    command += ["--run", _field(results, "plan", "run")]
    for name, section in spec.inputs.items():
        if section in MAPPED:
            found = results.get(section) or []  # skipped where nothing was to be done
            for result in [found] if isinstance(found, Mapping) else found:
                number = _field({section: result}, section, "section").rpartition("_")[2]
                command += ["--input", f"{name}.{number}={_field({section: result}, section, 'ref')}"]
        else:
            command += ["--input", f"{name}={_field(results, section, 'ref')}"]
    return command


def plan_command(spec: StageSpec, run_id: str, dump: str | None, params: Mapping[str, Any]) -> list[str]:
    """The command line of `plan`: names the recipe and passes every form field that was filled in.

    ``params``: recipe, and ``section.field`` overrides (None: the recipe's value). Keys under ``run:``
    (corpus, language models) are passed as inputs of the run.
    """
    command = ["tokenmill", "plan", "--dag", spec.dag, "--run-id", run_id, "--recipe", str(params["recipe"])]
    if dump:
        command += ["--dump", dump]
    for name, value in sorted(params.items()):
        if value is None or name in ("recipe", "dump"):
            continue
        if "." in name:
            command += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
        else:
            command += ["--input", f"{name}={value}"]
    return command


def step_environment(step: str, result_path: str, facts: Mapping[str, str]) -> dict[str, str]:
    """The environment of a step without the store's keys; only the gate gets the key that signs verdicts.

    ``facts`` (run address, image …) end in its lineage.
    """
    inherited = {name: value for name, value in os.environ.items() if name.startswith(_INHERITED)}
    inherited.pop("TOKENMILL_DEMO_SERVICE", None)  # the mark of the scheduler itself
    if key := inherited.get(SIGNING_KEY):
        mask_secret(key)
        if step != _SIGNING_STEP:
            del inherited[SIGNING_KEY]
    return {
        **inherited,
        **facts,
        RESULT_VARIABLE: result_path,
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
    }


def run_facts(context: Mapping[str, Any]) -> dict[str, str]:
    """What a step's lineage says about the task that ran it. Never part of an identity."""
    instance = context["ti"]
    return {
        "TOKENMILL_AIRFLOW_DAG": instance.dag_id,
        "TOKENMILL_AIRFLOW_RUN": instance.run_id,
        "TOKENMILL_AIRFLOW_TASK": instance.task_id,
        "TOKENMILL_AIRFLOW_TRY": str(instance.try_number),
        "TOKENMILL_AIRFLOW_URL": getattr(instance, "log_url", "") or "",
    }


def parse_result(section: str, data: bytes) -> dict[str, Any]:
    """The StepResult that a step wrote. Raises AirflowFailException for anything else."""
    if len(data) > MAX_RESULT_BYTES:
        raise AirflowFailException(
            f"{section}: the result is {len(data)} bytes; at most {MAX_RESULT_BYTES} fit an XCom"
        )
    try:
        result = json.loads(data)
    except ValueError:
        raise AirflowFailException(f"{section}: the step wrote a result that is not JSON") from None
    if not isinstance(result, dict) or not isinstance(result.get("ref"), str):
        raise AirflowFailException(f"{section}: the step's result names no artifact (field `ref`)")
    return result


def failure(section: str, code: int, last_line: str, memory: str | None = None) -> AirflowException:
    """The exception that says why a step failed, and whether Airflow may retry it (CONTRACT §7).

    ``memory``: what is known about a kill for lack of memory, or None where it was not for that.
    """
    said = f": {last_line}" if last_line else ""
    if memory is not None:
        return AirflowException(
            f"{section} was killed for lack of memory: {memory}. Finished parts are kept."
        )
    if code in NOT_RETRIED:
        return AirflowFailException(f"{section} exited {code}, {NOT_RETRIED[code]}; not retried{said}")
    if code in RETRIED:
        return AirflowException(
            f"{section} exited {code}, {RETRIED[code]}; retried while attempts are left{said}"
        )
    if code < 0 or code > 128:
        signal = -code if code < 0 else code - 128
        return AirflowException(f"{section} was killed by signal {signal}. Finished parts are kept{said}")
    # anything else is a defect of the program: the same input would meet it again
    return AirflowFailException(f"{section} exited {code}; not retried{said}")


def pull_results(spec: StageSpec, context: Mapping[str, Any]) -> dict[str, Any]:
    """XComs of the upstream tasks, by task id."""
    return {section: context["ti"].xcom_pull(task_ids=section) for section in spec.upstream}


def command_of(
    spec: StageSpec, context: Mapping[str, Any], cell: Mapping[str, Any] | None = None
) -> list[str]:
    """The command line of the task that ``context`` is about; ``cell`` has the number of a mapped one."""
    if spec.step != "plan":
        return step_command(spec, pull_results(spec, context), cell["cell"] if cell else None)
    run, params = context["dag_run"], dict(context["params"])
    corpora = [
        event.extra["corpus"] for events in _events(context) for event in events if "corpus" in event.extra
    ]
    if corpora and not params.get("corpus"):
        params["corpus"] = corpora[-1]
    return plan_command(spec, run.run_id, run.partition_key or params.get("dump"), params)


def _events(context: Mapping[str, Any]) -> list[Any]:
    events = context.get("triggering_asset_events") or {}
    return list(events.values())


def _field(results: Mapping[str, Mapping[str, Any]], section: str, name: str) -> str:
    result = results.get(section)
    if not isinstance(result, Mapping) or not isinstance(result.get(name), str):
        raise AirflowFailException(f"task {section} left no `{name}`; clear and run {section} again")
    return str(result[name])
