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

from demo.airflow_api import AirflowApi, ApiError
from demo.inbox import Inbox
from demo.services import BUCKETS, Services
from plugins.inbox import s3_client
from steps.core.policy import DEFECT_CLASSES
from steps.core.signing import PRIVATE, SIGNING_KEY
from tests.steps.gate.line import records
from tests.steps.gate.test_planted import DOCUMENTS, pieces, planted
from tests.system.review import answer_one, chromium, skip_reason
from tests.system.stack import wait_until

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


@dataclass
class Run:
    """One run of a DAG, as a person sees it in the UI."""

    api: AirflowApi
    dag: str
    id: str

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        """A change, sent again while SQLite is locked by the scheduler (500); 409 says that it arrived before."""

        def arrived() -> bool:
            try:
                self.api._call(method, f"/api/v2/dags/{self.dag}/{path}", body)
            except ApiError as error:
                if error.status not in (409, 500):
                    raise
                return error.status == 409
            return True

        wait_until(arrived, 60, self.states)

    def trigger(self, conf: dict[str, Any], key: str | None) -> None:
        body = {"dag_run_id": self.id, "logical_date": None, "conf": conf, "partition_key": key}
        self.send("POST", "dagRuns", body)

    def states(self) -> dict[str, str | None]:
        return {task["task_id"]: task["state"] for task in self.api.tasks(self.dag, self.id)}

    def await_state(self, task: str, *states: str, seconds: float = 240) -> None:
        wait_until(lambda: self.states()[task] in states, seconds, self.states)

    def await_end(self, seconds: float = 300) -> str:
        """``success`` or ``failed``."""
        state = lambda: (self.api.run(self.dag, self.id) or {})["state"]  # noqa: E731
        wait_until(lambda: state() in ("success", "failed"), seconds, self.states)
        return str(state())

    def mark(self, *tasks: str) -> None:
        """What the UI sends for *Mark as success*."""
        for task in tasks:
            self.send("PATCH", f"dagRuns/{self.id}/taskInstances/{task}", {"new_state": "success"})

    def clear(self, *tasks: str) -> None:
        """What the UI sends for *Clear*."""
        body = {"dry_run": False, "dag_run_id": self.id, "task_ids": list(tasks), "only_failed": False}
        self.send("POST", "clearTaskInstances", body)

    def said(self, task: str) -> str:
        """The log of the task's last try."""
        tries = {item["task_id"]: item["try_number"] for item in self.api.tasks(self.dag, self.id)}
        return "\n".join(self.api.log(self.dag, self.id, task, tries[task]))


def asset_events(api: AirflowApi) -> int:
    return int(api._get("/assets/events", limit=1)["total_entries"])


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


@pytest.mark.skipif(bool(skip_reason()), reason=skip_reason())
def test_the_review_page_offers_the_sample_and_opens_it_once_the_server_answers(mill: Mill) -> None:
    api = mill.api()
    with chromium() as browser:
        page = browser.new_page(locale="en-GB")
        page.context.add_cookies([{"name": "_token", "value": api._token, "url": api.url}])
        for away in ("**/dagRuns/list", "**/review/api/state?*"):
            page.route(away, lambda route: route.abort())
            if page.url == "about:blank":
                page.goto(f"{api.url}/review/")
            else:
                page.click(f"#samples button:has-text('{demo_dump(api)}')")
            page.wait_for_function(
                "() => document.getElementById('message').textContent.includes('not answer')"
            )
            page.unroute(away)
            page.wait_for_function("() => document.getElementById('message').hidden")
        page.wait_for_function("() => document.getElementById('text').dataset.sample")
        assert not page.is_visible("#samples")


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


