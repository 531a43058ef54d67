"""The full stack in containers, and both DAGs on it, each stage in its pinned image."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_api import AirflowApi
from demo.inbox import Inbox, content_digest
from demo.runs import Runs, Wanted
from demo.sample import sample_files
from demo.screen import Screen
from images.build import read_lock
from plugins.inbox import s3_client
from steps.core.labels import Label
from steps.core.pipeline import PIPELINES
from steps.core.signing import PRIVATE, SIGNING_KEY, is_signed, trusted_keys
from tests.system.review import answer_one
from tests.system.stack import Stack, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack; all of it, its volumes included, is gone afterwards."""
    found = Stack.prepare(tmp_path_factory.mktemp("stack"))
    found.down()  # what a test run that was killed may have left
    try:
        found.up()
        yield found
    finally:
        found.down()


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    """Airflow's REST API, once it has read every DAG."""
    found = AirflowApi(stack.url("AIRFLOW"), "admin", stack.settings["AIRFLOW_ADMIN_PASSWORD"])
    wait_until(lambda: all(found.has_dag(dag) for dag in PIPELINES), 120, found.import_errors)
    return found


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_airflow_reads_every_dag_and_lets_nobody_in_without_a_login(stack: Stack, api: AirflowApi) -> None:
    assert api.import_errors() == []
    assert status(f"{stack.url('AIRFLOW')}/api/v2/dags") == 401


