"""The inbox's dumps become partitions: all of them at once, each in one group, whatever fails between."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from plugins.publishing import CRAWL_DUMP
from tests.plugins.contexts import StateStore


@pytest.fixture
def dag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The functions of the DAG's two tasks on an inbox in a folder."""
    monkeypatch.setenv("TOKENMILL_INBOX", f"file://{tmp_path}")
    module = importlib.reload(importlib.import_module("dags.register_dumps"))
    state = StateStore()
    stores = {CRAWL_DUMP: state}

    def registered(dumps: list[str]) -> set[str]:
        events = OutletEventAccessors()
        module.register.function(dumps, outlet_events=events, asset_state_store=stores)
        return events[CRAWL_DUMP].partition_keys

    return SimpleNamespace(
        new=lambda: module.find.function(asset_state_store=stores), registered=registered, state=state
    )


def deliver(inbox: Path, *names: str) -> None:
    for name in names:
        (inbox / name).mkdir()
        (inbox / name / "_SUCCESS").touch()


def test_more_dumps_than_one_task_may_register_are_all_registered_in_the_same_run(
    dag: Any, tmp_path: Path
) -> None:
    names = [f"dump-{number:04d}" for number in range(551)]
    deliver(tmp_path, *names)
    groups = dag.new()
    assert [len(group) for group in groups] == [250, 250, 51]
    assert [key for group in groups for key in sorted(dag.registered(group))] == names
    assert dag.new() == []
    deliver(tmp_path, "later")
    assert dag.new() == [["later"]]


def test_a_try_after_one_that_failed_at_its_end_emits_the_same_keys(dag: Any, tmp_path: Path) -> None:
    """Airflow emits events with the task's success, which can fail after the task has said what is known."""
    deliver(tmp_path, "a", "b")
    (group,) = dag.new()
    assert dag.registered(group) == dag.registered(group) == {"a", "b"}
    assert dag.state["known"] == ["a", "b"]


def test_a_name_that_is_no_key_keeps_no_other_dump_from_being_registered(dag: Any, tmp_path: Path) -> None:
    deliver(tmp_path, " ", "x" * 251, "fine")
    assert dag.new() == [["fine"]]
