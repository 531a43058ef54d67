"""curriculum: easy documents first, evenly among the others, and pack follows it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM

import steps.curriculum.step
from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.curriculum.order import ascending
from steps.text.encoder import open_encoder
from tests.steps.training import PACK, approve_all, make_mix, make_model


def test_the_order_is_the_one_computed_by_hand() -> None:
    """zh z1 z2 z3 of 10, 10, 20 bytes with losses 3, 1, 2; en e1 e2 e3 of 20, 20, 40 bytes.

    zh ascending: z2 z3 z1, whose middles lie at 5, 20 and 35 of 40 bytes; en at 10, 30 and 60 of 80.
    As shares: z2 .125, z3 .5, z1 .875; e1 .125, e2 .375, e3 .75.
    """
    names = ["z1", "e1", "z2", "e2", "z3", "e3"]
    loss = np.array([3.0, math.nan, 1.0, math.nan, 2.0, math.nan])
    ordered = np.array([name[0] == "z" for name in names])
    turn = ascending(loss, np.zeros(6, int), ordered, np.array([10, 20, 10, 20, 20, 40]))
    assert [names[i] for i in turn] == ["z2", "e1", "e2", "z3", "e3", "z1"]


def test_ties_keep_the_order_of_the_plan_and_a_second_pass_follows_the_first() -> None:
    loss = np.array([2.0, 1.0, 1.0, 2.0, 1.0])
    passes = np.array([0, 1, 0, 1, 0])
    turn = ascending(loss, passes, np.ones(5, bool), np.full(5, 10))
    assert turn.tolist() == [2, 4, 0, 1, 3]


def test_any_beginning_of_the_stage_has_the_same_share_of_both() -> None:
    rng = np.random.default_rng(0)
    size, ordered = rng.integers(1, 1000, 500), rng.random(500) < 0.2
    turn = ascending(rng.random(500), np.zeros(500, int), ordered, size)
    assert sorted(turn.tolist()) == list(range(500))
    shares = [
        np.cumsum(np.where(ordered[turn] == kind, size[turn], 0)) / size[ordered == kind].sum()
        for kind in (0, 1)
    ]
    assert np.abs(shares[0] - shares[1]).max() <= max(1000 / size[ordered == kind].sum() for kind in (0, 1))
    others = turn[~ordered[turn]]
    assert (np.diff(others) > 0).all()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Outcome, Outcome]:
    approve_all(monkeypatch)
    monkeypatch.setattr(steps.curriculum.step, "verify_training", lambda artifact: None)
    mix = make_mix(tmp_path)
    return tmp_path, mix, make_model(tmp_path, mix, loss_bytes=0)


def curriculum(root: Path, mix: Outcome, model: Outcome, **config: Any) -> Outcome:
    inputs = {"mix": mix.ref, "model": model.ref}
    runtime = Runtime(workers=1)
    return run_step("curriculum", config=config, inputs=inputs, root=f"file://{root}", runtime=runtime)


def expected(model: Artifact, folder: Path, texts: list[str], limit: int) -> list[float]:
    """Each document read alone, with what transformers calls its loss."""
    folder.mkdir()
    for kind in ("weights", "config"):
        for entry in model.files(kind):
            model.fetch(entry, folder / "f").rename(folder / entry.key)
    network: Any = AutoModelForCausalLM.from_pretrained(folder)
    encode = open_encoder(model.ref)
    found = []
    for text in texts:
        ids = torch.tensor([[network.config.bos_token_id, *encode([text])[0][:-1][:limit]]])
        found.append(round(float(network(input_ids=ids, labels=ids).loss), 3))
    return found


def test_pack_takes_the_documents_of_the_language_from_easy_to_hard(
    made: tuple[Path, Outcome, Outcome],
) -> None:
    root, mix, model = made
    ordered = curriculum(root, mix, model, languages=["zh"], tokens=20, batch_tokens=64)
    plan = pa.concat_tables([ordered.artifact.read_table(e) for e in ordered.artifact.files("plan")][:1])
    before = mix.artifact.read_table(mix.artifact.files("plan")[0])
    assert ordered.facts["stages"]["1"] == {"ordered": 27, "documents": 54}
    rows = plan.filter(pa.array([language == "zh" for language in plan["language"].to_pylist()]))
    shards = Corpus.open(mix.artifact.input("corpora.web")).shards
    texts = [
        shards[r["shard"]].read(["text"], kept=False)["text"][r["row"]].as_py() for r in rows.to_pylist()
    ]
    losses = rows["loss"].to_pylist()
    assert losses == sorted(losses) and len(set(losses)) > 5
    assert losses == pytest.approx(expected(model.artifact, root / "alone", texts, 20), abs=2e-3)
    key = [(r["shard"], r["row"]) for r in plan.to_pylist() if r["language"] == "en"]
    assert key == [(r["shard"], r["row"]) for r in before.to_pylist() if r["language"] == "en"]
    inputs = {"mix": mix.ref, "model": model.ref, "curriculum": ordered.ref}
    packed = run_step(
        "pack", config=PACK, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=1)
    ).artifact
    digests = {shard.sha256: shard.index for shard in shards}
    segments = [
        r
        for e in packed.files("segments")
        if e.meta["set"] == "train"
        for r in packed.read_table(e).to_pylist()
    ]
    order = list(dict.fromkeys((digests[row["shard"]], row["row"]) for row in segments))
    assert order == [(r["shard"], r["row"]) for r in plan.to_pylist()]


def test_without_a_language_nothing_is_read(made: tuple[Path, Outcome, Outcome]) -> None:
    root, mix, model = made
    none = curriculum(root, mix, model)
    assert not none.artifact.files("plan") and none.facts["languages"] == []
    with pytest.raises(DataError, match="plans no plain document in fr"):
        curriculum(root, mix, model, languages=["fr"])
