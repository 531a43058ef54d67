"""Real rank processes: every layout trains alike, and like a plain loop around transformers' model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from steps.export.check import compare_logits
from steps.export.weights import write_shards
from steps.train.config import Config
from steps.train.schedule import learning_rate
from steps.train.windows import EMPTY, TokenFile, Windows, batch_windows
from tests.steps.train.nursery import Nursery
from tests.steps.train.synthetic import LENGTH, hugging_face_config, write_spec

STEPS = 4
Ranks = Callable[..., SimpleNamespace]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ranks() -> Iterator[Callable[..., SimpleNamespace]]:
    nursery = Nursery()
    yield partial(run_ranks, nursery)
    nursery.close()


def run_ranks(
    nursery: Nursery, folder: Path, steps: int = STEPS, codes: int = 0, **changes: Any
) -> SimpleNamespace:
    """Train and read what the ranks wrote; all must end with the exit code ``codes``."""
    layout = changes.get("layout", {})
    world = layout.get("tensor", 1) * layout.get("pipeline", 1) * layout.get("data", 1)
    found = nursery.run(write_spec(folder, steps=steps, **changes), world, folder / "logs")
    assert found == [codes] * world, "\n".join(path.read_text()[-3000:] for path in folder.glob("logs/*"))
    final = folder / "out" / "final"
    if codes:
        return SimpleNamespace(folder=folder)
    record = json.loads((final / "record.json").read_text())
    state, model = {}, {}
    for path in sorted(final.glob("state-*.safetensors")):
        state |= load_file(path)
    for path in sorted(final.glob("model-*.safetensors")):
        model |= load_file(path)
    return SimpleNamespace(
        folder=folder,
        record=record,
        losses=np.array([entry["loss"] for entry in record["train"]]),
        norms=np.array([entry["gradient_norm"] for entry in record["train"]]),
        heldout=np.array([entry["loss"] for entry in record["heldout"]]),
        state=state,
        model=model,
        probe=load_file(final / "probe.safetensors"),
    )


@pytest.fixture(scope="module")
def single(ranks: Ranks, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return ranks(tmp_path_factory.mktemp("single"), precision="float32")


@pytest.mark.parametrize(
    "layout",
    [
        {"tensor": 2},
        {"pipeline": 2},
        {"data": 2},
        {"tensor": 2, "pipeline": 2},
    ],
    ids=["tensor2", "pipeline2", "data2", "tensor2pipeline2"],
)
def test_layouts_train_alike(
    ranks: Ranks, single: SimpleNamespace, tmp_path: Path, layout: dict[str, int]
) -> None:
    found = ranks(tmp_path, precision="float32", layout=layout)
    assert_alike(found, single)


def assert_alike(found: SimpleNamespace, single: SimpleNamespace) -> None:
    """The same run up to the order of FP32 sums."""
    np.testing.assert_allclose(found.losses, single.losses, rtol=2e-6)
    np.testing.assert_allclose(found.norms, single.norms, rtol=2e-5)
    np.testing.assert_allclose(found.heldout, single.heldout, rtol=2e-6)
    assert found.state.keys() == single.state.keys() and found.model.keys() == single.model.keys()
    for name, tensor in single.state.items():
        # Adam turns noise in a gradient near zero into a part of a step; a tenth of one (5e-3) is allowed.
        torch.testing.assert_close(found.state[name], tensor, rtol=1e-3, atol=5e-4)
    for name, tensor in single.probe.items():
        torch.testing.assert_close(found.probe[name], tensor, rtol=1e-2, atol=2e-3)
    assert exported_difference(found, found.folder / "exported") < 1e-5


def exported_difference(found: SimpleNamespace, folder: Path) -> float:
    """Largest difference, in standard deviations, of the trainer's logits and those of the exported folder."""
    folder.mkdir()
    write_shards(sorted((found.folder / "out/final").glob("model-*.safetensors")), folder, 30_000)
    (folder / "config.json").write_text(json.dumps(hugging_face_config()))
    difference, positions = compare_logits(folder, found.folder / "out/final/probe.safetensors")
    assert positions > 30
    return difference


def test_losses_are_those_of_a_plain_loop_around_transformers(single: SimpleNamespace) -> None:
    """Documents one by one, FP32, torch's clip and AdamW: the oracle of model, packing, engine and schedule."""
    from transformers import LlamaConfig, LlamaForCausalLM

    spec = json.loads((single.folder / "spec.json").read_text())
    config = spec["config"]
    model = LlamaForCausalLM(LlamaConfig(**hugging_face_config(), attn_implementation="eager"))
    model.load_state_dict(load_file(spec["weights"][0]))
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
    )
    tokens, table, dtype = spec["windows"][0]
    windows = Windows([TokenFile(Path(tokens), Path(table), dtype)], LENGTH)
    losses, norms = [], []
    for step in range(STEPS):
        total, count = torch.zeros(()), 0
        for index in batch_windows(windows, step, config["batch_windows"]):
            ids, _, targets, counts, ends = windows.read(int(index))
            assert index != EMPTY
            for start, end in zip([0, *ends[:-1]], ends, strict=True):
                keep = torch.from_numpy(counts[start:end])
                logits = model(torch.from_numpy(ids[None, start:end])).logits[0][keep]
                total = total + F.cross_entropy(
                    logits, torch.from_numpy(targets[start:end])[keep], reduction="sum"
                )
                count += int(keep.sum())
        loss = total / count
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(Config.model_validate(config), step, STEPS)
        optimizer.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(single.losses, losses, rtol=2e-5)
    np.testing.assert_allclose(single.norms, norms, rtol=2e-4)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(single.model[name], parameter.detach(), rtol=1e-3, atol=5e-4)


