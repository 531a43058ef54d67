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
from steps.train.gang import STOP
from tests.steps.training import approve_all, make_mix, make_model, make_pack, make_train

pytestmark = pytest.mark.slow
CONFIG = {"steps": 6, "layout": {"data": 2}, "micro_batch": 1, "checkpoint_every": 2, "evaluate_every": 3}

# A step process of its own, to be killed: what its arguments name, with a stand-in for the verdict, and with ranks
# that wait before the step that the test names.
PROGRAM = """
import sys, json, logging, steps.train.gang, steps.train.step
from steps.core.step import run_step
logging.basicConfig(level=logging.INFO)
steps.train.step.verify_training = lambda artifact: None
root, inputs, config, held = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
steps.train.gang.RANK = [sys.executable, held]
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


class Run:
    """One attempt at the train step in a process of its own, whose ranks wait before optimizer step ``hold``."""

    def __init__(self, root: Path, packed: Any, scratch: Path, hold: int | None = None) -> None:
        _, _, model, tokens = packed
        config = {"batch_windows": 8, "learning_rate": 2e-3, "final_learning_rate": 1e-4} | CONFIG
        inputs = json.dumps({"tokens": tokens.ref, "model": model.ref})
        scratch.mkdir()
        self.root, self.scratch, self.gate = root, scratch, scratch / "gate"
        if hold is not None:
            self.gate.write_text(str(hold))
        arguments = [
            f"file://{root}",
            inputs,
            json.dumps(config),
            str(Path(__file__).with_name("held_rank.py")),
        ]
        environment = {"TOKENMILL_SCRATCH": scratch, "TOKENMILL_WORKERS": "1", "HELD_RANK_GATE": self.gate}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=os.environ | {name: str(value) for name, value in environment.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, condition: Any, seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "nothing happened"
            time.sleep(0.02)

    def held(self) -> bool:
        """Whether both ranks wait at the gate."""
        return len(list(self.scratch.glob("gate.*"))) == 2

    def stop(self) -> tuple[str, int]:
        """Ask the waiting run to stop, as a scheduler does that signals the whole group; let it go on once it knows."""
        self.wait_for(self.held)
        for pid in ranks_alive(self.scratch):
            os.kill(pid, signal.SIGTERM)
        self.process.send_signal(signal.SIGTERM)
        self.wait_for(lambda: list(self.scratch.glob(f"*/out/{STOP}")))
        self.gate.unlink()
        _, log = self.process.communicate(timeout=120)
        return log, self.process.returncode

    def finish(self) -> tuple[str, str]:
        """(content digest, log) of a run that ends well."""
        out, log = self.process.communicate(timeout=400)
        assert self.process.returncode == 0, log
        return out, log


def markers(root: Path) -> list[str]:
    """The parts that an unfinished run left: checkpoints, and the final state."""
    assert not list(root.glob("train/*/manifest.json"))
    return sorted(path.name.partition("-")[0] for path in root.glob("train/*/parts/*.json"))


def ranks_alive(scratch: Path) -> list[int]:
    """Rank processes whose command line names a spec file in ``scratch``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(scratch).encode() in word and word.endswith(b"spec.json") for word in words):
            found.append(int(path.parent.name))
    return found


@pytest.mark.timeout(900)
def test_a_run_killed_and_twice_asked_to_stop_ends_as_an_undisturbed_one(packed: Any, tmp_path: Path) -> None:
    digest, _ = Run(tmp_path / "whole", packed, tmp_path / "scratch-whole").finish()
    root = tmp_path / "disturbed"

    killed = Run(root, packed, tmp_path / "scratch-killed", hold=3)
    killed.wait_for(lambda: killed.held() and markers(root))
    killed.process.send_signal(signal.SIGKILL)
    killed.process.communicate()
    end = time.monotonic() + 10
    while ranks_alive(killed.scratch) and time.monotonic() < end:
        time.sleep(0.05)
    assert not ranks_alive(killed.scratch), "ranks outlived their step"
    assert markers(root) == ["checkpoint_00000002"]

    # in step 4, before which nothing is saved but step 2
    log, code = Run(root, packed, tmp_path / "scratch-stopped", hold=3).stop()
    assert code == 128 + signal.SIGTERM and "going on from the checkpoint of step 2" in log
    assert markers(root) == ["checkpoint_00000002", "checkpoint_00000004"]

    # in its last step: what the ranks finish before they see the request is kept
    log, code = Run(root, packed, tmp_path / "scratch-last", hold=5).stop()
    assert code == 128 + signal.SIGTERM and "going on from the checkpoint of step 4" in log
    assert markers(root) == ["checkpoint_00000002", "checkpoint_00000004", "final"]

    found, log = Run(root, packed, tmp_path / "scratch-again").finish()
    assert found == digest and "steps on" not in log  # no rank was started


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
