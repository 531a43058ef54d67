"""Lineage against a real MLflow server, there and away."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from steps.core import lineage
from steps.core.errors import DataError
from steps.core.live import show, shown
from steps.core.mlflow_rest import Away, MlflowRest
from steps.core.model_registry import RegisteredModel
from steps.core.store import FileStore
from tests.conftest import free_ports

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an MLflow server on SQLite."""
    home, port = tmp_path_factory.mktemp("mlflow"), free_ports(1)[0]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{home}/db", f"--artifacts-destination={home}/artifacts"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=home,
            start_new_session=True,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "HOME": str(home),
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _await(address, process, home / "log")
        yield address
    finally:
        from plugins.processes import Trace, end_processes

        end_processes(Trace("NO_MARK", "none").of(process), grace=10)
        process.wait(10)


def _await(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None, f"MLflow ended at its start: {log.read_text()[-2000:]}"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "MLflow does not answer"
            time.sleep(0.5)


def call(address: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def runs_of(address: str, dag: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(
        f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name={dag}", timeout=20
    ) as answer:
        experiment = json.load(answer)["experiment"]["experiment_id"]
    found = call(address, "runs/search", {"experiment_ids": [experiment], "max_results": 100}).get("runs", [])
    for run in found:
        run["tag"] = {item["key"]: item["value"] for item in run["data"].get("tags", [])}
        run["param"] = {item["key"]: item["value"] for item in run["data"].get("params", [])}
        run["metric"] = {item["key"]: item["value"] for item in run["data"].get("metrics", [])}
    return found


def entry(
    dag: str, run_id: str = "manual__1", section: str = "filter", **changes: Any
) -> lineage.LineageEntry:
    fingerprint, digest = "f" * 64, "d" * 64
    values = {
        "dag": dag,
        "run_id": run_id,
        "section": section,
        "step": section.split("_")[0],
        "dump": "CC-TEST-1",
        "ref": f"s3://bucket/{section}/{fingerprint}@{digest}",
        "digest": digest,
        "fingerprint": fingerprint,
        "params": {"min_chars": 100, "levels": ["document", "line"]},
        "metrics": {"corpus/kept_documents": 90.0, "corpus/broken": float("nan")},
        "inputs": [lineage.Dataset(name="corpus", uri="s3://bucket/score/abc", digest="e" * 64)],
        "outputs": [
            lineage.Dataset(name=section, uri=f"s3://bucket/{section}/x", digest=digest, context="output")
        ],
        "started": START,
        "ended": START.replace(minute=3),
    }
    return lineage.LineageEntry(**{**values, **changes})


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "store")


@pytest.fixture
def dag(request: pytest.FixtureRequest) -> str:
    return request.node.name.replace("[", "-").rstrip("]")


@pytest.fixture
def tracking(mlflow_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return mlflow_server


def test_a_run_has_one_parent_with_a_child_per_task(tracking: str, store: FileStore, dag: str) -> None:
    lineage.record(store, entry(dag, section="filter"))
    loss = [lineage.Point(name="train/loss", value=2.5, step=7)]
    lineage.record(store, entry(dag, section="train_1", series=loss, final="FINISHED"))
    runs = {run["tag"]["stage"]: run for run in runs_of(tracking, dag)}
    assert set(runs) == {"pipeline", "filter", "train_1"}
    parent = runs["pipeline"]
    assert parent["info"]["status"] == "FINISHED"
    assert parent["info"]["run_name"] == "CC-TEST-1"
    assert parent["param"]["filter.min_chars"] == "100"
    assert parent["metric"]["corpus/filter/kept_documents"] == 90.0
    for section in ("filter", "train_1"):
        assert runs[section]["tag"]["mlflow.parentRunId"] == parent["info"]["run_id"]
        assert runs[section]["info"]["status"] == "FINISHED"
        assert runs[section]["tag"]["airflow.run_id"] == "manual__1"
    assert runs["filter"]["metric"] == {"corpus/kept_documents": 90.0}  # the NaN is left out
    assert json.loads(runs["filter"]["param"]["levels"]) == ["document", "line"]
    history = call_history(tracking, runs["train_1"]["info"]["run_id"], "train/loss")
    assert [(point["step"], point["value"]) for point in history] == [(7, 2.5)]


def call_history(address: str, run_id: str, metric: str) -> list[dict[str, Any]]:
    path = f"{address}/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key={metric}"
    with urllib.request.urlopen(path, timeout=20) as answer:
        return json.load(answer)["metrics"]


def test_points_show_while_a_task_works_and_are_not_there_twice_afterwards(
    tracking: str, store: FileStore, dag: str
) -> None:
    head = entry(dag, section="train_1", ref="", digest="", metrics={})
    with shown(store, head):
        for step in (1, 2):
            show("train/loss", 3.0 - step, step)
    show("train/loss", 9.0, 3)  # nobody looks any more
    live = {run["tag"]["stage"]: run for run in runs_of(tracking, dag)}["train_1"]
    assert (live["info"]["status"], live["metric"]) == ("RUNNING", {"train/loss": 1.0})

    series = [lineage.Point(name="train/loss", value=3.0 - step, step=step) for step in (1, 2, 3)]
    lineage.record(store, entry(dag, section="train_1", series=series))
    (run,) = (run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "train_1")
    assert run["info"]["run_id"] == live["info"]["run_id"] and run["info"]["status"] == "FINISHED"
    query = f"run_id={run['info']['run_id']}&metric_key=train/loss"
    with urllib.request.urlopen(
        f"{tracking}/api/2.0/mlflow/metrics/get-history?{query}", timeout=20
    ) as answer:
        points = json.load(answer)["metrics"]
    assert sorted((point["step"], point["value"]) for point in points) == [(1, 2.0), (2, 1.0), (3, 0.0)]


def test_live_points_wait_for_nobody(store: FileStore, dag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    monkeypatch.setattr("steps.core.live._WAIT", 0.2)
    with shown(store, entry(dag, section="train_1")):
        show("train/loss", 1.0, 1)
    assert not list(store.list("lineage/pending/"))


def test_datasets_have_their_s3_source_and_digest(tracking: str, store: FileStore, dag: str) -> None:
    lineage.record(store, entry(dag))
    child = next(run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "filter")
    datasets = {item["dataset"]["name"]: item for item in child["inputs"]["dataset_inputs"]}
    assert set(datasets) == {"corpus", "filter"}
    corpus = datasets["corpus"]["dataset"]
    assert (corpus["source_type"], json.loads(corpus["source"])) == ("s3", {"uri": "s3://bucket/score/abc"})
    assert corpus["digest"] == "e" * 36
    tags = {item["key"]: item["value"] for item in datasets["corpus"]["tags"]}
    assert tags["content_digest"] == "e" * 64
    parent = next(run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "pipeline")
    assert [item["dataset"]["name"] for item in parent["inputs"]["dataset_inputs"]] == ["filter"]


def test_a_retry_resumes_its_run(tracking: str, store: FileStore, dag: str) -> None:
    lineage.record(store, entry(dag))
    before = {run["info"]["run_id"] for run in runs_of(tracking, dag)}
    lineage.record(store, entry(dag, cached=True))  # as a retry sees it: the artifact is there
    assert {run["info"]["run_id"] for run in runs_of(tracking, dag)} == before
    # even when the first attempt died between sending and taking its pointer away
    store.create(f"{lineage.PENDING}{entry(dag).key}.json", json.dumps({"entry": entry(dag).path}).encode())
    assert lineage.deliver(store, time.monotonic() + 20) == lineage.Delivery(1, 0, 0)
    assert {run["info"]["run_id"] for run in runs_of(tracking, dag)} == before


def test_an_error_ends_the_run_as_failed_and_a_later_success_as_finished(
    tracking: str, store: FileStore, dag: str
) -> None:
    def parent() -> dict[str, Any]:
        return next(run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "pipeline")

    lineage.record_failure(store, dag, "manual__1", "ingest", DataError("nothing was recorded yet"))
    lineage.record(store, entry(dag))
    assert parent()["info"]["status"] == "RUNNING"
    lineage.record_failure(store, dag, "manual__1", "score", DataError("shard 7 is corrupt; restore it"))
    assert parent()["info"]["status"] == "FAILED"
    assert parent()["tag"]["failed.score"] == "shard 7 is corrupt; restore it"
    lineage.record(store, entry(dag, section="publish", final="FINISHED"))
    assert parent()["info"]["status"] == "FINISHED"


def test_a_retrigger_has_its_own_parent_and_a_cached_child(tracking: str, store: FileStore, dag: str) -> None:
    lineage.record(store, entry(dag, run_id="first"))
    lineage.record(store, entry(dag, run_id="second", cached=True))
    runs = runs_of(tracking, dag)
    assert sorted(run["tag"]["stage"] for run in runs) == ["filter", "filter", "pipeline", "pipeline"]
    first, second = (
        next(r for r in runs if r["tag"]["stage"] == "filter" and r["tag"]["airflow.run_id"] == name)
        for name in ("first", "second")
    )
    assert first["tag"]["cached"] == "false"
    assert second["tag"]["cached"] == "true"
    assert second["tag"]["cached.run_id"] == first["info"]["run_id"]


def test_an_attempt_killed_after_its_commit_is_no_cached_child(
    tracking: str, store: FileStore, dag: str
) -> None:
    lineage.record(store, entry(dag, cached=True))  # the first attempt committed, then died unrecorded
    child = next(run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "filter")
    assert child["tag"]["cached"] == "false"


def test_mlflow_being_away_loses_nothing_and_holds_a_step_only_briefly(
    tracking: str, store: FileStore, dag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_ports(1)[0]}")
    began = time.monotonic()
    lineage.record(store, entry(dag, section="filter"), wait=2)
    assert time.monotonic() - began < 20  # not the usual half minute
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    lineage.record(store, entry(dag, section="deduplicate"))  # the next step delivers what is left
    assert {run["tag"]["stage"] for run in runs_of(tracking, dag)} == {"pipeline", "filter", "deduplicate"}
    assert lineage.deliver(store, time.monotonic() + 20) == lineage.Delivery(0, 0, 0)


def test_a_server_that_hangs_ends_at_the_deadline(
    store: FileStore, dag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        lineage.record(store, entry(dag), wait=1.5)
        assert 1 < time.monotonic() - began < 20
    assert [info.key for info in store.list(lineage.PENDING)] == [f"{lineage.PENDING}{entry(dag).key}.json"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",  # cut short
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    ],
)
def test_a_broken_answer_is_a_server_that_is_away(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=once)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(Away, match=address):
            MlflowRest(address, time.monotonic() + 0.4).experiment("x")  # a second try would wait longer
        thread.join()


def test_credentials_do_not_follow_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    seen: dict[str, str] = {}

    def once(name: str, server: socket.socket, answer: str) -> None:
        connection, _ = server.accept()
        with connection:
            seen[name] = connection.recv(65536).decode()
            connection.sendall(answer.encode())

    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as other:
        body = '{"experiment": {"experiment_id": "7"}}'
        answers = {
            "first": f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other.getsockname()[1]}/x\r\n\r\n",
            "other": f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}",
        }
        servers = {"first": first, "other": other}
        threads = [threading.Thread(target=once, args=(n, servers[n], answers[n])) for n in servers]
        for thread in threads:
            thread.start()
        address = f"http://127.0.0.1:{first.getsockname()[1]}"
        assert MlflowRest(address, time.monotonic() + 60).experiment("x") == "7"
        for thread in threads:
            thread.join()
    assert "Authorization: Bearer t0ken" in seen["first"] and "t0ken" not in seen["other"]


def test_two_senders_at_once_make_one_run_per_task(tracking: str, store: FileStore, dag: str) -> None:
    made = entry(dag)
    store.create(made.path, made.model_dump_json().encode())
    store.create(f"{lineage.PENDING}{made.key}.json", json.dumps({"entry": made.path}).encode())
    barrier = threading.Barrier(4)

    def send() -> None:
        barrier.wait()
        lineage.deliver(store, time.monotonic() + 30)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run["tag"]["stage"] for run in runs_of(tracking, dag)) == ["filter", "pipeline"]


def test_a_refused_entry_does_not_hold_up_the_others(tracking: str, store: FileStore, dag: str) -> None:
    lineage.record(store, entry(dag, section="ingest", run_params={"recipe": "one"}))
    bad = entry(dag, section="filter", run_params={"recipe": "another"})  # MLflow lets no param change
    lineage.record(store, bad)
    lineage.record(store, entry(dag, section="deduplicate"))
    assert "deduplicate" in {run["tag"]["stage"] for run in runs_of(tracking, dag)}
    assert [info.key for info in store.list(lineage.PENDING)] == [f"{lineage.PENDING}{bad.key}.json"]


def test_the_report_is_an_artifact_of_the_run(tracking: str, store: FileStore, dag: str) -> None:
    store.put("filter/report.html", "<p>报告</p>".encode())
    told = entry(dag, report="filter/report.html")
    assert lineage.run_path(store, told) is None, "not delivered yet"
    lineage.record(store, told)
    child = next(run for run in runs_of(tracking, dag) if run["tag"]["stage"] == "filter")
    info = child["info"]
    run = f"experiments/{info['experiment_id']}/runs/{info['run_id']}"
    assert lineage.run_path(store, told) == f"{run}/artifacts/report.html"
    assert lineage.run_path(store, told.model_copy(update={"report": None})) == run
    address = f"{tracking}/get-artifact?run_id={child['info']['run_id']}&path=report.html"
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.read().decode() == "<p>报告</p>"


def test_flatten_names_nested_settings_with_dots() -> None:
    assert lineage.flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [2], "e": {}}