@pytest.mark.parametrize("zero", [2, 3])
def test_gradients_and_weights_shared_among_replicas_train_alike(
    ranks: Ranks, single: SimpleNamespace, tmp_path: Path, zero: int
) -> None:
    assert_alike(ranks(tmp_path, precision="float32", zero=zero, layout={"data": 2}), single)


def test_bfloat16_stays_near_a_float32_loop_and_resumes_bit_for_bit(
    ranks: Ranks, single: SimpleNamespace, tmp_path: Path
) -> None:
    """Two ranks with tensors split: a resumed run equals the undisturbed one in every bit, moments included."""
    layout = {"tensor": 2}
    whole = ranks(tmp_path / "whole", layout=layout)
    assert np.abs(whole.losses - single.losses).max() < 2e-3
    # weights are BF16 on both sides and both compute in FP32: the same bound as for FP32 weights
    assert exported_difference(whole, tmp_path / "exported") < 1e-5
    checkpoint = tmp_path / "whole" / "out" / "checkpoint-00000002"
    shares = ["state-0000.safetensors", "state-0001.safetensors"]
    assert sorted(p.name for p in checkpoint.iterdir()) == ["DONE-0000", "DONE-0001", "record.json", *shares]
    ranks(tmp_path / "resumed", layout=layout, resume=str(checkpoint))
    names = ("record.json", *shares, "model-00001-of-00001.safetensors", "probe.safetensors")
    for name in names:
        again, once = (tmp_path / run / "out" / "final" / name for run in ("resumed", "whole"))
        assert again.read_bytes() == once.read_bytes(), name


def test_another_data_parallel_degree_goes_on_at_the_next_window(
    ranks: Ranks, single: SimpleNamespace, tmp_path: Path
) -> None:
    """Started on two replicas, gone on with one: the losses of the run that never changed, step by step."""
    two = {"tensor": 1, "pipeline": 1, "data": 2}
    ranks(tmp_path / "two", precision="float32", layout=two)
    checkpoint = tmp_path / "two" / "out" / "checkpoint-00000002"
    found = ranks(tmp_path / "one", precision="float32", resume=str(checkpoint), resumed_layout=two)
    assert found.record["layouts"] == [{**two, "until_step": 2}]
    assert [entry["step"] for entry in found.record["train"]] == [1, 2, 3, 4]
    assert_alike(found, single)


@pytest.mark.parametrize("recompute", ["mlp", "full"])
def test_recomputing_changes_no_bit(
    ranks: Ranks, single: SimpleNamespace, tmp_path: Path, recompute: str
) -> None:
    found = ranks(tmp_path, precision="float32", recompute=recompute)
    assert found.record == single.record
    assert all(torch.equal(found.state[name], tensor) for name, tensor in single.state.items())


def test_steps_that_are_passed_over_leave_no_trace_in_the_weights(ranks: Ranks, tmp_path: Path) -> None:
    """Every loss above the mean of those before counts as a spike, so that some steps are left out."""
    options = {
        "precision": "float32",
        "learning_rate": 1e-7,
        "final_learning_rate": 1e-7,
        "layout": {"data": 2},
    }
    eager = {"window": 8, "deviations": 1e-9}
    skipped = ranks(tmp_path / "skip", steps=6, stability={**eager, "spike": "skip"}, **options).record
    events = skipped["events"]
    assert events and {(e["found"], e["action"]) for e in events} == {("spike", "skip")}
    assert skipped["step"] == 6 and skipped["adam_step"] == len(skipped["train"]) == 6 - len(events)
    assert skipped["tokens"] == sum(entry["tokens"] for entry in skipped["train"])
    assert not {e["step"] for e in events} & {entry["step"] for entry in skipped["train"]}

    back = ranks(tmp_path / "back", steps=6, stability={**eager, "spike": "roll_back"}, **options)
    first = back.record["events"][0]
    assert first["step"] == events[0]["step"] and (first["action"], first["back_to"]) == ("roll_back", 4)
    if first["step"] == 6:  # the last: what is left is the checkpoint, bit for bit
        for path in (tmp_path / "back" / "out" / "checkpoint-00000004").glob("state-*"):
            for name, tensor in load_file(path).items():
                assert torch.equal(back.state[name], tensor), name

    lost = ranks(tmp_path / "stop", steps=6, codes=91, stability={**eager, "spike": "stop"}, **options)
    lines = (lost.folder / "out" / "progress.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"kind": "event", **events[0], "action": "stop"}
