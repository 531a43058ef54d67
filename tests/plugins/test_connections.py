"""The language-model endpoint and its key: which tasks get them, and from where."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags.pipeline import PLAN
from plugins.process_operator import ProcessStepOperator
from plugins.step_command import MAPPED
from plugins.step_operator import StepOperator, step_task
from steps.core.pipeline import PIPELINES, Stage
from tests.plugins.contexts import TaskLog, context

KEY, ADDRESS = "sk-endpoint-5f0a77c1", "https://models.example/v1"
ENDPOINT = {"OPENAI_BASE_URL": ADDRESS, "OPENAI_API_KEY": KEY}
STAGES = [(dag, stage) for dag, stages in PIPELINES.items() for stage in (PLAN, *stages)]


@pytest.fixture(params=["connection", "variables"], autouse=True)
def origin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint as Airflow's connection names it, or the worker's own environment."""
    monkeypatch.setenv("TOKENMILL_ROOT", "file:///tmp/none")
    connection = {"conn_type": "generic", "host": ADDRESS, "password": KEY}
    if request.param == "connection":
        monkeypatch.setenv("AIRFLOW_CONN_TOKENMILL_ENDPOINT", json.dumps(connection))
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    for name, value in ENDPOINT.items() if request.param == "variables" else ():
        monkeypatch.setenv(name, value)


def given(dag: str, stage: Stage, runner: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, str]]:
    """Command and environment that a task of the stage starts its step with."""
    monkeypatch.setenv("TOKENMILL_RUNNER", runner)
    started: list[tuple[str, dict[str, str]]] = []
    task = step_task(dag, stage)
    upstream = {name: {"ref": f"s3://bucket/{name}/aa@bb"} for name in {*stage.inputs.values()} - {*MAPPED}}
    at = context(stage.section, upstream, params={"recipe": "demo"})
    if runner == "process":
        assert isinstance(task, ProcessStepOperator)

        def run(_: Any, command: list[str], environment: dict[str, str], state: Any) -> tuple[int, str]:
            started.append((" ".join(command), environment))
            return 78, ""

        monkeypatch.setattr(ProcessStepOperator, "_run", run)
        with pytest.raises(AirflowFailException, match="exited 78"):
            task.execute(at)
    else:
        assert isinstance(task, StepOperator)

        def create(command: list[str], environment: dict[str, str], **_: Any) -> dict[str, str]:
            started.append((" ".join(command), environment))
            return {"Id": "container"}

        engine = SimpleNamespace(
            create_container=create, start=lambda _: None, create_host_config=lambda **_: {}
        )
        monkeypatch.setattr(StepOperator, "cli", engine)
        monkeypatch.setattr(StepOperator, "_image", lambda _: {"Id": "image"})
        monkeypatch.setattr(StepOperator, "_remove_leftovers", lambda *_: None)
        task.submit_job(at)
    (found,) = started
    return found


@pytest.mark.parametrize("runner", ["process", "docker"])
def test_only_the_task_that_asks_gets_the_endpoint_and_its_key(
    runner: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for operator in (ProcessStepOperator, StepOperator):
        monkeypatch.setattr(operator, "log", TaskLog())
    asking = set()
    for dag, stage in STAGES:
        command, environment = given(dag, stage, runner, monkeypatch)
        assert KEY not in command
        found = {name: value for name, value in environment.items() if name.startswith("OPENAI_")}
        if found:
            asking.add((dag, stage.section))
            assert found == ENDPOINT
        else:
            assert not [name for name, value in environment.items() if KEY in value or ADDRESS in value]
    assert asking == {("synthesize", "synthesize")}
    assert not [record for record in caplog.records if KEY in record.getMessage()]