def test_flatten_gives_rules_a_name_each_and_long_values_their_digest() -> None:
    rules = [{"id": "d01_v1", "min": 50, "max": None, "action": "drop"}, {"id": "d02_v1", "max": 0.5}]
    flat = lineage.flatten({"filter": {"rules": rules, "words": ["x" * 30] * 30}})
    assert flat["filter.rules.d01_v1"] == {"min": 50}
    assert flat["filter.rules.d02_v1"] == {"max": 0.5}
    assert flat["filter.words"].startswith("sha256 ")


def versions_of(address: str, name: str) -> list[dict[str, Any]]:
    path = f"{address}/api/2.0/mlflow/model-versions/search?filter=name%3D%27{name}%27"
    with urllib.request.urlopen(path, timeout=20) as answer:
        found = json.load(answer).get("model_versions", [])
    for version in found:
        version["tag"] = {item["key"]: item["value"] for item in version.get("tags", [])}
    return found


def champion_of(address: str, name: str) -> int | None:
    found = MlflowRest(address, time.monotonic() + 20).aliased(name, "champion")
    return found.number if found else None


def test_an_exported_model_is_one_version_however_often_it_is_sent(
    tracking: str, store: FileStore, dag: str
) -> None:
    """Two runs and a later benchmark of the same export: one version, with what each of them says."""

    def model(digest: str, **changes: Any) -> RegisteredModel:
        return RegisteredModel(name=dag, ref=f"s3://bucket/export/x@{digest}", digest=digest, **changes)

    def send(run: str, found: RegisteredModel, **changes: Any) -> None:
        lineage.record(
            store, entry(dag, run, found.digest[:8], model=found, fingerprint=found.digest, **changes)
        )

    first, second, third = "a" * 64, "b" * 64, "c" * 64
    send("one", model(first, tags={"corpus.web": "123"}))
    send("two", model(first, tags={"scores": '{"mmlu": 0.4}'}, alias="champion"))
    (version,) = versions_of(tracking, dag)
    assert version["source"] == "s3://bucket/export/x" and version["run_id"]
    assert (
        version["tag"] | {"digest": first, "corpus.web": "123", "scores": '{"mmlu": 0.4}'} == version["tag"]
    )
    assert champion_of(tracking, dag) is None, "the second run found the artifact in the cache"

    send("three", model(second, alias="champion"))
    assert champion_of(tracking, dag) == 2
    send("four", model(third, alias="champion", replaces=1))
    assert champion_of(tracking, dag) == 2, "version 1 was not the champion any more"
    send("five", model("d" * 64, alias="champion", replaces=2))
    assert champion_of(tracking, dag) == 4 and len(versions_of(tracking, dag)) == 4


def test_a_model_in_a_local_folder_is_registered_by_its_run(
    tracking: str, store: FileStore, dag: str
) -> None:
    model = RegisteredModel(name=dag, ref="file:///root/export/x@" + "a" * 64, digest="a" * 64)
    lineage.record(store, entry(dag, model=model))
    (version,) = versions_of(tracking, dag)
    assert version["source"] == f"runs:/{version['run_id']}/model"
    assert version["tag"]["artifact"] == model.ref
