"""`make demo` as a user runs it: real S3, MLflow and Airflow, the three DAGs, and what is left afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.airflow_api import AirflowApi
from demo.services import Services
from plugins.inbox import s3_client
from steps.core.signing import PRIVATE, SIGNING_KEY

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def start(state: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo.run", *arguments],
        cwd=ROOT,
        env={**os.environ, "TOKENMILL_STATE": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float) -> str:
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=120)[0]
        raise AssertionError(f"not done after {seconds} s:\n{output}") from None


def processes_of(state: Path) -> list[list[str]]:
    """Command lines of processes that work in the state folder."""
    found = []
    for process in psutil.process_iter():
        try:
            line, place = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        if process.pid != os.getpid() and (str(state) in place or any(str(state) in word for word in line)):
            found.append(line)
    return found


@dataclass
class Mill:
    """A demo that ran to its end, its services up."""

    state: Path
    output: str
    seconds: float
    services: Services

    def api(self) -> AirflowApi:
        return AirflowApi(self.services.airflow_url, "admin", self.services.settings["airflow_password"])


def demo_dump(api: AirflowApi) -> str:
    """The dump that the demo itself ran: runs that a test triggers by hand have no key."""
    keys = [run["partition_key"] for run in api.runs("data_factory", 100)]
    return next(key for key in keys if key and key.startswith("demo-"))


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    state = tmp_path_factory.mktemp("demo")
    try:
        began = time.monotonic()
        process = start(state)
        output = finish(process, 600)
        assert process.returncode == 0, output
        yield Mill(state, output, time.monotonic() - began, Services(state))
    finally:
        Services(state).stop()


def test_the_demo_ends_with_what_came_out(mill: Mill) -> None:
    for dag in ("language_models", "data_factory", "continual_pretraining"):
        assert f"\n{dag}  (" in mill.output
    assert "verdict: pass, readers: automatic" in mill.output
    assert "removed" in mill.output and "near_duplicate" in mill.output
    assert "train_3: " in mill.output and "loss" in mill.output
    assert f"Airflow   {mill.services.airflow_url}   login admin / " in mill.output
    assert mill.seconds < 600


def test_training_was_started_by_the_approved_corpus(mill: Mill) -> None:
    run = mill.api().newest_run("continual_pretraining", "success")
    assert run is not None
    assert run["dag_run_id"].startswith("asset_triggered__")
    assert run["partition_key"].startswith("demo-")


def test_the_exported_model_loads(mill: Mill) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    line = next(line for line in mill.output.split("\n") if "the model as a folder: " in line)
    folder = line.partition(": ")[2].strip()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    answer = model.generate(**tokenizer("春天来了", return_tensors="pt"), max_new_tokens=5)
    assert answer.shape[1] > 5


def test_a_second_demo_runs_nothing_again(mill: Mill) -> None:
    before = {dag: len(mill.api().runs(dag, 100)) for dag in ("data_factory", "continual_pretraining")}
    began = time.monotonic()
    process = start(mill.state)
    output = finish(process, 120)
    assert process.returncode == 0, output
    assert time.monotonic() - began < 60
    assert output.count("done before for dump") == 3
    assert {dag: len(mill.api().runs(dag, 100)) for dag in before} == before
    assert "verdict: pass" in output


def mlflow_runs(mill: Mill, dag: str) -> list[dict[str, Any]]:
    from tests.steps.core.test_lineage import runs_of

    return runs_of(mill.services.mlflow_url, dag)


def test_mlflow_has_a_parent_per_dag_run_with_its_stages(mill: Mill) -> None:
    runs = mlflow_runs(mill, "data_factory")
    parents = [run for run in runs if run["tag"]["stage"] == "pipeline"]
    parent = parents[-1]
    children = {
        run["tag"]["stage"]
        for run in runs
        if run["tag"].get("mlflow.parentRunId") == parent["info"]["run_id"]
    }
    assert children >= {
        "ingest",
        "preprocess",
        "score",
        "filter",
        "deduplicate",
        "evaluate",
        "gate",
        "publish",
    }
    assert parent["tag"]["dump"].startswith("demo-")
    assert parent["param"]["filter.max_source_loss"]
    assert any(item["dataset"]["source_type"] == "s3" for item in parent["inputs"]["dataset_inputs"])


def test_a_run_by_hand_with_the_dump_as_a_param_runs_no_step_again_and_training_follows(mill: Mill) -> None:
    api, run_id = mill.api(), "system-test-again"
    dump = demo_dump(api)
    trained = {run["dag_run_id"] for run in api.runs("continual_pretraining", 100)}
    api.trigger("data_factory", run_id, {"recipe": "demo_factory", "dump": dump}, None)
    deadline = time.monotonic() + 300
    while (api.run("data_factory", run_id) or {})["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, "data_factory is not done"
        time.sleep(1)
    sections = (
        "ingest",
        "preprocess",
        "score",
        "filter",
        "deduplicate",
        "evaluate",
        "review",
        "gate",
        "publish",
    )
    results = {name: api.result("data_factory", run_id, name) for name in sections}
    assert [name for name, result in results.items() if not result["cached"]] == []
    parents = [r for r in mlflow_runs(mill, "data_factory") if r["tag"].get("airflow.run_id") == run_id]
    assert len([run for run in parents if run["tag"]["stage"] == "pipeline"]) == 1
    while not (new := [r for r in api.runs("continual_pretraining", 100) if r["dag_run_id"] not in trained]):
        assert time.monotonic() < deadline, "no training followed"
        time.sleep(1)
    assert [run["partition_key"] for run in new] == [dump]
    while api.run("continual_pretraining", new[0]["dag_run_id"])["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, "training is not done"
        time.sleep(1)
    assert api.run("continual_pretraining", new[0]["dag_run_id"])["state"] == "success"
    assert api.result("continual_pretraining", new[0]["dag_run_id"], "train_1")["cached"]


def test_no_secret_is_in_a_log_a_database_or_an_artifact(mill: Mill) -> None:
    private = mill.services.signing[SIGNING_KEY].removeprefix(PRIVATE).encode()
    secrets = {
        mill.services.settings["s3_secret"].encode(): {"services.json", "s3.json"},
        private: {"signing.env"},
    }
    places = [
        path
        for folder in ("airflow", "mlflow", "logs", "sample")
        for path in (mill.state / folder).rglob("*")
    ]
    files = [path for path in (*places, *mill.state.glob("*")) if path.is_file()]
    assert len(files) > 20
    for secret, may in secrets.items():
        assert {path for path in files if secret in path.read_bytes()} == {mill.state / name for name in may}
        assert secret.decode() not in mill.output
    client = s3_client(mill.services.s3_environment)
    keys = [
        item["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="tokenmill")
        for item in page["Contents"]
    ]
    texts = [
        key for key in keys if key.endswith((".json", ".html", ".jsonl")) or key.startswith("signatures/")
    ]
    assert len(texts) > 20 and any(key.startswith("signatures/") for key in texts)
    for key in texts:
        data = client.get_object(Bucket="tokenmill", Key=key)["Body"].read()
        assert not [secret for secret in secrets if secret in data], key


def test_required_review_waits_for_a_person_and_the_gate_blocks_without_labels(mill: Mill) -> None:
    api, run_id = mill.api(), "system-test-review"
    dump = demo_dump(api)
    conf = {"recipe": "demo_factory", "dump": dump, "review.mode": "required"}
    events = len(api.runs("continual_pretraining", 100))
    api.trigger("data_factory", run_id, conf, dump)
    state_of = lambda: {task["task_id"]: task["state"] for task in api.tasks("data_factory", run_id)}  # noqa: E731
    deadline = time.monotonic() + 180
    while state_of()["await_review"] != "awaiting_input":
        assert time.monotonic() < deadline, state_of()
        time.sleep(1)
    assert state_of()["gate"] is None
    # Airflow 3.3 loses an answer that is faster than its own executor event for the parked task: it starts the
    # task anew and asks again. No person is that fast.
    time.sleep(10)
    path = f"/api/v2/dags/data_factory/dagRuns/{run_id}/taskInstances/await_review/-1/hitlDetails"
    api._call("PATCH", path, {"chosen_options": ["The review is complete"], "params_input": {}})
    while (api.run("data_factory", run_id) or {})["state"] not in ("success", "failed"):
        assert time.monotonic() < deadline, state_of()
        time.sleep(1)
    states = state_of()
    assert (states["gate"], states["verdict"], states["publish"]) == ("success", "failed", "upstream_failed")
    assert any("the verdict is need_more" in line for line in api.log("data_factory", run_id, "verdict", 1))
    assert len(api.runs("continual_pretraining", 100)) == events, "no asset event without a pass"


def test_stop_leaves_nothing_running(mill: Mill) -> None:
    assert processes_of(mill.state)
    process = start(mill.state, "--stop")
    output = finish(process, 120)
    assert output.startswith("stopped ") and "api" in output and "s3" in output
    assert processes_of(mill.state) == []
    again = finish(start(mill.state, "--stop"), 60)
    assert again.strip() == "nothing was running"


@pytest.mark.parametrize("moment", ["starting scheduler", "data_factory  plan: success"])
@pytest.mark.parametrize("number", [signal.SIGINT])
def test_an_interrupt_leaves_nothing_running(tmp_path: Path, moment: str, number: signal.Signals) -> None:
    process = start(tmp_path)
    seen = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if moment in line:
            break
    else:
        raise AssertionError("".join(seen))
    process.send_signal(number)
    output = "".join(seen) + finish(process, 120)
    assert process.returncode == 128 + number, output
    assert "interrupted; stopping what was started" in output
    assert processes_of(tmp_path) == []


def test_a_place_without_data_is_refused_clearly(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to mill")
    place, state = tmp_path / "notes.txt", tmp_path / "state"
    process = start(state, "--dump", str(place))
    output = finish(process, 60)
    assert process.returncode == 64, output
    assert f"{place}: no .warc, .wet, .jsonl or .parquet files" in output
    assert json.dumps(processes_of(state)) == "[]"
