"""Benchmarks in a recipe: what holds an item is trained on in no stage and is in the ledger with the item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import steps.mix.step
from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.core.step import run_step
from tests.steps.documents import make_corpus
from tests.steps.training import MIX, make_mix, make_texts

QUESTION = "清晨有几条船从河上经过，第二天又来了多少条，一共有多少条船停在老磨坊旁边？"


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """Two of six web pages hold the item of a benchmark, which came in with the run's own sources."""
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    pages: list[dict[str, Any]] = [
        {"source": "pages", "text": f"第{n}页说的是别的事。" * 9} for n in range(6)
    ]
    pages[1]["text"] += QUESTION
    pages[4]["text"] += QUESTION.replace("，", " ").replace("？", "。")
    web = make_corpus(tmp_path, [pages[:3], pages[3:]], "pages")
    tests = make_corpus(
        tmp_path, [[{"source": "exam", "text": QUESTION}, {"source": "exam", "text": "短"}]], "exam"
    )
    return run_step(
        "mix",
        config={"decontamination": {"benchmarks": ["exam"]}},
        inputs={"corpora.web": web.ref, "supervised": tests.ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
    ).artifact


def test_what_holds_an_item_is_in_the_ledger_with_the_item_and_in_no_stage(mixed: Artifact) -> None:
    planned = [row for entry in mixed.files("plan") for row in mixed.read_table(entry).to_pylist()]
    assert sorted((row["shard"], row["row"]) for row in planned) == [(0, 0), (0, 2), (1, 0), (1, 2)]
    ledger = [row for entry in mixed.files("ledger") for row in mixed.read_table(entry).to_pylist()]
    shards = Corpus.open(mixed.input("corpora.web")).shards
    assert [(row["shard"], row["row"]) for row in ledger] == [(shards[0].sha256, 1), (shards[1].sha256, 1)]
    exam = Corpus.open(mixed.input("supervised")).shards[0]
    for row in ledger:
        assert (row["rule"], row["match_shard"], row["match_row"]) == ("holds_benchmark_item", exam.sha256, 0)
        assert row["similarity"] == 1.0 and row["detail"] == f"exam: {QUESTION}"
    assert mixed.facts["benchmarks"] == {"exam": {"items": 2, "too_short": 1}}
    assert mixed.facts["left_out"] == {"exam": {"pages": 2}}
    counts = mixed.manifest.identity.counts
    assert counts.removed_by["holds_benchmark_item"].documents == 2
    assert counts.removed_by["benchmark"].documents == 2 and counts.total.input.documents == 8


def test_the_page_says_what_was_left_out(mixed: Artifact) -> None:
    view = next(entry for entry in mixed.manifest.views if entry.key == "report.html")
    page = mixed.read_bytes(view).decode()
    assert "Benchmark items in the training data" in page and "pages: 2" in page


def test_a_benchmark_that_the_run_does_not_have_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    with pytest.raises(ConfigError, match="no documents of gsm8k_test"):
        make_mix(tmp_path, decontamination={"benchmarks": ["gsm8k_test"]})


def test_a_set_cannot_be_benchmark_and_training_data(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sets cannot be a benchmark and be trained on"):
        make_mix(tmp_path, decontamination={"benchmarks": ["sets"]})


def test_two_workers_leave_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    digests = []
    for workers in (1, 2):
        root = tmp_path / str(workers)
        web, supervised = make_texts(root), make_texts(root, kind="supervised", documents=12, seed=2)
        config = {"decontamination": {"benchmarks": ["sets"], "tokens": 4, "share": 0.3}}
        found = run_step(
            "mix",
            config=config,
            inputs={"corpora.web": web.ref, "supervised": supervised.ref},
            root=f"file://{root}",
            runtime=Runtime(workers=workers),
        )
        assert found.facts["benchmarks"]["sets"]["items"] == 12
        digests.append(found.digest)
    assert digests[0] == digests[1] and MIX["supervised"]
