"""benchmark: the harness' own figures for the base and every stage, offline, with generated code held."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from steps.benchmark.champion import compare, items_key, read_items
from steps.benchmark.config import Config
from steps.benchmark.harness import HarnessChild
from steps.benchmark.models import lay_out, models_of
from steps.benchmark.step import fetch_benchmarks
from steps.core.config import Runtime
from steps.core.errors import ConfigError, DataError
from steps.core.mlflow_rest import ModelVersion
from steps.core.source import SourceListing, SourceObject
from steps.core.step import Outcome, run_step
from tests.steps.benchmark.models import BODIES, make_export, plan_benchmarks, write_benchmarks

pytest.importorskip("lm_eval")
BENCHMARKS: dict[str, Any] = {"sums": {}, "programs": {"metric": "pass@1", "filter": "create_test"}}


def benchmark(bench: Any, export: Outcome, **config: Any) -> Outcome:
    return run_step(
        "benchmark",
        config={"benchmarks": BENCHMARKS} | config,
        inputs={"model": export.ref, "benchmarks": bench.planned.ref},
        root=f"file://{bench.root}",
        runtime=Runtime(workers=1),
        locations=bench.locations,
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Base and two stages on own tasks. One harness serves all tests: its start takes ten seconds."""
    root, folder = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("benchmarks")
    write_benchmarks(folder)
    planned, locations = plan_benchmarks(root, folder)
    found = SimpleNamespace(
        root=root, folder=folder, planned=planned, locations=locations, export=make_export(root)
    )
    child = HarnessChild(Config(), folder, tmp_path_factory.mktemp("harness"))
    desk = SimpleNamespace(ask=child.ask, close=lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("steps.benchmark.step.HarnessChild", lambda *_: desk)
        try:
            found.outcome = benchmark(found, found.export)
            yield found
        finally:
            child.close()


@pytest.mark.slow
def test_scores_of_every_stage_are_those_of_the_harness_called_bare(bench: Any, tmp_path: Path) -> None:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    models = models_of(bench.export.artifact, "all")
    assert [(m.name, m.tokens) for m in models] == [("base", 0), ("stage-1", 1000), ("stage-2", 3000)]
    said = {(row["model"], row["benchmark"]): row for row in bench.outcome.facts["scores"]}
    here = os.getcwd()
    os.chdir(bench.folder)
    try:
        for model in models:
            lay_out(model, tmp_path / model.name)
            bare = simple_evaluate(
                model=HFLM(pretrained=str(tmp_path / model.name), device="cpu", batch_size=1),
                tasks=["sums"],
                task_manager=TaskManager(include_path="tasks", include_defaults=False),
            )
            row, items = said[model.name, "sums"], read_items(bench.outcome.artifact, model.name, "sums")
            assert row["score"] == bare["results"]["sums"]["acc,none"]
            assert [item["scores"]["acc"] for item in items] == [s["acc"] for s in bare["samples"]["sums"]]
            assert row["items"] == 9 and row["low"] < row["score"] < row["high"]
    finally:
        os.chdir(here)
    assert (
        len(
            {
                tuple(i["responses"] for i in read_items(bench.outcome.artifact, m.name, "sums"))
                for m in models
            }
        )
        == 3
    )


@pytest.mark.slow
def test_generated_programs_run_in_the_sandbox(bench: Any) -> None:
    for model in ("base", "stage-1", "stage-2"):
        items = read_items(bench.outcome.artifact, model, "programs")
        outcomes = [json.loads(item["outcomes"]) for item in items]
        assert dict(zip(BODIES, outcomes, strict=True)) == {
            "right": ["passed"],
            "wrong": ["failed: AssertionError"],
            "hostile": ["failed: PermissionError"],
            "right, but tested otherwise": ["failed: AssertionError"],
        }
    assert not Path("/tmp/tokenmill-was-here").exists()
    score = next(row for row in bench.outcome.facts["scores"] if row["benchmark"] == "programs")
    assert score["score"] == pytest.approx(1 / 4)


@pytest.mark.slow
def test_items_that_mix_found_in_documents_are_scored_apart(bench: Any) -> None:
    items = read_items(bench.outcome.artifact, "stage-2", "programs")
    assert dict(zip(BODIES, (item["found"] for item in items), strict=True)) == {
        "right": False,
        "wrong": False,
        "hostile": True,
        "right, but tested otherwise": False,
    }
    rows = {row["benchmark"]: row for row in bench.outcome.facts["scores"] if row["model"] == "stage-2"}
    assert rows["programs"]["found"] == 1 and rows["programs"]["clean"]["score"] == pytest.approx(1 / 3)
    assert rows["sums"]["found"] == 0 and rows["sums"]["clean"]["score"] == rows["sums"]["score"]
    assert {p["key"] for p in bench.outcome.series} == {"eval/sums", "eval/programs", "eval/programs_clean"}


@pytest.mark.slow
def test_the_harness_own_tasks_find_the_copies_of_their_data_sets(bench: Any) -> None:
    own = {
        "anatomy": {"task": "mmlu_anatomy", "fewshot": 2},
        "humaneval": {"metric": "pass@1", "filter": "create_test"},
        "mbpp": {"metric": "pass_at_1"},
    }
    found = benchmark(bench, bench.export, benchmarks=own, models="last").artifact
    items = read_items(found, "stage-2", "anatomy")
    assert len(items) == 5 and all(
        item["prompt"].count("Answer:") == 3 for item in items
    )  # two shots and the item
    assert "multiple choice questions (with answers) about anatomy" in items[0]["prompt"]
    for name in ("humaneval", "mbpp"):
        (program,) = read_items(found, "stage-2", name)
        (outcome,) = json.loads(program["outcomes"])
        assert outcome.startswith("failed")  # in the sandbox, as the own task's programs


@pytest.mark.slow
def test_the_artifact_says_the_same_of_an_unchanged_run_and_its_page_shows_it(bench: Any) -> None:
    again = benchmark(bench, bench.export)
    assert again.cached and again.digest == bench.outcome.digest
    artifact = bench.outcome.artifact
    (view,) = [view for view in artifact.manifest.views if view.key == "report.html"]
    page = artifact.read_bytes(view).decode()
    assert page.count('class="line') >= 4 and "stage-2" in page and "target tokens" in page
    assert "could not be asked" in page and str(bench.root) not in json.dumps(bench.outcome.facts)
    points = [(p["key"], p["step"]) for p in bench.outcome.series]
    assert ("eval/sums", 0) in points and ("eval/sums", 3000) in points
    assert bench.outcome.facts["registry"]["of"] == "model" and "alias" not in bench.outcome.facts["registry"]


@pytest.mark.slow
def test_what_cannot_be_measured_is_refused_with_the_reason(bench: Any) -> None:
    for benchmarks, why in (
        ({"gsm8k": {"metric": "exact_match"}}, "benchmark gsm8k: a data set is not in .*openai/gsm8k"),
        ({"nosuch": {}}, "has a task 'nosuch'"),
        ({"unheld": {}}, "runs generated code by means of its own"),
    ):
        with pytest.raises(DataError, match=why):
            benchmark(bench, bench.export, benchmarks=benchmarks, models="last")


def test_a_recipe_without_benchmarks_measures_nothing(bench: Any) -> None:
    outcome = benchmark(bench, bench.export, benchmarks={})
    assert outcome.facts == {"scores": []} and not outcome.artifact.files()


def test_benchmark_sources_are_laid_out_as_they_lie(bench: Any, tmp_path: Path) -> None:
    context: Any = SimpleNamespace(inputs={"benchmarks": bench.planned.artifact}, locations=bench.locations)
    fetch_benchmarks(context, tmp_path / "data")
    objects = SourceListing.of(bench.planned.artifact).objects
    assert objects
    for item in objects:
        assert (tmp_path / "data" / item.key).read_bytes() == (bench.folder / item.key).read_bytes()


def test_an_object_outside_of_the_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = SourceObject(source="b", key="../evil", bytes=1, sha256="0" * 64)
    listing = SourceListing(dump="benchmarks", sources=[], objects=[evil])
    monkeypatch.setattr(SourceListing, "of", lambda artifact: listing)
    context: Any = SimpleNamespace(inputs={"benchmarks": None}, locations={})
    with pytest.raises(ConfigError, match="is no path inside a folder"):
        fetch_benchmarks(context, tmp_path / "data")


def champion_of(bench: Any, monkeypatch: pytest.MonkeyPatch, items: Any, **champion: Any) -> dict[str, Any]:
    """The comparison of a model with ``items`` for "sums" with the fixture's model as the champion."""
    artifact = bench.outcome.artifact
    version = ModelVersion(
        7, {"digest": "f" * 64, "benchmark": artifact.ref, "scores": json.dumps({"sums": 0.5})}
    )
    monkeypatch.setattr("steps.benchmark.champion.registered", lambda name: (version, [version], ""))
    config = Config.model_validate({"benchmarks": {"sums": {}}, "champion": champion})
    return compare(config, artifact.store, "small", "a" * 64, {"sums": items})


@pytest.mark.slow
def test_the_champion_falls_only_to_a_model_that_is_surely_better(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = read_items(bench.outcome.artifact, "stage-2", "sums")
    right, wrong = ([item | {"scores": {"acc": value}} for item in measured] for value in (1.0, 0.0))
    monkeypatch.setattr("steps.benchmark.champion.read_items", lambda *_: wrong)
    won = champion_of(bench, monkeypatch, right, promote="better")
    assert won["rows"][0]["says"] == "better" and won["promoted"] and won["champion"] == 7
    assert won["rows"][0]["value"] == 1.0 and won["rows"][0]["items"] == 9
    assert not champion_of(bench, monkeypatch, right)["promoted"]  # the setting is off by default
    same = champion_of(bench, monkeypatch, wrong, promote="better")
    assert same["rows"][0]["says"] == "no difference" and not same["promoted"]
    monkeypatch.setattr("steps.benchmark.champion.read_items", lambda *_: right)
    lost = champion_of(bench, monkeypatch, wrong, promote="better")
    assert lost["rows"][0]["says"] == "worse" and not lost["promoted"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "otherwise",
    [{"benchmarks": {"sums": {"limit": 2}}}, {"seed": 7}, {"code": {"seconds": 1}}],
    ids=["items", "worked examples", "programs"],
)
def test_a_champion_measured_otherwise_is_not_compared(
    bench: Any, monkeypatch: pytest.MonkeyPatch, otherwise: dict[str, Any]
) -> None:
    version = ModelVersion(3, {"digest": "f" * 64, "benchmark": bench.outcome.ref})
    monkeypatch.setattr("steps.benchmark.champion.registered", lambda name: (version, [version], ""))
    given = bench.outcome.artifact.config | {"champion": {"benchmarks": ["sums"], "promote": "better"}}
    config = Config.model_validate(given | otherwise)
    found = compare(config, bench.outcome.artifact.store, "small", "a" * 64, {"sums": []})
    assert found["rows"][0]["says"] == "not comparable" and not found["promoted"]
    assert items_key("stage-2", "sums") in {entry.key for entry in bench.outcome.artifact.files("items")}
