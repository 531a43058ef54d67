"""The train step: kill it, stop it, chain it; the artifact is the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from steps.core.errors import ConfigError, DataError, VerdictRefused
from tests.steps.training import approve_all, make_mix, make_model, make_pack, make_train

pytestmark = pytest.mark.slow
CONFIG = {"steps": 6, "layout": {"data": 2}, "micro_batch": 1, "checkpoint_every": 2, "evaluate_every": 3}

# A step process of its own, to be killed: what its arguments name, with a stand-in for the verdict.
PROGRAM = """
import sys, json, logging, steps.train.step
from steps.core.step import run_step
logging.basicConfig(level=logging.INFO)
steps.train.step.verify_training = lambda artifact: None
root, inputs, config = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
print(run_step("train", config=config, inputs=inputs, root=root).digest)
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("packed")
    with pytest.MonkeyPatch.context() as patch:
        approve_all(patch)
        mix = make_mix(root)
        model = make_model(root, mix)
        tokens = make_pack(root, mix, model, sequence_length=64)
    return root, mix, model, tokens


def start(root: Path, packed: Any, scratch: Path) -> subprocess.Popen[str]:
    _, _, model, tokens = packed
    config = {"batch_windows": 8, "learning_rate": 2e-3, "final_learning_rate": 1e-4} | CONFIG
    inputs = json.dumps({"tokens": tokens.ref, "model": model.ref})
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"file://{root}", inputs, json.dumps(config)],
        env=os.environ | {"TOKENMILL_SCRATCH": str(scratch), "TOKENMILL_WORKERS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def markers(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("train/*/parts/checkpoint_*"))


def wait_for(condition: Any, process: subprocess.Popen[str], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def ranks_alive(scratch: Path) -> list[int]:
    """Processes whose command line names a spec file in ``scratch``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"steps.train.rank" in words and any(str(scratch).encode() in word for word in words):
            found.append(int(path.parent.name))
    return found


@pytest.mark.timeout(900)
def test_a_run_killed_at_a_checkpoint_and_one_asked_to_stop_end_as_an_undisturbed_one(
    packed: Any, tmp_path: Path
) -> None:
    whole = start(tmp_path / "whole", packed, tmp_path / "scratch-whole")
    digest, log = whole.communicate(timeout=400)
    assert whole.returncode == 0, log

    root, scratch = tmp_path / "killed", tmp_path / "scratch-killed"
    killed = start(root, packed, scratch)
    wait_for(lambda: markers(root), killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    end = time.monotonic() + 10
    while ranks_alive(scratch) and time.monotonic() < end:
        time.sleep(0.05)
    assert not ranks_alive(scratch), "ranks outlived their step"
    assert not list(root.glob("train/*/manifest.json"))

    scratch = tmp_path / "scratch-stopped"
    again = start(root, packed, scratch)
    # Asked to stop as soon as the ranks train: a checkpoint is saved wherever they are.
    before = markers(root)
    wait_for(lambda: list(scratch.glob("*/out/progress.jsonl")), again)
    for pid in ranks_alive(scratch):
        os.kill(pid, signal.SIGTERM)  # as a scheduler does that signals the whole group
    again.send_signal(signal.SIGTERM)
    _, log = again.communicate(timeout=120)
    assert again.returncode == 128 + signal.SIGTERM and "going on from the checkpoint of step" in log
    assert len(markers(root)) > len(before) and not list(root.glob("train/*/manifest.json"))

    last = start(root, packed, scratch)
    out, log = last.communicate(timeout=400)
    assert last.returncode == 0, log
    assert out == digest and "going on from the checkpoint of step" in log


@pytest.mark.timeout(600)
def test_stages_chain_weights_always_and_moments_by_setting(
    packed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    root, mix, model, tokens = packed
    second = make_pack(root, mix, model, stage=2, sequence_length=64)
    first = make_train(root, tokens, model, steps=3)
    fresh = make_train(root, second, model, first, stage=2, steps=2)
    kept = make_train(root, second, model, first, stage=2, steps=2, optimizer_state="continue")
    ends = {name: found["last"] for name, found in first.facts["heldout_loss"].items()}
    for found in (fresh, kept):
        starts = {name: f["first"] for name, f in found.facts["heldout_loss"].items()}
        assert starts == pytest.approx(ends, abs=1e-6)
    assert (
        first.facts["optimizer_steps"],
        fresh.facts["optimizer_steps"],
        kept.facts["optimizer_steps"],
    ) == (3, 2, 5)
    assert fresh.facts["loss"]["first"] == kept.facts["loss"]["first"]
    assert fresh.facts["heldout_loss"]["zh"]["last"] != kept.facts["heldout_loss"]["zh"]["last"]
    with pytest.raises(DataError, match="cannot follow"):
        make_train(root, tokens, model, first)


def test_what_does_not_belong_together_is_refused(packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root, mix, model, tokens = packed
    with pytest.raises(VerdictRefused, match="carries no verdict"):
        make_train(root, tokens, model)
    approve_all(monkeypatch)
    with pytest.raises(DataError, match="holds windows of stage 1, not 2"):
        make_train(root, tokens, model, stage=2)
    other = make_model(root, mix, characters=3)
    with pytest.raises(DataError, match="another tokenizer"):
        make_train(root, tokens, other)
    with pytest.raises(ConfigError, match=r"heads 4 is not a multiple of layout\.tensor 3"):
        make_train(root, tokens, model, layout={"tensor": 3})
    with pytest.raises(ConfigError, match="nothing is repeated silently"):
        make_train(root, tokens, model, steps=1000)
    with pytest.raises(ConfigError, match="batch_windows 8 is not a multiple"):
        make_train(root, tokens, model, micro_batch=3)


@pytest.mark.timeout(300)
def test_a_loss_that_is_not_finite_ends_the_run_with_the_step(
    packed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    root, _, model, tokens = packed
    with pytest.raises(DataError, match=r"diverged at step \d+"):
        make_train(root, tokens, model, learning_rate=1e30, final_learning_rate=1e29, warmup_ratio=0, steps=5)