def test_required_review_waits_and_neither_marks_nor_missing_labels_let_anything_through(mill: Mill) -> None:
    api, dump = mill.api(), demo_dump(mill.api())
    run = Run(api, "data_factory", "system-test-review")
    conf = {"recipe": "demo_factory", "dump": dump, "review.mode": "required"}
    trained, events = len(api.runs("continual_pretraining", 100)), asset_events(api)
    run.trigger(conf, dump)
    run.await_state("await_review", "awaiting_input")
    assert run.states()["gate"] is None
    sample = api.result("data_factory", run.id, "evaluate")["ref"]
    assert answer_one(api, sample)["progress"]["mine"] == 1

    # a person marks what the run waits for, then what that makes fail, and so on
    for task, following, reason in (
        ("review", "gate", "left no `ref`"),
        ("gate", "verdict", "task gate left no result"),
        ("verdict", "publish", "left no `ref`"),
    ):
        run.mark(task)
        run.await_state(following, "failed")
        assert reason in run.said(following)
        if following != "publish":  # a mark that is faster than the scheduler does not clear what this fails
            run.await_state("publish", "upstream_failed")

    # Airflow 3.3 loses an answer that is faster than its own executor event for the parked task. Two tasks ran since
    # it was parked, so that the event has been handled.
    run.clear("review", "gate", "verdict", "publish")
    path = f"dagRuns/{run.id}/taskInstances/await_review/-1/hitlDetails"
    run.send("PATCH", path, {"chosen_options": ["The review is complete"], "params_input": {}})
    assert run.await_end() == "failed"
    states = run.states()
    assert (states["gate"], states["verdict"], states["publish"]) == ("success", "failed", "upstream_failed")
    assert "the verdict is need_more" in run.said("verdict")
    assert "signed by the key" in run.said("gate")
    assert asset_events(api) == events, "no asset event without a pass"
    assert len(api.runs("continual_pretraining", 100)) == trained


PLANTED = """\
name: planted
dag: data_factory
description: Authored texts, and stages that change nothing in them before the gate.
sources:
  - {{name: texts, uri: "{{inbox}}/{{dump}}/", kind: reference}}
inputs:
  language_models: catalog:demo_language_models
steps:
  preprocess:
    {{mask_personal_data: false, max_mojibake: 1000, languages: [zh, en, de, es, fr, ru], min_language_score: 0}}
  score: {{high_share: 0.5, medium_share: 0.5, without_model: unscored}}
  filter: {{rules_file: {rules}}}
  evaluate: {{sample_fraction: 1.0, seeded: 600}}
  review: {{mode: automatic}}
"""
NO_RULE = "rules: [{id: d01_any_v1, level: document, signal: characters, min: 1, action: drop, source: drops nothing}]"


@dataclass
class Judged:
    """The DAG's runs on the same authored texts with and without planted defects."""

    bad: Run
    good: Run


