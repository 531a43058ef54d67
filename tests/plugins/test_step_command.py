"""Commands, environments and failures, the same for every runner."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from plugins.step_command import (
    MAX_RESULT_BYTES,
    StageSpec,
    command_of,
    failure,
    parse_result,
    plan_command,
    step_environment,
)
from steps.core.pipeline import PIPELINES
from steps.core.signing import PUBLIC_KEYS, SIGNING_KEY, new_keys
from tests.plugins.contexts import context

FILTER = StageSpec("data_factory", "filter", "filter", {"corpus": "score"})
PLAN = StageSpec("data_factory", "plan", "plan")


def test_a_stage_gets_the_run_and_the_references_of_its_upstream_tasks() -> None:
    assert command_of(FILTER, context()) == [
        "tokenmill", "step", "filter", "--section", "filter",
        "--run", "runs/data_factory/manual__1/run.json@cc", "--input", "corpus=s3://bucket/score/aa@bb",
    ]  # fmt: skip


def test_an_upstream_task_without_result_is_named() -> None:
    with pytest.raises(AirflowFailException, match="task score left no `ref`"):
        command_of(FILTER, context(xcoms={"score": None}))


def test_plan_passes_what_was_filled_in_and_nothing_else() -> None:
    params = {
        "recipe": "demo",
        "dump": "ignored",
        "filter.min": 3,
        "filter.name": "x",
        "score.high": None,
        "corpus": "r@d",
    }
    assert plan_command(PLAN, "manual__1", "CC-1", params) == [
        "tokenmill", "plan", "--dag", "data_factory", "--run-id", "manual__1", "--recipe", "demo",
        "--dump", "CC-1", "--input", "corpus=r@d", "--set", "filter.min=3", "--set", "filter.name=x",
    ]  # fmt: skip


def test_the_partition_key_is_the_dump_and_the_param_where_there_is_none() -> None:
    params = {"recipe": "demo", "dump": "by-hand"}
    with_key = command_of(PLAN, context(params=params, partition_key="CC-1"))
    without = command_of(PLAN, context(params=params))
    assert with_key[with_key.index("--dump") + 1] == "CC-1"
    assert without[without.index("--dump") + 1] == "by-hand"


def test_the_corpus_that_started_the_run_is_trained_on_unless_another_is_named() -> None:
    events = {"asset": [SimpleNamespace(extra={"corpus": "from-event@d"})]}
    started = context(params={"recipe": "r", "corpus": None}, triggering_asset_events=events)
    by_hand = context(params={"recipe": "r", "corpus": "mine@d"}, triggering_asset_events=events)
    spec = StageSpec("continual_pretraining", "plan", "plan")
    assert "corpus=from-event@d" in command_of(spec, started)
    assert "corpus=mine@d" in command_of(spec, by_hand)
    assert "corpus=from-event@d" not in command_of(spec, by_hand)


def test_a_step_inherits_no_setting_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the worker")
    monkeypatch.setenv("TOKENMILL_ROOT", "s3://bucket")
    environment = step_environment("filter", "/tmp/r.json", {"TOKENMILL_AIRFLOW_TASK": "filter"})
    assert environment["TOKENMILL_ROOT"] == "s3://bucket"
    assert environment["STEP_MANIFEST"] == "/tmp/r.json"
    assert not {name for name in environment if name.startswith(("AIRFLOW", "AWS_"))}


def test_the_gate_alone_gets_the_key_that_signs_and_every_step_those_that_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = new_keys({})
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    stages = {stage.step for stages in PIPELINES.values() for stage in stages}
    assert {"gate", "evaluate", "review", "publish", "mix", "pack", "train", "export"} <= stages
    for step in stages:
        environment = step_environment(step, "/tmp/r.json", {})
        assert environment[PUBLIC_KEYS] == keys[PUBLIC_KEYS]
        assert (keys[SIGNING_KEY] in environment.values()) == (step == "gate"), step


@pytest.mark.parametrize("code", [64, 65, 77, 78, 79, 1, 70])
def test_what_a_retry_cannot_help_is_not_retried(code: int) -> None:
    error = failure("filter", code, "error: score.high: too much")
    assert isinstance(error, AirflowFailException)
    assert f"exited {code}" in str(error)
    assert "score.high: too much" in str(error)


@pytest.mark.parametrize("code", [69, 74, 137, -9, 143])
def test_what_a_retry_may_help_is_retried(code: int) -> None:
    error = failure("filter", code, "")
    assert isinstance(error, AirflowException)
    assert not isinstance(error, AirflowFailException)


def test_a_kill_for_memory_says_so() -> None:
    assert "lack of memory: limit is 4g" in str(failure("filter", 137, "", memory="limit is 4g"))


def test_a_result_must_name_an_artifact() -> None:
    assert parse_result("filter", json.dumps({"ref": "a@b"}).encode()) == {"ref": "a@b"}
    for bad in (b"", b"{", b"[]", b'{"ref": 3}', b" " * (MAX_RESULT_BYTES + 1)):
        with pytest.raises(AirflowFailException):
            parse_result("filter", bad)
