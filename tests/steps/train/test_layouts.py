"""Real rank processes: every layout trains alike, and like a plain loop around transformers' model."""

from __future__ import annotations

import json
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
from steps.train.gang import Gang
from steps.train.schedule import learning_rate
from steps.train.windows import EMPTY, TokenFile, Windows, batch_windows
from tests.steps.train.synthetic import LENGTH, hugging_face_config, write_spec

STEPS = 4
pytestmark = pytest.mark.slow


def run_ranks(folder: Path, **changes: Any) -> SimpleNamespace:
    """Train and read what the ranks wrote."""
    layout = changes.get("layout", {})
    world = layout.get("tensor", 1) * layout.get("pipeline", 1) * layout.get("data", 1)
    gang = Gang(write_spec(folder, steps=STEPS, **changes), world, 1, folder / "logs")
    try:
        while (code := gang.poll()) is None:
            gang.wait(1)
    finally:
        gang.kill()
    assert code == 0, gang.tail(40)
    final = folder / "out" / "final"
    record = json.loads((final / "record.json").read_text())
    state, model = {}, {}
    for path in sorted(final.glob("state-*.safetensors")):
        state |= load_file(path)
    for path in sorted(final.glob("model-*.safetensors")):
        model |= load_file(path)
    return SimpleNamespace(
        folder=folder,
        losses=np.array([entry["loss"] for entry in record["train"]]),
        norms=np.array([entry["gradient_norm"] for entry in record["train"]]),
        heldout=np.array([entry["loss"] for entry in record["heldout"]]),
        state=state,
        model=model,
        probe=load_file(final / "probe.safetensors"),
    )


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return run_ranks(tmp_path_factory.mktemp("single"), precision="float32")


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
def test_layouts_train_alike(single: SimpleNamespace, tmp_path: Path, layout: dict[str, int]) -> None:
    found = run_ranks(tmp_path, precision="float32", layout=layout)
    np.testing.assert_allclose(found.losses, single.losses, rtol=2e-6)
    np.testing.assert_allclose(found.norms, single.norms, rtol=2e-5)
    np.testing.assert_allclose(found.heldout, single.heldout, rtol=2e-6)
    assert found.state.keys() == single.state.keys() and found.model.keys() == single.model.keys()
    for name, tensor in single.state.items():
        # Adam turns noise in a gradient near zero into a part of a step; a tenth of one (5e-3) is allowed.
        torch.testing.assert_close(found.state[name], tensor, rtol=1e-3, atol=5e-4)
    for name, tensor in single.probe.items():
        torch.testing.assert_close(found.probe[name], tensor, rtol=1e-2, atol=2e-3)
    assert exported_difference(found, tmp_path / "exported") < 1e-5


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
            group["lr"] = learning_rate(
                step, STEPS, config["learning_rate"], config["final_learning_rate"], 0.01
            )
        optimizer.step()
        losses.append(float(loss.detach()))
    np.testing.assert_allclose(single.losses, losses, rtol=2e-5)
    np.testing.assert_allclose(single.norms, norms, rtol=2e-4)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(single.model[name], parameter.detach(), rtol=1e-3, atol=5e-4)


def test_bfloat16_stays_near_float32_and_resumes_bit_for_bit(single: SimpleNamespace, tmp_path: Path) -> None:
    """Two ranks with tensors split: a resumed run equals the undisturbed one in every bit, moments included."""
    layout = {"tensor": 2}
    whole = run_ranks(tmp_path / "whole", layout=layout)
    assert np.abs(whole.losses - single.losses).max() < 1e-2
    # weights are BF16 on both sides and both compute in FP32: the same bound as for FP32 weights
    assert exported_difference(whole, tmp_path / "exported") < 1e-5
    checkpoint = tmp_path / "whole" / "out" / "checkpoint-00000002"
    assert sorted(p.name for p in checkpoint.iterdir()) == ["DONE", "record.json", "state-00.safetensors"]
    run_ranks(tmp_path / "resumed", layout=layout, resume=str(checkpoint))
    for name in (
        "record.json",
        "state-00.safetensors",
        "model-00001-of-00001.safetensors",
        "probe.safetensors",
    ):
        assert (tmp_path / "resumed/out/final" / name).read_bytes() == (
            tmp_path / "whole/out/final" / name
        ).read_bytes(), name
