"""The plan and the draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steps.core.draw import row_keys, sample_seed
from steps.core.errors import ConfigError
from steps.core.policy import Policy
from steps.evaluate.config import Config
from steps.evaluate.sampling import allocate, host_shares
from steps.evaluate.step import STEP
from tests.steps.documents import make_corpus
from tests.steps.gate.line import records, step


def test_the_sample_is_what_the_plan_needs_and_proportional() -> None:
    strata, needed = allocate({"a|zh": 60_000, "b|en": 30_000, "c|en": 10_000}, Config())
    drawn = {name: s.sampled for name, s in strata.items()}
    assert needed is not None and 3500 < needed < 4500
    assert sum(drawn.values()) == needed
    assert drawn["a|zh"] == pytest.approx(0.6 * needed, abs=1)
    assert all(s.extra == 0 or name == "c|en" for name, s in strata.items())


def test_rare_strata_get_extra_documents_for_their_own_check() -> None:
    strata, needed = allocate({"big|zh": 100_000, "rare|en": 500, "tiny|en": 7, "tinier|zh": 5}, Config())
    assert sum(s.sampled for s in strata.values()) == needed
    rare = strata["rare|en"]
    assert rare.sampled + rare.extra > 250  # 0 of that many puts the bound of 500 below 1 %
    assert strata["tiny|en"].sampled + strata["tiny|en"].extra == 7
    assert strata["tinier|zh"].sampled + strata["tinier|zh"].extra == 5
    without, _ = allocate({"big|zh": 100_000, "rare|en": 500}, Config(policy=Policy(stratum_ceiling=None)))
    assert without["rare|en"].extra == 0


def test_one_percent_and_census() -> None:
    counts = {"a|zh": 1_000_000}
    assert allocate(counts, Config())[0]["a|zh"].sampled == 10_000
    assert allocate(counts, Config(sample_fraction=1.0))[0]["a|zh"].sampled == 1_000_000


def test_where_the_plan_cannot_be_met_everything_is_read() -> None:
    strata, needed = allocate({"a|zh": 300}, Config(seeded=20))
    assert (needed, strata["a|zh"].sampled) == (None, 300)


def test_the_seed_follows_from_documents_policy_and_look() -> None:
    seeds = {sample_seed(d, p, look) for d in ("d1", "d2") for p in ("p1", "p2") for look in (1, 2)}
    assert len(seeds) == 8
    assert sample_seed("d1", "p1", 1) == sample_seed("d1", "p1", 1)


def test_keys_are_uniform_and_differ_between_shards() -> None:
    rows = np.arange(200_000)
    keys = row_keys("seed", "shard-0", rows)
    assert len(np.unique(keys)) == len(rows)
    counts = np.bincount((keys >> np.uint64(58)).astype(np.int64), minlength=64)
    expected = len(rows) / 64
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 105  # 63 degrees of freedom: exceeded once in 1,500
    assert (row_keys("seed", "shard-1", rows) != keys).all()
    assert (row_keys("seed", "shard-0", rows[5:10]) == keys[5:10]).all()


def test_hosts_are_shared_out_as_far_as_there_are_any() -> None:
    strata, _ = allocate({"a|zh": 30, "b|en": 10}, Config())
    assert host_shares(strata, 20) == {"a|zh": 15, "b|en": 5}
    assert host_shares(strata, 1000) == {"a|zh": 30, "b|en": 10}


def test_a_drawn_sample_counts_what_it_draws(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, [records(20), records(20)])
    config = {"minimum": 30, "seeded": 24, "policy": {"bound": "none"}}
    made = step(tmp_path, "evaluate", config, {"corpus": corpus.ref})
    sample = made.artifact
    seeds = sample.read_table(sample.file("seeds.parquet")).to_pylist()
    assert sum(row["counted"] for row in seeds) == made.facts["sampled_documents"] == 30
    assert made.counts.total.kept.documents == 30
    assert made.facts["sample"]["population"] == 80
    rows = sample.read_table(sample.file("sample.parquet"), ["shard", "row", "sample_id"]).to_pylist()
    real = {row["sample_id"] for row in seeds if row["defect"] is None}
    assert len({(r["shard"], r["row"], r["sample_id"]) for r in rows if r["sample_id"] in real}) == 30
    assert made.facts["metrics"]["documents"] == 30
    assert set(made.facts["metrics"]["languages"]) <= {"zh", "en"}


def test_an_empty_corpus_makes_an_empty_sample_that_cannot_pass(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, [[]])
    sample = step(tmp_path, "evaluate", {}, {"corpus": corpus.ref})
    labels = step(tmp_path, "review", {"mode": "automatic"}, {"sample": sample.ref})
    inputs = {"corpus": corpus.ref, "sample": sample.ref, "labels": labels.ref}
    gate = step(tmp_path, "gate", {}, inputs)
    assert gate.facts["status"] == "fail"
    assert gate.facts["reasons"][0] == "the corpus has no documents"


def test_looks_are_numbered_by_dump(tmp_path: Path) -> None:
    nameless = [{k: v for k, v in record.items() if k != "dump"} for record in records(10)]
    corpus = make_corpus(tmp_path, [nameless])
    sample = step(tmp_path, "evaluate", {"seeded": 12}, {"corpus": corpus.ref})
    labels = step(tmp_path, "review", {"mode": "automatic"}, {"sample": sample.ref})
    inputs = {"corpus": corpus.ref, "sample": sample.ref, "labels": labels.ref}
    with pytest.raises(ConfigError, match="name no dump"):
        step(tmp_path, "gate", {}, inputs)


def test_an_unknown_defect_class_is_named(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, [records(5)])
    with pytest.raises(ConfigError, match="boredom unknown"):
        step(tmp_path, STEP.name, {"defects": ["boredom"]}, {"corpus": corpus.ref})
