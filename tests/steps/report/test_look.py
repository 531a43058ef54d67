"""A page looks at a bounded number of shards, draws samples by a fixed rule, and says what it looked at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core.config import Runtime
from steps.core.corpus import Corpus, CorpusShard
from steps.core.engine import Engine
from steps.core.step import Outcome, run_step
from steps.report.blocks import Histogram, Panel, Section
from steps.report.look import (
    SHARDS_LOOKED_AT,
    Stage,
    draw,
    look_at_kept,
    look_at_removed,
    look_at_signals,
    some_shards,
)
from steps.report.page import length_sections, looked_at, sample_sections
from steps.report.render import Page, render
from tests.steps.core.toy import DROP, MAKE

ONE = Runtime(workers=1)
SHARDS = 40


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = f"file://{tmp_path_factory.mktemp('look')}"
    config = {"max_quarantine_share": 1.0, "shards": SHARDS, "rows": 12}
    base = run_step(MAKE, config=config, inputs={}, root=root, runtime=ONE)
    return run_step(DROP, config={"every": 4}, inputs={"corpus": base.ref}, root=root, runtime=ONE)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the shards whose documents were read, in order."""
    keys: list[str] = []
    real = CorpusShard.read
    monkeypatch.setattr(
        CorpusShard, "read", lambda self, *a, **k: keys.append(self.entry.key) or real(self, *a, **k)
    )
    return keys


def test_kept_documents_are_read_from_sixteen_shards_and_the_page_says_so(
    dropped: Outcome, read: list[str]
) -> None:
    look = look_at_kept(Stage.of_artifact(dropped.artifact))
    assert len(read) == len(set(read)) == SHARDS_LOOKED_AT == look.shards and look.of_shards == SHARDS
    removed = look_at_removed(Stage.of_artifact(dropped.artifact))
    assert looked_at(look, removed) == "From 16 of 40 shards and 16 of 40 ledgers, evenly spaced."
    assert len(set(read)) <= 2 * SHARDS_LOOKED_AT


def test_two_workers_look_at_what_one_looks_at(dropped: Outcome) -> None:
    alone = Stage.of_artifact(dropped.artifact)
    engine = Engine(2)
    shared = dataclasses.replace(alone, engine=engine)
    assert page(shared) == page(alone)
    engine.close()


def page(stage: Stage) -> bytes:
    """What a page draws of a stage's lengths, signals and samples."""
    kept, removed = look_at_kept(stage), look_at_removed(stage)
    panels = [Panel(name, tones) for name, tones in look_at_signals(stage, ["length"]).panels("length")]
    sections = [*length_sections(kept, removed), *sample_sections(kept, removed)]
    return render(Page("", [*sections, Section("", [Histogram("", panels)])]))


def test_lengths_count_every_kept_document_of_the_shards_once(dropped: Outcome) -> None:
    stage = Stage.of_artifact(dropped.artifact)
    corpus = Corpus.open(dropped.artifact)
    kept = sum(int(shard.keep().sum()) for shard in some_shards(corpus.shards))
    assert {name: d.count for name, d in look_at_kept(stage).lengths.items()} == {"en": kept}


def test_samples_do_not_depend_on_the_order_of_shards(
    dropped: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage.of_artifact(dropped.artifact)
    first = look_at_kept(stage).samples
    monkeypatch.setattr("steps.report.look.some_shards", lambda items: some_shards(items)[::-1])
    assert look_at_kept(stage).samples == first and len(first) == 6


def test_stored_signals_are_split_by_what_the_stage_did(dropped: Outcome) -> None:
    look = look_at_signals(Stage.of_artifact(dropped.artifact), ["length", "unknown"])
    ((language, tones),) = look.panels("length")
    total = dropped.counts.total
    assert language == "en" and look.panels("unknown") == []
    share = tones["removed"].count / (tones["kept"].count + tones["removed"].count)
    assert share == pytest.approx(total.removed.documents / total.input.documents)
    assert look.note == "From 16 of 40 shards, evenly spaced."


@given(st.integers(0, 300), st.integers(2, 40))
def test_some_shards_are_few_distinct_and_hold_both_ends(count: int, most: int) -> None:
    chosen = some_shards(list(range(count)), most)
    assert len(chosen) == len(set(chosen)) == min(count, most) and chosen == sorted(chosen)
    assert not count or (chosen[0], chosen[-1]) == (0, count - 1)


def test_a_draw_is_fixed_and_even() -> None:
    ranks = draw("ab" * 32, np.arange(100_000))
    assert draw("ab" * 32, np.array([5]))[0] == ranks[5] != draw("cd" * 32, np.array([5]))[0]
    assert len(np.unique(ranks)) == len(ranks)
    halves = np.histogram(ranks.astype(np.float64), bins=10, range=(0, 2.0**64))[0]
    assert halves.min() > 9_600 and halves.max() < 10_400
