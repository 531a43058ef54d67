"""mix: amounts, replay, held-out documents, order, refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import steps.core.approval
import steps.mix.step
from steps.core.approval import verify_training
from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError, VerdictRefused
from steps.core.step import run_step
from steps.mix.choose import Rows, choose
from steps.mix.config import Config
from steps.mix.keys import row_keys, text_keys
from tests.steps.training import MIX, make_mix, make_texts


@pytest.fixture
def approved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for the verdict, which tests of gate and publish make for real."""
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)


def plan(artifact: Artifact, stage: int) -> list[dict[str, Any]]:
    return [
        row
        for entry in artifact.files("plan")
        if entry.meta["stage"] == stage
        for row in artifact.read_table(entry).to_pylist()
    ]


def test_a_corpus_without_verdict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerdictRefused, match="carries no verdict"):
        make_mix(tmp_path)


def test_a_supervised_set_without_a_reason_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"supervised\.sets\.ungated") as refused:
        make_mix(tmp_path, supervised={"sets": {"stage": 2}})
    assert refused.value.exit_code == 78


def test_published_pairs_are_a_supervised_set_without_a_reason(tmp_path: Path, approved: None) -> None:
    """They come with their corpus's verdict; what the recipe does not name stays plain text, without a task."""
    web, pairs = make_texts(tmp_path), make_texts(tmp_path, kind="supervised", documents=48, seed=2)
    outcome = run_step(
        "mix",
        config={"heldout_documents": 4, "supervised": {"sets/qa": {"stage": 2}}},
        inputs={"corpora.web": web.ref, "corpora.pairs": pairs.ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
    )
    one, two = (plan(outcome.artifact, stage) for stage in (1, 2))
    assert {(row["set"], row["task"]) for row in one} == {("web/pages", ""), ("web/sets", "")}
    own = [row for row in two if not row["replay"]]
    assert {(row["set"], row["task"]) for row in own} == {("supervised/sets/qa", "qa")} and len(own) > 20
    assert outcome.facts["ungated"] == {}
    templates = json.loads(outcome.artifact.read_bytes(outcome.artifact.file("templates.json")))
    assert templates["supervised/sets/qa"]["en"] == ["Question: ", " Answer: "]


def test_every_document_goes_to_its_stage_and_replay_follows(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path).artifact
    one, two, three = (plan(artifact, stage) for stage in (1, 2, 3))
    assert {row["set"] for row in one} == {"web/pages"} and len(one) == 60 - 6
    assert {row["set"] for row in two} == {"web/pages", "supervised/sets/qa"}
    assert {row["set"] for row in three} == {"web/pages", "supervised/sets/qa", "supervised/sets/math"}
    for rows, own, origin in [(two, "sets/qa", "web/pages"), (three, "sets/math", "web/pages")]:
        own_bytes = sum(row["bytes"] for row in rows if row["set"] == f"supervised/{own}")
        replayed = [row["bytes"] for row in rows if row["set"] == origin]
        # to spare: pack counts the tokens
        assert 2 * own_bytes < sum(replayed) < 3 * own_bytes + max(replayed) + 1
        assert all(row["replay"] == (row["set"] != f"supervised/{own}") for row in rows)
        assert all((row["quota"] >= 0) == row["replay"] for row in rows)
        ranks = sorted(row["rank"] for row in rows if row["set"] == origin)
        assert ranks == list(range(len(replayed)))
    assert [row["order"] for row in three] == list(range(len(three)))


def test_held_out_documents_are_in_no_stage(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path).artifact
    used = {(row["shard"], row["row"]) for stage in (1, 2, 3) for row in plan(artifact, stage)}
    held = {
        (entry.meta["number"], row["row"])
        for entry in artifact.files("rows")
        for row in artifact.read_table(entry).to_pylist()
        if row["stages"] & 1
    }
    assert artifact.facts["heldout"]["zh"]["documents"] == 3  # a tenth of 30, less than the 4 that are asked
    assert len(held) == 3 + 3 + 3 + 1 and not held & used


def test_what_a_set_cannot_supply_is_said_and_not_repeated(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path, web={"pages": {"documents": 1000}}).artifact
    assert {
        "stage": 1,
        "set": "web/pages",
        "unit": "documents",
        "asked": 1000,
        "supplied": 54,
    } in artifact.facts["shortfalls"]
    rows = [(row["shard"], row["row"]) for row in plan(artifact, 1)]
    assert len(rows) == len(set(rows)) == 54


def test_epochs_repeat_whole_passes(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path, web={"*": {"epochs": 2.5}}).artifact
    rows = plan(artifact, 1)
    assert len(rows) == 54 * 2 + 27
    assert [sum(row["pass"] == n for row in rows) for n in (0, 1, 2)] == [54, 54, 27]


def test_every_pass_over_a_set_is_shuffled_anew() -> None:
    size = 2000
    keys = np.random.default_rng(1).integers(0, 2**64, (2, size), dtype=np.uint64)
    rows = Rows(
        keys[0],
        keys[1],
        np.full(size, 100),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        ["web/a"],
        ["en"],
    )
    plan = choose(rows, Config(web={"a": {"epochs": 4}}, heldout_documents=1)).plans[1]
    orders = [plan.rows[plan.passes == number] for number in range(4)]
    neighbours = [
        {frozenset(pair) for pair in zip(order[:-1].tolist(), order[1:].tolist(), strict=True)}
        for order in orders
    ]
    places = np.argsort(orders, axis=1)
    for one in range(4):
        for other in range(one):
            assert len(neighbours[one] & neighbours[other]) < 15  # 2 of 1,999 by chance
            assert abs(np.corrcoef(places[one], places[other])[0, 1]) < 0.1


def test_an_unknown_source_is_a_config_error(tmp_path: Path, approved: None) -> None:
    with pytest.raises(ConfigError, match="nothing_here"):
        make_mix(tmp_path, supervised=MIX["supervised"] | {"nothing_here": MIX["supervised"]["sets/qa"]})


def test_one_and_two_workers_give_the_same_digest(tmp_path: Path, approved: None) -> None:
    one, two = make_mix(tmp_path / "one"), make_mix(tmp_path / "two", workers=2)
    assert one.digest == two.digest


def test_the_order_depends_on_the_seed_and_mixes_sources(tmp_path: Path, approved: None) -> None:
    orders = [
        [(row["shard"], row["row"]) for row in plan(make_mix(tmp_path, seed=seed).artifact, 1)]
        for seed in (1, 2)
    ]
    assert orders[0] != orders[1]
    shards = np.array([shard for shard, _ in orders[0]])
    assert 15 < np.count_nonzero(np.diff(shards)) < 40  # a fair coin changes about every second time


def test_equal_texts_are_held_out_together() -> None:
    """A copy of a held-out text in another source must not be trained on."""
    rng = np.random.default_rng(0)
    text_key = np.repeat(rng.integers(0, 2**63, 100).astype(np.uint64), 2)
    rows = Rows(
        key=rng.integers(0, 2**63, 200).astype(np.uint64),
        text_key=text_key,
        bytes=np.full(200, 10),
        data_set=np.tile(np.array([0, 1], np.int32), 100),
        group=np.tile(np.array([0, 1], np.int32), 100),
        sets=["web/a", "web/b"],
        groups=["en", "zh"],
    )
    choice = choose(rows, Config(heldout_documents=5))
    held = set(text_key[choice.heldout].tolist())
    assert 5 <= len(held) <= 10
    assert not held & set(text_key[choice.plans[1].rows].tolist())


def test_bytes_take_just_enough(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path, web={"*": {"bytes": 5000}}).artifact
    sizes = [row["bytes"] for row in plan(artifact, 1)]
    assert 5000 <= sum(sizes) < 5000 + max(sizes)


def test_tokens_are_planned_with_documents_to_spare(tmp_path: Path, approved: None) -> None:
    artifact = make_mix(tmp_path, web={"pages": {"tokens": 500}}).artifact
    sizes = [row["bytes"] for row in plan(artifact, 1)]
    assert 4000 <= sum(sizes) < 4000 + max(sizes)
    quotas = json.loads(artifact.read_bytes(artifact.file("quotas.json")))
    assert quotas[0] == {"stage": 1, "set": "web/pages", "tokens": 500}
    assert [(q["stage"], q["set"], q["multiple"]) for q in quotas[1:]] == [
        (2, "replay/stage_1", 1.0),
        (3, "replay/stage_1", 1.0),
        (3, "replay/stage_2", 1.0),
    ]
    # what later stages replay is what stage 1 trains on for sure, at two bytes or more per token
    first = {(row["shard"], row["row"]) for row in plan(artifact, 1) if row["rank"] < 8}
    again = {(row["shard"], row["row"]) for row in plan(artifact, 2) if row["set"] == "web/pages"}
    assert again <= first


def test_keys_follow_text_and_place() -> None:
    texts = pa.chunked_array([["a", "水"], ["a", ""]])
    keys = text_keys(texts, 7)
    assert keys[0] == keys[2] and len(set(keys.tolist())) == 3
    assert (keys == text_keys(texts.slice(0), 7)).all() and keys[1] == text_keys(texts.slice(1, 2), 7)[0]
    assert (keys != text_keys(texts, 8)).all()
    places = row_keys("ab" * 32, np.array([3, 4]), 7)
    assert places[0] != places[1] and places[1] == row_keys("ab" * 32, np.array([4]), 7)[0]


def test_the_corpus_of_the_test_reads_back(tmp_path: Path) -> None:
    corpus = Corpus.open(make_texts(tmp_path).artifact)
    assert corpus.kept_rows() == 60


def test_training_on_something_that_no_mix_stands_behind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VerdictRefused, match="rests on 0 mixes"):
        verify_training(make_texts(tmp_path).artifact)


def test_a_mix_is_verified_again_by_whoever_trains_on_it(tmp_path: Path, approved: None) -> None:
    """The stand-in convinces mix alone; the walk from any later artifact looks at the corpora itself."""
    with pytest.raises(VerdictRefused, match="carries no verdict"):
        verify_training(make_mix(tmp_path).artifact)


def test_whoever_trains_refuses_a_set_whose_reason_is_blank(
    tmp_path: Path, approved: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = make_mix(tmp_path).artifact
    config = mix.config | {"supervised": {"sets/qa": {"ungated": "  "}}}
    monkeypatch.setattr(steps.core.approval, "verify_corpus", lambda *_: None)
    monkeypatch.setattr(Artifact, "config", property(lambda self: config))
    with pytest.raises(VerdictRefused, match="sets/qa has no verdict and no reason") as refused:
        verify_training(mix)
    assert refused.value.exit_code == 78
