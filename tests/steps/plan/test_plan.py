"""`plan` fixes a run: raw objects by digest, inputs by content, and run.json once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import yaml

from steps.core.catalog import Catalog
from steps.core.cli import main
from steps.core.errors import ConfigError, DataError
from steps.core.pipeline import stages
from steps.core.recipe import Recipe
from steps.core.runs import read_run
from steps.core.source import SourceListing, fetch_object
from steps.core.store import open_store
from steps.plan.command import plan_run
from steps.plan.objects import list_objects, split_sources


def recipe(uri: str, name: str = "own", inputs: str = "{}") -> str:
    return f"""
name: {name}
dag: data_factory
sources: [{{name: pages, uri: "{uri}", licence: CC0}}]
inputs: {inputs}
"""


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox" / "dump-1"
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"p{number}.jsonl.gz").write_bytes(
            gzip.compress(json.dumps({"text": f"page {number}"}).encode())
        )
    (folder / "_SUCCESS").touch()
    (folder / "notes.txt").write_text("not data")
    return folder


def test_a_plan_lists_every_object_and_is_named_after_the_dump(
    tmp_path: Path, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENMILL_INBOX", f"file://{pages.parent}")
    root = f"file://{tmp_path}/root"
    plan = plan_run(recipe("{inbox}/{dump}/*.jsonl.gz"), root, "r1", dump="dump-1")
    listing = SourceListing.of(plan.source.artifact)
    assert [item.key for item in listing.objects] == [f"p{n}.jsonl.gz" for n in range(3)]
    run = read_run(open_store(root), plan.reference)
    assert (run["dump"], run["dag"], run["inputs"]["source"]) == ("dump-1", "data_factory", plan.source.ref)
    assert set(run["recipe"]["steps"]) >= {"ingest", "filter", "publish"}
    path = fetch_object(listing.objects[1], run["locations"], tmp_path)
    assert json.loads(gzip.decompress(path.read_bytes())) == {"text": "page 1"}


def test_the_same_files_elsewhere_are_the_same_source(tmp_path: Path, pages: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in pages.glob("*.gz"):
        (moved / path.name).write_bytes(path.read_bytes())
    plans = [
        plan_run(recipe(f"{folder}/*.gz"), f"file://{tmp_path}/root-{n}", "r")
        for n, folder in enumerate((pages, moved))
    ]
    assert plans[0].source.digest == plans[1].source.digest
    assert plans[0].run["dump"] == plans[1].run["dump"] and plans[0].run["dump"].startswith("own-")


def test_a_retried_plan_gives_the_run_that_was_written_first(tmp_path: Path, pages: Path) -> None:
    root = f"file://{tmp_path}/root"
    first = plan_run(recipe(f"{pages}/*.gz"), root, "manual__2026-11-20T10:00:00+00:00")
    (pages / "p9.jsonl.gz").write_bytes(gzip.compress(b"{}"))
    again = plan_run(recipe(f"{pages}/*.gz"), root, "manual__2026-11-20T10:00:00+00:00")
    assert again.reference == first.reference and again.run == first.run
    assert again.result() == {**first.result(), "cached": True}


def test_an_object_that_changed_since_the_plan_is_refused(tmp_path: Path, pages: Path) -> None:
    plan = plan_run(recipe(f"{pages}/*.gz"), f"file://{tmp_path}/root", "r")
    item = SourceListing.of(plan.source.artifact).objects[0]
    (pages / item.key).write_bytes(b"other")
    with pytest.raises(DataError, match=r"p0\.jsonl\.gz has changed"):
        fetch_object(item, plan.run["locations"], tmp_path)
    (pages / item.key).unlink()
    with pytest.raises(DataError, match=r"p0\.jsonl\.gz is gone"):
        fetch_object(item, plan.run["locations"], tmp_path)


def test_a_run_without_a_dump_or_with_an_empty_place_is_refused(
    tmp_path: Path, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"file://{tmp_path}/root"
    monkeypatch.setenv("TOKENMILL_INBOX", f"file://{pages.parent}")
    with pytest.raises(ConfigError, match="needs a dump: trigger with a partition key"):
        plan_run(recipe("{inbox}/{dump}/"), root, "r")
    with pytest.raises(ConfigError, match=r"nothing matches '\*\.warc' in"):
        plan_run(recipe(f"{pages}/*.warc"), root, "r")
    with pytest.raises(ConfigError, match="catalog has no 'wiki'"):
        plan_run(recipe(f"{pages}/*.gz", inputs="{language_models: 'catalog:wiki'}"), root, "r")
    assert not list(open_store(root).list("runs/"))


def test_takedowns_enter_the_next_run(tmp_path: Path, pages: Path) -> None:
    root = f"file://{tmp_path}/root"
    Catalog(open_store(root)).update("takedowns", lambda _: {"entries": ["domain:example.org"]})
    plan = plan_run(recipe(f"{pages}/*.gz"), root, "r")
    steps = plan.run["recipe"]["steps"]
    assert steps["ingest"]["takedowns"] == steps["publish"]["takedowns"] == ["domain:example.org"]


def test_the_command_ends_with_the_exit_code_of_the_error_and_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"file://{tmp_path}/root"
    assert main(["plan", "--root", root, "--recipe", "no_such"]) == 64
    assert main(["plan", "--recipe", "x"]) == 64
    assert main(["step", "filter", "--root", root]) == 64
    assert main(["nonsense"]) == 64
    bad = tmp_path / "bad.yaml"
    bad.write_text(recipe("/nowhere/") + "steps: {filter: {no_such: 1}, gate: {limit: 7}}")
    capsys.readouterr()
    assert main(["plan", "--root", root, "--recipe", str(bad)]) == 78
    text = capsys.readouterr().err
    assert "filter.no_such" in text and "gate.limit" in text
    assert "Traceback" not in text


def test_benchmarks_are_no_part_of_the_source_that_corpora_are_made_from(tmp_path: Path, pages: Path) -> None:
    """Another benchmark must not make another corpus: it has an artifact of its own, templates included."""
    folder = tmp_path / "benchmarks"
    (folder / "tasks").mkdir(parents=True)
    for name in ("_default_template_yaml", "own.yaml", ".hidden", "_SUCCESS"):
        (folder / "tasks" / name).write_text("task: own")
    text = recipe(f"{pages}/*.gz").replace(
        "licence: CC0}]", f'licence: CC0}}, {{name: tests, kind: benchmark, uri: "{folder}/"}}]'
    )
    with pytest.raises(ConfigError, match=r"sources\.tests: no stage of DAG data_factory reads"):
        plan_run(text, f"file://{tmp_path}/root", "r")
    found = Recipe.model_validate(yaml.safe_load(text.replace("data_factory", "continual_pretraining")))
    corpora, benchmarks = split_sources(found, [list_objects(source, None)[1] for source in found.sources])
    assert [source.name for source in corpora["sources"]] == ["pages"] and len(corpora["objects"]) == 3
    assert [item.key for item in benchmarks["objects"]] == ["tasks/_default_template_yaml", "tasks/own.yaml"]


def test_a_benchmark_source_is_measured_on_and_kept_out_of_training() -> None:
    reading = [
        stage for stage in stages("continual_pretraining") if "run:benchmarks" in stage.inputs.values()
    ]
    assert [stage.section for stage in reading] == ["mix", "benchmark"]
