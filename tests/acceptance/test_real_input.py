"""The whole mill on texts that nobody of the project wrote: real services, pinned containers, both DAGs.

`make acceptance`; an hour or so on two cores. The figures go to docs/acceptance/docker_run.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_api import AirflowApi
from demo.inbox import Inbox
from demo.services import BUCKETS, ROOT, Services
from steps.core.artifact import Artifact
from steps.core.pipeline import PIPELINES
from steps.core.store import open_store
from tests.images.engine import built_tags

DATA = ROOT.parent / "shared" / "data"
DUMP, REFERENCE = "crawl-mix-2026-11", "reference-2026-11"
CRAWL = "crawl_mix/*.warc.gz"
# folder in the inbox → files in the shared data
SETS = {
    "wiki_zh": "wiki_zh/train.jsonl.gz",
    "wiki_en": "wiki_en/train.jsonl.gz",
    "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
    "c4_en": "cc_en_samples/c4_demo.jsonl.gz",
    "ccnet_head": "cc_en_samples/dolma_ccnet/*.jsonl",
    "redpajama_web": "cc_en_samples/data-juicer/redpajama-c*-refined.jsonl",
    "pile_reference": "cc_en_samples/data-juicer/the-pile-*-refined.jsonl",
    "lctt_opensource": "lctt_opensource/lctt_opensource_zh_en.jsonl.gz",
    "laws_zh": "laws_zh/laws.jsonl.gz",
    "oi_wiki_zh": "oi_wiki_zh/docs.jsonl.gz",
    "sft_gsm8k": "sft_gsm8k/train.jsonl.gz",
    "math_train": "math_train/MATH_train_1500.jsonl.gz",
    "sft_belle": "sft_alpaca/belle/eval_set.json.gz",
    "sft_metamath": "sft_alpaca/metamath/GSM8K_Backward.jsonl.gz",
}
HOURS = 3600.0
pytestmark = [
    pytest.mark.data,
    pytest.mark.docker,
    pytest.mark.timeout(3 * HOURS),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data at {DATA}"),
]


class AcceptanceServices(Services):
    """The demo's services with the acceptance run's recipes as the DAGs' defaults."""

    def airflow_environment(self) -> dict[str, str]:
        recipes = {
            "LANGUAGE_MODELS": "acceptance_language_models",
            "DATA_FACTORY": "acceptance_factory",
            "CONTINUAL_PRETRAINING": "acceptance_training",
        }
        named = {f"TOKENMILL_RECIPE_{dag}": recipe for dag, recipe in recipes.items()}
        return {**super().airflow_environment(), **named}


@dataclass
class Outcome:
    """The three finished runs: task results by DAG and section, and how long each run took."""

    services: Services
    results: dict[str, dict[str, dict[str, Any]]]
    seconds: dict[str, float]


def deliver(services: Services) -> None:
    """The shared data as the recipes look for it, the dump with its marker last."""
    box = Inbox(services.s3_environment, BUCKETS[1])
    for folder, pattern in SETS.items():
        files = {path.name: path for path in sorted(DATA.glob(pattern))}
        assert files, f"nothing at {DATA / pattern}"
        box.upload(f"reference/{folder}", files)
    box.upload(DUMP, {path.name: path for path in sorted(DATA.glob(CRAWL))})
    box.client.put_object(Bucket=BUCKETS[1], Key=f"{DUMP}/_SUCCESS", Body=b"")


def api_when_ready(services: Services) -> AirflowApi:
    """Airflow with its DAGs read, its pools made and the DAGs awake."""
    api = AirflowApi(services.airflow_url, "admin", services.settings["airflow_password"])
    deadline = time.monotonic() + 300
    while missing := [dag for dag in PIPELINES if not api.has_dag(dag)]:
        assert time.monotonic() < deadline, f"Airflow does not read {missing}: {api.import_errors()}"
        time.sleep(1)
    api.import_pools(ROOT / "configs" / "pools.json")
    for dag in PIPELINES:
        api.unpause(dag)
    return api


