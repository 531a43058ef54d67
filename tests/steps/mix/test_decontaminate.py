"""Benchmarks of a recipe: what holds an item is trained on in no stage and is in the ledger with the item."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

import steps.mix.step
from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.core.recipe import RecipeSource
from steps.core.source import SourceListing
from steps.core.step import Outcome, run_step
from steps.plan.config import Config as PlanConfig
from steps.plan.objects import list_objects
from tests.steps.documents import make_corpus
from tests.steps.training import MIX, make_texts, sentence

QUESTION = "清晨有几条船从河上经过，第二天又来了多少条，一共有多少条船停在老磨坊旁边？"


OTHER = "老磨坊的主人每年秋天要磨多少袋麦子才够全村人吃到来年春天？"


def plan(root: Path, folder: Path) -> tuple[Outcome, dict[str, str]]:
    """A benchmark folder as `plan` fixes it, and where it lies."""
    source = RecipeSource(name="exams", kind="benchmark", uri=f"{folder.as_uri()}/")
    place, objects = list_objects(source, None)
    config = PlanConfig(dump="benchmarks", sources=[source.settings()], objects=objects)
    planned = run_step("plan", config=config, inputs={}, root=f"file://{root}", runtime=Runtime(workers=1))
    return planned, {"exams": place}


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """Two of six web pages hold an item of a benchmark, one of them two."""
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    pages: list[dict[str, Any]] = [
        {"source": "pages", "text": f"第{n}页说的是别的事。" * 9} for n in range(6)
    ]
    pages[1]["text"] += QUESTION
    pages[4]["text"] += QUESTION.replace("，", " ").replace("？", "。") + OTHER
    web = make_corpus(tmp_path, [pages[:3], pages[3:]], "pages")
    folder = tmp_path / "benchmarks/own/exam"
    folder.mkdir(parents=True)
    items = [QUESTION, "短", QUESTION, OTHER]
    (folder / "test.jsonl").write_text("".join(json.dumps({"question": item}) + "\n" for item in items))
    (folder / "train.jsonl").write_text(json.dumps({"question": pages[2]["text"]}))
    (folder / "README.md").write_text("A card.")
    planned, locations = plan(tmp_path, tmp_path / "benchmarks")
    return run_step(
        "mix",
        inputs={"corpora.web": web.ref, "benchmarks": planned.ref},
        config={},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
        locations=locations,
    ).artifact


def test_what_holds_an_item_is_in_the_ledger_with_the_item_and_in_no_stage(mixed: Artifact) -> None:
    planned = [row for entry in mixed.files("plan") for row in mixed.read_table(entry).to_pylist()]
    assert sorted((row["shard"], row["row"]) for row in planned) == [(0, 0), (0, 2), (1, 0), (1, 2)]
    ledger = [row for entry in mixed.files("ledger") for row in mixed.read_table(entry).to_pylist()]
    shards = Corpus.open(mixed.input("corpora.web")).shards
    assert [(row["shard"], row["row"]) for row in ledger] == [(shards[0].sha256, 1), (shards[1].sha256, 1)]
    (tests,) = [item for item in SourceListing.of(mixed.input("benchmarks")).objects if "test" in item.key]
    for row in ledger:
        assert (row["rule"], row["match_shard"], row["match_row"]) == (
            "holds_benchmark_item",
            tests.sha256,
            0,
        )
        assert row["similarity"] == 1.0 and row["detail"] == f"own/exam: {QUESTION}"
    assert mixed.facts["benchmarks"] == {"own/exam": {"items": 3, "too_short": 1, "found": 2}}
    assert mixed.facts["left_out"] == {"own/exam": {"pages": 2}}
    counts = mixed.manifest.identity.counts
    assert counts.removed_by["holds_benchmark_item"].documents == 2 and counts.total.input.documents == 6


def test_the_items_that_documents_hold_are_listed_with_how_many(mixed: Artifact) -> None:
    found = mixed.read_table(mixed.file("found_items.parquet")).to_pylist()
    assert [(row["item"], row["record"], row["documents"]) for row in found] == [
        (QUESTION, 0, 2),
        (OTHER, 3, 1),
    ]


def test_the_page_says_what_was_left_out(mixed: Artifact) -> None:
    view = next(entry for entry in mixed.manifest.views if entry.key == "report.html")
    page = mixed.read_bytes(view).decode()
    assert "Benchmark items in the training data" in page and "pages: 2" in page


def test_a_benchmark_whose_items_cannot_be_told_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "test.csv").write_text("stem,key\nWhich one?,A\n")
    planned, locations = plan(tmp_path, folder)
    web = make_texts(tmp_path)
    with pytest.raises(ConfigError, match=r"no record of test\.csv .*it has key, stem: name the one"):
        run_step(
            "mix",
            config={},
            inputs={"corpora.web": web.ref, "benchmarks": planned.ref},
            root=f"file://{tmp_path}",
            runtime=Runtime(workers=1),
            locations=locations,
        )


def test_benchmarks_without_items_are_refused_and_one_beside_others_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    folder, web = tmp_path / "benchmarks", make_texts(tmp_path)
    for name in ("own/exam", "own/lessons", "tasks"):
        (folder / name).mkdir(parents=True)
    (folder / "own/lessons/train.jsonl").write_text(json.dumps({"question": QUESTION}))
    (folder / "own/exam/README.md").write_text("A card.")
    (folder / "tasks/exam.yaml").write_text("task: exam")

    def mix() -> Outcome:
        planned, locations = plan(tmp_path, folder)
        inputs = {"corpora.web": web.ref, "benchmarks": planned.ref}
        root, runtime = f"file://{tmp_path}", Runtime(workers=1)
        return run_step("mix", config={}, inputs=inputs, root=root, runtime=runtime, locations=locations)

    with pytest.raises(
        ConfigError, match=r"none of 3 objects, such as own/exam/README\.md, holds test items"
    ):
        mix()
    (folder / "own/exam/test.jsonl").write_text(json.dumps({"question": QUESTION}))
    found = mix().facts["benchmarks"]
    assert {name: counted["items"] for name, counted in found.items()} == {"own/exam": 1, "own/lessons": 0}
    assert "no test items were read of own/lessons" in caplog.text


def test_two_workers_leave_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    digests = []
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    items = [sentence(random.Random(n), ("en", "zh")[n % 2], 6) for n in range(12)]
    (folder / "test.jsonl").write_text("".join(json.dumps({"text": item}) + "\n" for item in items))
    for workers in (1, 2):
        root = tmp_path / str(workers)
        web, supervised = make_texts(root), make_texts(root, kind="supervised", documents=48, seed=2)
        planned, locations = plan(root, folder)
        found = run_step(
            "mix",
            config=MIX | {"decontamination": {"tokens": 4, "share": 0.3}},
            inputs={"corpora.web": web.ref, "supervised": supervised.ref, "benchmarks": planned.ref},
            root=f"file://{root}",
            runtime=Runtime(workers=workers),
            locations=locations,
        )
        assert found.facts["benchmarks"]["exams"]["items"] == 12
        digests.append(found.digest)
    assert digests[0] == digests[1]