def test_s3_refuses_strangers_and_gives_mlflow_its_own_bucket_only(stack: Stack) -> None:
    from botocore.exceptions import ClientError

    assert status(f"{stack.url('S3')}/tokenmill") == 403
    assert {item["Name"] for item in s3_client(stack.s3_environment()).list_buckets()["Buckets"]} >= {
        "tokenmill",
        "inbox",
        "mlflow",
    }
    mlflow = s3_client(stack.s3_environment("MLFLOW_S3"))
    mlflow.put_object(Bucket="mlflow", Key="artifacts/probe", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        mlflow.put_object(Bucket="tokenmill", Key="probe", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        mlflow.list_objects_v2(Bucket="inbox")


def test_mlflow_answers_here_and_refuses_a_foreign_host_name(stack: Stack) -> None:
    address = f"{stack.url('MLFLOW')}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(address) == 200
    foreign = urllib.request.Request(address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(foreign, timeout=10)


def test_only_loopback_listens_and_only_the_scheduler_sees_the_engine(stack: Stack) -> None:
    for name in ("postgres", "s3", "mlflow", "airflow-api", "airflow-scheduler", "airflow-triggerer"):
        container = stack.compose("ps", "--quiet", name).strip()
        shown = subprocess.run(
            ["docker", "inspect", container], capture_output=True, text=True, timeout=60
        ).stdout
        (facts,) = json.loads(shown)
        published = [
            port for ports in (facts["NetworkSettings"]["Ports"] or {}).values() for port in ports or []
        ]
        assert {port["HostIp"] for port in published} <= {"127.0.0.1"}
        sockets = [mount for mount in facts["Mounts"] if mount["Destination"] == "/var/run/docker.sock"]
        assert bool(sockets) == (name == "airflow-scheduler")


@pytest.fixture(scope="module")
def runs(stack: Stack, api: AirflowApi, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The three DAGs on the sample: results of the tasks by DAG. The training run was started by the corpus."""
    folder = tmp_path_factory.mktemp("runs")
    sample = sample_files(folder, print)
    inbox = Inbox(stack.s3_environment(), "inbox")
    inbox.upload("reference", sample.reference)
    inbox.upload("supervised", sample.supervised)
    watched = Runs(api, folder, Screen())
    reference = f"reference-{content_digest(sample.reference)[:8]}"
    found: dict[str, str] = {}
    found["language_models"], _ = watched.ensure(Wanted("language_models", "demo_language_models", reference))

    # the dump alone starts the factory, and the corpus the training
    began = datetime.now(UTC).isoformat()
    dump = inbox.deliver("compose", sample.dump, print)
    for dag in ("data_factory", "continual_pretraining"):
        found[dag] = awaited(api, dag, dump, began)
        watched.watch(dag, found[dag])
    results = {
        dag: {s.section: api.result(dag, run, s.section) for s in PIPELINES[dag]}
        for dag, run in found.items()
    }
    return {"runs": found, "results": results, "dump": dump}


def awaited(api: AirflowApi, dag: str, dump: str, since: str) -> str:
    """The run that Airflow starts by itself for the dump's partition."""

    def coming() -> list[dict[str, Any]]:
        return [run for run in api.runs(dag) if run["partition_key"] == dump and run["run_after"] >= since]

    wait_until(lambda: bool(coming()), 300, lambda: (api.runs("register_dumps"), api.runs(dag)))
    return str(coming()[-1]["dag_run_id"])


def test_a_dump_in_the_inbox_becomes_a_gated_corpus_and_a_trained_model(
    stack: Stack, runs: dict[str, Any]
) -> None:
    results = runs["results"]
    for dag, found in results.items():
        assert all(found[stage.section]["digest"] for stage in PIPELINES[dag]), dag
    client = s3_client(stack.s3_environment())
    _, _, key = (
        results["continual_pretraining"]["export"]["ref"].partition("@")[0].partition("s3://tokenmill/")
    )
    manifest = json.loads(client.get_object(Bucket="tokenmill", Key=f"{key}/manifest.json")["Body"].read())
    names = {file["key"] for file in manifest["identity"]["files"]}
    assert {"config.json", "model.safetensors"} <= {Path(name).name for name in names}


def test_each_stage_ran_in_its_pinned_image_and_left_no_container(stack: Stack, runs: dict[str, Any]) -> None:
    client, lock = s3_client(stack.s3_environment()), read_lock()
    for dag, results in runs["results"].items():
        for stage in PIPELINES[dag]:
            ref = results[stage.section]["ref"].partition("@")[0].removeprefix("s3://tokenmill/")
            manifest = json.loads(
                client.get_object(Bucket="tokenmill", Key=f"{ref}/manifest.json")["Body"].read()
            )
            form = ["docker", "image", "inspect", "--format", "{{.Id}}", lock[stage.image]["tag"]]
            image = subprocess.run(form, capture_output=True, text=True, timeout=60).stdout.strip()
            assert manifest["provenance"]["image"] == image, stage.section
    listing = [
        "docker",
        "ps",
        "--all",
        "--quiet",
        "--filter",
        "label=tokenmill.dag",
        "--filter",
        "network=tokenmill-test",
    ]
    assert subprocess.run(listing, capture_output=True, text=True, timeout=60).stdout == ""


def test_no_secret_is_in_logs_or_in_airflows_database(stack: Stack, runs: dict[str, Any]) -> None:
    secrets = (stack.settings["S3_SECRET_KEY"], stack.settings[SIGNING_KEY].removeprefix(PRIVATE))
    logs = "grep -rlF -f - /opt/airflow/logs || test $? = 1"
    command = [
        *("docker", "exec", "--interactive"),
        stack.compose("ps", "--quiet", "airflow-scheduler").strip(),
    ]
    found = subprocess.run(
        [*command, "sh", "-c", logs], input="\n".join(secrets), capture_output=True, text=True, timeout=120
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stderr
    printed = stack.compose("logs", "--no-color")
    assert not [secret for secret in secrets if secret in printed]
    for database in ("airflow", "mlflow"):
        dump = stack.compose(
            "exec", "-T", "postgres", "pg_dump", "--host=/tmp", "--username=airflow", database
        )
        assert "CREATE TABLE" in dump and not [secret for secret in secrets if secret in dump]


def test_the_review_page_reads_the_sample_and_signs_what_is_answered(
    stack: Stack, api: AirflowApi, runs: dict[str, Any]
) -> None:
    sample = runs["results"]["data_factory"]["evaluate"]["ref"]
    assert answer_one(api, sample)["progress"]["mine"] == 1
    client = s3_client(stack.s3_environment())
    prefix = f"labels/{sample.partition('@')[2]}/"
    (item,) = client.list_objects_v2(Bucket="tokenmill", Prefix=prefix)["Contents"]
    label = Label.model_validate_json(client.get_object(Bucket="tokenmill", Key=item["Key"])["Body"].read())
    trusted = trusted_keys(stack.settings)
    assert is_signed("label", label.said(prefix.split("/")[1]), label.signature or "", trusted)