def finished(api: AirflowApi, dag: str, run_id: str, limit: float = HOURS) -> float:
    """Seconds until the run has succeeded; fails with the failed tasks' last lines."""
    began = time.monotonic()
    while True:
        run = api.run(dag, run_id)
        state = run["state"] if run else "gone"
        if state == "success":
            return time.monotonic() - began
        if state not in ("queued", "running") or time.monotonic() - began > limit:
            lines = [f"{dag} {run_id} is {state}"]
            for task in api.tasks(dag, run_id):
                if task["state"] == "failed":
                    log = api.log(dag, run_id, task["task_id"], max(task["try_number"], 1))
                    lines += [task["task_id"], *log[-15:]]
            pytest.fail("\n".join(lines))
        time.sleep(2)


def follower(api: AirflowApi, dag: str, dump: str, seconds: float = 120) -> str:
    """The run that the dump's approved corpus has started."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for run in api.runs(dag):
            if run["partition_key"] == dump:
                return run["dag_run_id"]
        time.sleep(2)
    pytest.fail(f"no run of {dag} followed the approved corpus of {dump}")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    built_tags()
    services = AcceptanceServices(tmp_path_factory.mktemp("acceptance"), runner="docker")
    try:
        services.start(print)
        deliver(services)
        api = api_when_ready(services)
        runs = {"language_models": "acceptance_models", "data_factory": "acceptance_factory"}
        seconds = {}
        for dag, run_id in runs.items():
            dump, key = (DUMP, DUMP) if dag == "data_factory" else (REFERENCE, None)
            recipe = f"acceptance_{'factory' if key else 'language_models'}"
            api.trigger(dag, run_id, {"recipe": recipe, "dump": dump}, key)
            seconds[dag] = finished(api, dag, run_id)
        training = "continual_pretraining"
        runs[training] = follower(api, training, DUMP)
        seconds[training] = finished(api, training, runs[training])
        sections = {dag: [stage.section for stage in PIPELINES[dag]] for dag in runs}
        results = {
            dag: {s: api.result(dag, run_id, s) for s in sections[dag]} for dag, run_id in runs.items()
        }
        yield Outcome(services, results, seconds)
    finally:
        services.stop()


@pytest.fixture
def exported(outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    for name, value in outcome.services.s3_environment.items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://{BUCKETS[0]}")
    return Artifact.open(outcome.results["continual_pretraining"]["export"]["ref"], store)


def test_the_gate_passes_and_says_who_read(outcome: Outcome) -> None:
    verdict = outcome.results["data_factory"]["gate"]["facts"]
    assert verdict["status"] == "pass"
    assert verdict["readers"] == ["automatic"]
    assert verdict["read"] == verdict["population"] > 3000
    assert verdict["defective"] / verdict["read"] < verdict["limit"] == 0.001
    assert verdict["bound_rate"] < verdict["limit"]


def test_the_exported_model_loads_and_writes(exported: Artifact, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for entry in exported.files("model"):
        path = tmp_path / entry.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(exported.read_bytes(entry))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    answer = model.generate(**tokenizer("春天来了", return_tensors="pt"), max_new_tokens=5)
    assert answer.shape[1] > 5


def test_each_stage_learned(outcome: Outcome) -> None:
    losses = outcome.results["continual_pretraining"]["train_1"]["facts"]["loss"]
    assert losses["last"] < losses["first"]


def test_the_figures_are_recorded(outcome: Outcome, exported: Artifact) -> None:
    record = {
        "images": built_tags(),
        "seconds": {dag: round(value) for dag, value in outcome.seconds.items()},
        "stages": {
            dag: {
                section: {"digest": result["digest"], "total": (result.get("counts") or {}).get("total")}
                for section, result in sections.items()
                if result
            }
            for dag, sections in outcome.results.items()
        },
        "verdict": outcome.results["data_factory"]["gate"]["facts"],
        "model": exported.digest,
    }
    text = json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True)
    (ROOT / "docs" / "acceptance" / "docker_run.json").write_text(text + "\n", encoding="utf-8")
    assert record["verdict"]["status"] == "pass"