@pytest.fixture(scope="module")
def judged(mill: Mill, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """0.3 % of the documents have a defect of one class, for each class; both runs are under way."""
    folder, api = tmp_path_factory.mktemp("planted"), mill.api()
    (folder / "rules.yaml").write_text(NO_RULE)
    (folder / "recipe.yaml").write_text(PLANTED.format(rules=folder / "rules.yaml"))
    clean = pieces(records(110))[:DOCUMENTS]
    runs = []
    for name, rows in (("planted", planted(clean, *DEFECT_CLASSES)), ("cleaned", clean)):
        texts = folder / f"{name}.jsonl"
        texts.write_text("".join(json.dumps({"text": r["text"], "url": r["url"]}) + "\n" for r in rows))
        dump = Inbox(mill.services.s3_environment, BUCKETS[1]).deliver(name, {texts.name: texts}, print)
        runs.append(Run(api, "data_factory", f"system-test-{name}"))
        runs[-1].trigger({"recipe": str(folder / "recipe.yaml")}, dump)
        runs[-1].await_state("deduplicate", "success")  # of what is published, the other keeps no second copy
    return Judged(*runs)


def test_three_in_a_thousand_planted_defects_of_each_class_block(judged: Judged) -> None:
    assert judged.bad.await_end() == "failed"
    states = judged.bad.states()
    assert (states["gate"], states["verdict"], states["publish"]) == ("success", "failed", "upstream_failed")
    assert "the verdict is fail" in judged.bad.said("verdict")
    assert "signed by the key" in judged.bad.said("gate")
    facts = judged.bad.api.result("data_factory", judged.bad.id, "gate")["facts"]
    assert 300 <= facts["read"] == facts["population"] <= DOCUMENTS, (
        "a few are duplicates of the demo's; one is 0.3 %"
    )
    assert facts["defective"] == len(DEFECT_CLASSES) and set(facts["defects"]) >= set(DEFECT_CLASSES)


def test_the_same_corpus_without_them_passes_and_starts_training(judged: Judged) -> None:
    api = judged.good.api
    assert judged.good.await_end() == "success"
    facts = api.result("data_factory", judged.good.id, "gate")["facts"]
    assert (facts["status"], facts["defective"]) == ("pass", 0)
    wait_until(lambda: partition(judged.good) in trained_on(api), 120, lambda: trained_on(api))
    stop_training(api)


def test_marking_the_verdict_and_publish_successful_publishes_nothing_and_starts_no_training(
    mill: Mill, judged: Judged
) -> None:
    run, api = judged.bad, judged.bad.api
    run.await_end()
    judged.good.await_end()  # what it publishes and starts is not to be taken for the marked run's
    wait_until(lambda: partition(judged.good) in trained_on(api), 120, lambda: trained_on(api))
    events, trained = asset_events(api), trained_on(api)
    run.mark("verdict")
    run.await_state("publish", "failed")
    said = run.said("publish")
    assert "exited 78" in said and "is fail: 12 of" in said
    run.mark("publish")
    run.send("PATCH", f"dagRuns/{run.id}?update_mask=state", {"state": "success"})
    assert set(run.states().values()) == {"success", "skipped"} and run.await_end() == "success"
    assert (asset_events(api), trained_on(api)) == (events, trained)
    client = s3_client(mill.services.s3_environment)
    catalog = json.loads(client.get_object(Bucket="tokenmill", Key="catalog/corpora.json")["Body"].read())
    assert list(catalog["value"]["planted"]["dumps"]) == [partition(judged.good)], (
        "only the cleaned one is published"
    )


def partition(run: Run) -> str:
    return str((run.api.run(run.dag, run.id) or {})["partition_key"])


def trained_on(api: AirflowApi) -> list[str]:
    """The dumps that training was started for, newest first."""
    return [run["partition_key"] for run in api.runs("continual_pretraining", 100)]


def stop_training(api: AirflowApi) -> None:
    """End what the cleaned corpus started: how training goes on is another test's."""
    for run in api.runs("continual_pretraining", 100):
        if run["state"] not in ("success", "failed"):
            api.fail_run("continual_pretraining", run["dag_run_id"])


def test_training_by_hand_on_a_corpus_that_failed_is_refused_by_its_first_container(judged: Judged) -> None:
    api = judged.bad.api
    judged.bad.await_end()
    corpus = api.result("data_factory", judged.bad.id, "deduplicate")["ref"]
    run = Run(api, "continual_pretraining", "system-test-by-hand")
    run.trigger({"recipe": "demo_training", "corpus": corpus}, None)
    assert run.await_end() == "failed"
    states = run.states()
    assert states["mix"] == "failed" and states["initialize"] == "upstream_failed"
    said = run.said("mix")
    assert "exited 78" in said and "carries no verdict: it was made by deduplicate" in said


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


def test_stop_leaves_nothing_running(mill: Mill) -> None:
    assert processes_of(mill.state)
    process = start(mill.state, "--stop")
    output = finish(process, 120)
    assert output.startswith("stopped ") and "api" in output and "s3" in output
    assert processes_of(mill.state) == []
    again = finish(start(mill.state, "--stop"), 60)
    assert again.strip() == "nothing was running"


@pytest.mark.parametrize("moment", ["starting scheduler", "language_models  plan: success"])
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
