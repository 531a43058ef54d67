"""The train step: kill it, stop it, chain it; the artifact is the same."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from safetensors.torch import load_file, save_file

from steps.core.approval import Approved
from steps.core.artifact import Artifact
from steps.core.errors import ConfigError, DataError, VerdictRefused
from steps.core.step import run_step
from steps.train.estimate import MEMORY
from steps.train.gang import STOP
from steps.train.prepare import check_origin, fetch_named
from tests.steps.train.nursery import Nursery
from tests.steps.training import approve_all, make_mix, make_model, make_pack, make_train

pytestmark = pytest.mark.slow
SETTINGS: dict[str, Any] = {
    "steps": 6,
    "layout": {"data": 2},
    "micro_batch": 1,
    "batch_windows": 8,
    "learning_rate": 2e-3,
    "final_learning_rate": 1e-4,
    "schedule": "wsd",
    "decay_ratio": 0.5,  # killed and resumed before, at and after the rate begins to fall
    "checkpoint_every": 2,
    "evaluate_every": 3,
}

# A step process of its own, to be killed: what its arguments name, with a stand-in for the verdict, and with ranks
# that wait before the step that the test names.
PROGRAM = """
import sys, json, logging, steps.train.gang, steps.train.step
from steps.core.approval import Approved
from steps.core.step import run_step
logging.basicConfig(level=logging.INFO)
steps.train.step.verify_training = lambda tokens: Approved(tokens.input("mix"), {}, {})
root, inputs, config, held = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
steps.train.gang.RANK = [sys.executable, "-m", held]
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


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def forked(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps in this process have their ranks forked; a stand-in for the verdict."""
    approve_all(monkeypatch)
    monkeypatch.setattr("steps.train.step.Gang", nursery.gang)


class Run:
    """One attempt at the train step in a process of its own, whose ranks wait before optimizer step ``hold``."""

    def __init__(self, root: Path, packed: Any, scratch: Path, hold: int | None = None) -> None:
        _, _, model, tokens = packed
        inputs = json.dumps({"tokens": tokens.ref, "model": model.ref})
        scratch.mkdir()
        self.root, self.scratch, self.gate = root, scratch, scratch / "gate"
        if hold is not None:
            self.gate.write_text(str(hold))
        arguments = [
            f"file://{root}",
            inputs,
            json.dumps(SETTINGS),
            "tests.steps.train.held_rank",
        ]
        environment = {"TOKENMILL_SCRATCH": scratch, "TOKENMILL_WORKERS": "1", "HELD_RANK_GATE": self.gate}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            env=os.environ | {name: str(value) for name, value in environment.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, condition: Any, seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is None and time.monotonic() > end:
                self.process.kill()
            assert self.process.poll() is None, self.process.communicate()
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
        _, log = self.process.communicate(timeout=600)
        return log, self.process.returncode


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


@pytest.mark.timeout(3000)
def test_a_run_killed_three_times_and_twice_asked_to_stop_ends_as_an_undisturbed_one(
    packed: Any, forked: None, tmp_path: Path
) -> None:
    root = tmp_path / "whole"
    inputs = {"tokens": packed[3].ref, "model": packed[2].ref}
    whole = run_step("train", config=SETTINGS, inputs=inputs, root=f"file://{root}")
    root = tmp_path / "disturbed"

    for step in sorted(random.Random(2026).sample(range(1, 5), 3)):
        killed = Run(root, packed, tmp_path / f"scratch-{step}", hold=step)
        newest = f"checkpoint_{step // 2 * 2:08d}"
        killed.wait_for(lambda: killed.held() and (step < 2 or markers(root).count(newest) == 2))  # noqa: B023
        killed.process.send_signal(signal.SIGKILL)
        killed.process.communicate()
        end = time.monotonic() + 60
        while ranks_alive(killed.scratch) and time.monotonic() < end:
            time.sleep(0.05)
        assert not ranks_alive(killed.scratch), "ranks outlived their step"

    # while it makes step 5: the checkpoint is that of step 5, and the oldest one goes
    log, code = Run(root, packed, tmp_path / "scratch-stopped", hold=4).stop()
    assert code == 128 + signal.SIGTERM and "going on from the checkpoint of step 4" in log
    assert markers(root) == [f"checkpoint_{step:08d}" for step in (4, 4, 5, 5)]

    # in its last step: what the ranks finish before they see the request is kept
    log, code = Run(root, packed, tmp_path / "scratch-last", hold=5).stop()
    assert code == 128 + signal.SIGTERM and "going on from the checkpoint of step 5" in log
    assert markers(root)[-1] == "final"

    found = run_step("train", config=SETTINGS, inputs=inputs, root=f"file://{root}")  # no rank is started
    assert found.digest == whole.digest


def test_a_stage_goes_on_in_another_layout_where_the_recipe_names_the_earlier_one(
    packed: Any, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    root, _, model, tokens = packed
    started = {"layout": {"data": 2}, "micro_batch": 1, "steps": 3, "checkpoint_every": 2}
    moved = started | {"layout": {}, "micro_batch": 2, "earlier_layouts": [{"data": 2}]}
    with pytest.raises(ConfigError, match=r"no checkpoint of this stage in the layout .*\"data\": 2"):
        make_train(root, tokens, model, **moved)
    whole = make_train(root, tokens, model, **started)
    found = make_train(root, tokens, model, **moved)
    left = {"tensor": 1, "pipeline": 1, "data": 2, "until_step": 2}
    assert found.facts["earlier_layouts"] == [left] and found.facts["tokens"] == whole.facts["tokens"]
    assert found.facts["loss"]["last"] == pytest.approx(whole.facts["loss"]["last"], rel=5e-3)

    marker = next(root.glob(f"{whole.artifact.folder}/parts/checkpoint_*-00001.json"))
    share = json.loads(marker.read_text())["temporary"][0]
    data = root / whole.artifact.folder / "data" / f"{share['sha256']}.safetensors"
    data.write_bytes(data.read_bytes()[:-1] + b"\1")
    with pytest.raises(DataError, match="is corrupt"):
        make_train(root, tokens, model, **(moved | {"layout": {"tensor": 2}}))


@pytest.mark.timeout(1200)
def test_stages_chain_weights_always_and_moments_by_setting(
    packed: Any, forked: None, monkeypatch: pytest.MonkeyPatch
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
    other = make_model(root, mix, characters=3)
    with pytest.raises(DataError, match="was trained from another model"):
        make_train(
            root, make_pack(root, mix, other, stage=2, sequence_length=64), other, first, stage=2, steps=2
        )
    shuffled = make_mix(root, seed=2)
    with pytest.raises(DataError, match="was trained on another mix"):
        make_train(
            root,
            make_pack(root, shuffled, model, stage=2, sequence_length=64),
            model,
            first,
            stage=2,
            steps=2,
        )


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
    with pytest.raises(ConfigError, match=r"zero 2 needs layout\.pipeline 1"):
        make_train(root, tokens, model, zero=2, layout={"pipeline": 2})
    with pytest.raises(DataError, match="was made by initialize, not by train"):
        make_train(root, tokens, model, model)
    monkeypatch.setenv(MEMORY, "0.1")
    with pytest.raises(ConfigError, match=r"a rank needs about .* and has 0\.1 GiB") as refused:
        make_train(root, tokens, model)
    assert refused.value.exit_code == 78


def test_tokens_of_a_shard_that_is_not_the_mix_s_are_refused(
    packed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, mix, _, tokens = packed
    known = Approved(mix.artifact, {}, {})
    check_origin(tokens.artifact, known)
    entry = tokens.artifact.files("segments")[0]
    table = tokens.artifact.read_table(entry)
    foreign = table.set_column(
        table.schema.get_field_index("shard"), "shard", pa.array(["f" * 64] * len(table))
    )
    monkeypatch.setattr(Artifact, "read_table", lambda self, entry, columns=None: foreign)
    with pytest.raises(DataError, match="shard ffffffffffff, which is not of the approved corpora"):
        check_origin(tokens.artifact, known)


def test_a_hopeless_run_ends_early_with_an_artifact_that_nothing_goes_on_from(
    packed: Any, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """English that does not rise lets the run go on; a Chinese loss that nobody reaches ends it."""
    root, mix, model, tokens = packed
    limits = [
        {"at_tokens": 0, "bounds": [{"set": "en", "rise": 0.5}]},
        {"at_tokens": 600, "bounds": [{"set": "zh", "loss": 0.1}]},
    ]
    found = make_train(root, tokens, model, steps=6, evaluate_every=1, stop_above=limits)
    stopped = found.facts["stopped_early"]
    assert [(b["set"], b["bound"]) for b in stopped["bounds"]] == [("zh", 0.1)] and stopped["tokens"] >= 600
    assert found.facts["steps"] == stopped["step"] < 6 and found.facts["tokens"] == stopped["tokens"]
    record = json.loads(found.artifact.read_bytes(found.artifact.file("record.json")))
    trained = {entry["step"]: entry["tokens"] for entry in record["heldout"]}
    assert trained[stopped["step"] - 1] < 600
    (view,) = found.artifact.manifest.views
    page = (root / found.artifact.folder / view.object_name).read_text()
    plots = 1 + len(found.facts["heldout_loss"]) + 2 + 5  # loss, held-out sets, rate and gradient, speed
    assert page.count("<svg") == plots and "stopped early after" in page
    assert trained == {
        step: sum(entry["tokens"] for entry in record["train"][:step]) for step in range(stopped["step"] + 1)
    }
    second = make_pack(root, mix, model, stage=2, sequence_length=64)
    with pytest.raises(DataError, match="was stopped early"):
        make_train(root, second, model, found, stage=2)
    with pytest.raises(DataError, match="was stopped early"):
        run_step("export", config={}, inputs={"train": found.ref, "model": model.ref}, root=f"file://{root}")
    unknown = [{"at_tokens": 0, "bounds": [{"set": "code", "loss": 1.0}]}]
    with pytest.raises(ConfigError, match="nothing is held out as code"):
        make_train(root, tokens, model, stop_above=unknown)


@pytest.mark.timeout(300)
def test_a_held_out_loss_that_is_not_finite_ends_the_run_with_its_set(
    packed: Any, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, model, tokens = packed

    def broken(artifact: Artifact, kind: str, folder: Path) -> list[Path]:
        (path,) = fetch_named(artifact, kind, folder)
        tensors = load_file(path)
        tensors["model.norm.weight"][0] = float("nan")
        save_file(tensors, path)
        return [path]

    monkeypatch.setattr("steps.train.prepare.fetch_named", broken)
    with pytest.raises(DataError, match=r"diverged at step 0: held-out loss of \w+ is nan; lower"):
        make_train(root, tokens, model, steps=2)


@pytest.mark.timeout(300)
def test_a_loss_that_is_not_finite_ends_the_run_with_the_step(
    packed: Any, forked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    root, _, model, tokens = packed
    with pytest.raises(DataError, match=r"diverged at step \d+"):
        make_train(root, tokens, model, learning_rate=1e30, final_learning_rate=1e29, warmup_ratio=0, steps=5)
