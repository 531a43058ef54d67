"""pack: what windows hold, where it comes from, that Megatron reads it, that nothing depends on workers."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.text.encoder import fast_encoder, sentencepiece_encoder
from tests.steps.training import approve_all, make_mix, make_model, make_pack

EOS = 2


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Any, Any]:
    approve_all(monkeypatch)
    mix = make_mix(tmp_path)
    return tmp_path, mix, make_model(tmp_path, mix)


def windows_of(artifact: Artifact, name: str) -> list[dict[str, Any]]:
    """Every window of a set: tokens, document ends, next token, task, and its segments."""
    found = []
    at = 0
    for entry in artifact.files("windows"):
        if entry.meta["set"] != name:
            continue
        stem = entry.key.removesuffix(".windows.parquet")
        tokens = np.frombuffer(
            artifact.read_bytes(artifact.file(f"{stem}.bin")), artifact.facts["token_type"]
        )
        segments = artifact.read_table(artifact.file(f"{stem}.segments.parquet")).to_pylist()
        for row in artifact.read_table(entry).to_pylist():
            row["tokens"] = tokens[row["offset"] : row["offset"] + row["ends"][-1]].tolist()
            row["segments"] = [s for s in segments if s["window"] == at]
            found.append(row)
            at += 1
    return found


def encoded(mix: Artifact, model: Artifact) -> dict[tuple[str, int], list[int]]:
    """Tokens of every document, encoded one by one: the oracle."""
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=model.read_bytes(model.file("tokenizer.model"))
    )
    found = {}
    for name in mix.input_names():
        for shard in Corpus.open(mix.input(name)).shards:
            for row in shard.read().to_pylist():
                text = row["text"]
                if name == "supervised":
                    zh = row["language"] == "zh"
                    marks = {"qa": ("问题:", " 回答:") if zh else ("Question: ", " Answer: ")}
                    marks["math"] = ("题目:", " 解答:") if zh else ("Problem: ", " Solution: ")
                    before, between = marks[row["task"]]
                    text = before + row["prompt"] + between + row["response"]
                found[shard.sha256, row["_row"]] = [*processor.encode(text), EOS]
    return found


def check_origins(
    windows: list[dict[str, Any]], oracle: dict[tuple[str, int], list[int]], cut: int = 0
) -> None:
    """Every token is the token of the document that its segment names; ``cut`` documents end before their end."""
    found = 0
    for window in windows:
        starts = [0, *window["ends"][:-1]]
        assert len(starts) == len(window["segments"])
        for start, end, segment in zip(starts, window["ends"], window["segments"], strict=True):
            whole = oracle[segment["shard"], segment["row"]]
            assert window["tokens"][start:end] == whole[segment["start"] : segment["end"]]
        last = window["segments"][-1]
        rest = oracle[last["shard"], last["row"]][last["end"] :]
        if rest and window["next_token"] == -1:
            found += 1
        else:
            assert window["next_token"] == (rest[0] if rest else -1)
    assert found <= cut


def test_stage_1_splices_every_document_once_in_plan_order(made: tuple[Path, Any, Any]) -> None:
    root, mix, model = made
    artifact = make_pack(root, mix, model).artifact
    windows, oracle = windows_of(artifact, "train"), encoded(mix.artifact, model.artifact)
    check_origins(windows, oracle)
    bounds = [entry.rows or 0 for entry in artifact.files("windows") if entry.meta["set"] == "train"]
    assert len(bounds) > 2  # blocks
    last = set(np.cumsum(bounds) - 1)  # of each block
    assert all(len(window["tokens"]) == 32 for at, window in enumerate(windows) if at not in last)
    assert [w["order"] for w in windows] == sorted(w["order"] for w in windows)
    shards = json.loads(mix.artifact.read_bytes(mix.artifact.file("shards.json")))
    plan = mix.artifact.read_table(mix.artifact.file("plan/stage-1/00000.parquet")).to_pylist()
    stream = [t for row in plan for t in oracle[shards[row["shard"]]["sha256"], row["row"]]]
    assert [t for window in windows for t in window["tokens"]] == stream
    assert artifact.facts["tokens"] == len(stream)
    one_block = make_pack(root, mix, model, block_bytes=1 << 20).artifact
    assert one_block.facts["fill"] > 0.99 and one_block.facts["tokens"] == len(stream)


def test_stage_2_keeps_documents_whole_and_tasks_apart(made: tuple[Path, Any, Any]) -> None:
    root, mix, model = made
    artifact = make_pack(root, mix, model, stage=2, sequence_length=64).artifact
    windows, oracle = windows_of(artifact, "train"), encoded(mix.artifact, model.artifact)
    check_origins(windows, oracle, cut=1)  # the last replayed one, to the token
    assert {window["task"] for window in windows} == {"", "qa"}
    for window in windows:
        if window["task"]:
            assert all(s["start"] == 0 for s in window["segments"]) and window["next_token"] == -1
    ledger = [row for entry in artifact.files("ledger") for row in artifact.read_table(entry).to_pylist()]
    long = [row for row in ledger if row["rule"] == "too_long"]
    assert all(row["value"] > 64 and len(oracle[row["shard"], row["row"]]) == row["value"] for row in long)
    assert artifact.manifest.identity.counts.total.removed.documents == len(long) > 0
    tasks = [window["task"] for window in windows]
    assert sum(a != b for a, b in pairwise(tasks)) > 1  # interleaved, not one after the other


def test_held_out_windows_hold_what_no_stage_trains_on(made: tuple[Path, Any, Any]) -> None:
    root, mix, model = made
    artifact = make_pack(root, mix, model).artifact
    assert sorted(artifact.facts["heldout"]) == ["en", "math", "qa", "zh"]
    oracle = encoded(mix.artifact, model.artifact)
    held = set()
    for name in ("en", "zh"):
        windows = windows_of(artifact, f"heldout/{name}")
        check_origins(windows, oracle)
        held |= {(s["shard"], s["row"]) for window in windows for s in window["segments"]}
    trained = {(s["shard"], s["row"]) for w in windows_of(artifact, "train") for s in w["segments"]}
    assert len(held) == 6 and not held & trained


def test_megatron_core_reads_the_token_files(made: tuple[Path, Any, Any], tmp_path: Path) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    root, mix, model = made
    artifact = make_pack(root, mix, model, block_bytes=1 << 20).artifact
    for suffix in ("bin", "idx"):
        (tmp_path / f"tokens.{suffix}").write_bytes(
            artifact.read_bytes(artifact.file(f"train/00000.{suffix}"))
        )
    data = IndexedDataset(str(tmp_path / "tokens"))
    windows = windows_of(artifact, "train")
    segments = [
        window["tokens"][start:end]
        for window in windows
        for start, end in zip([0, *window["ends"][:-1]], window["ends"], strict=True)
    ]
    assert len(data) == len(segments)
    assert [data[i].tolist() for i in range(len(data))] == segments


def test_one_and_two_workers_give_the_same_digest(made: tuple[Path, Any, Any], tmp_path: Path) -> None:
    digests = []
    for workers in (1, 2):
        root = tmp_path / str(workers)
        mix = make_mix(root)
        digests.append(make_pack(root, mix, make_model(root, mix), workers=workers).digest)
    assert digests[0] == digests[1]


def test_a_pack_killed_at_any_write_and_tried_again_is_the_undisturbed_one(
    made: tuple[Path, Any, Any], tmp_path: Path
) -> None:
    _, mix, model = made

    def attempt(root: Path, fatal: int) -> tuple[int, list[str]]:
        command = [sys.executable, "-m", "tests.steps.pack.killing", root.as_uri(), mix.ref, model.ref]
        done = subprocess.run([*command, str(fatal)], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.split()

    code, (digest, writes) = attempt(tmp_path / "whole", 0)
    assert code == 0
    rng = random.Random(6)
    for number in range(2):
        fatal = rng.randrange(2, int(writes))
        assert attempt(tmp_path / f"killed-{number}", fatal) == (-signal.SIGKILL, [])
        assert not list((tmp_path / f"killed-{number}").glob("pack/*/manifest.json"))
        code, (again, rest) = attempt(tmp_path / f"killed-{number}", 0)
        assert (code, again) == (0, digest) and int(rest) < int(writes)


def test_a_model_without_sentencepiece_is_packed_by_its_fast_tokenizer_to_the_same_tokens(
    made: tuple[Path, Any, Any],
) -> None:
    _, _, model = made
    read = lambda name: model.artifact.read_bytes(model.artifact.file(name))  # noqa: E731
    texts = [
        "the river runs 12 miles",
        "清晨的河水流过。",
        "",
        "</s> written in a text <s> stays text",
        "a\n\tb  c",
    ]
    slow, fast = (
        sentencepiece_encoder(read("tokenizer.model")),
        fast_encoder(read("tokenizer.json").decode(), 2),
    )
    for one, other in zip(slow(texts), fast(texts), strict=True):
        assert one.tolist() == other.tolist()
    tokens, lengths = fast(texts)
    assert np.flatnonzero(tokens == EOS).tolist() == (np.cumsum(lengths) - 1).tolist()  # ends only


def test_the_order_of_a_curriculum_is_kept_but_for_documents_fitted_together(
    made: tuple[Path, Any, Any],
) -> None:
    root, mix, model = made
    artifact = make_pack(
        root, mix, model, stage=2, sequence_length=64, fit_documents=4, block_bytes=1 << 20
    ).artifact
    shards = json.loads(mix.artifact.read_bytes(mix.artifact.file("shards.json")))
    plan = mix.artifact.read_table(mix.artifact.file("plan/stage-2/00000.parquet")).to_pylist()
    lengths = {key: len(tokens) for key, tokens in encoded(mix.artifact, model.artifact).items()}
    address = [(shards[row["shard"]]["sha256"], row["row"]) for row in plan]
    turn = {  # of the documents of the task that fit into a window
        key: place
        for place, key in enumerate(
            key for key, row in zip(address, plan, strict=True) if row["task"] == "qa" and lengths[key] <= 64
        )
    }
    found = [
        turn[s["shard"], s["row"]] // 4
        for w in windows_of(artifact, "train")
        if w["task"]
        for s in w["segments"]
    ]
    assert found == sorted(found) and len(found) == len(turn) > 8


def test_the_report_shows_fill_per_task_and_held_out_sets(made: tuple[Path, Any, Any]) -> None:
    root, mix, model = made
    artifact = make_pack(root, mix, model, stage=2, sequence_length=64).artifact
    (entry,) = [view for view in artifact.manifest.views if view.key == "report.html"]
    page = artifact.read_bytes(entry).decode()
    assert "How full windows are" in page and "plain text" in page and "Held out" in page
    assert f"{artifact.facts['fill']:.2%}" in page and artifact.facts["tasks"]["qa"]["documents"] > 0


def test_windows_longer_than_the_model_are_refused(made: tuple[Path, Any, Any]) -> None:
    root, mix, model = made
    with pytest.raises(ConfigError, match="exceeds the model's 64 positions"):
        make_pack(root, mix, model, sequence_length=128)
