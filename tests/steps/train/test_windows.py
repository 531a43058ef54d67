"""Batches: targets, positions, weights, and that no layout changes which window is in which batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from steps.core.architecture import Architecture, read_architecture
from steps.core.errors import ConfigError
from steps.train.config import Config
from steps.train.layout import check_layout
from steps.train.windows import EMPTY, TokenFile, Windows, batch_windows, micro_batches
from tests.steps.train.synthetic import LENGTH, SHAPE, hugging_face_config, random_windows, write_windows


def open_windows(row: tuple[str, str, str], length: int) -> Windows:
    return Windows([TokenFile(Path(row[0]), Path(row[1]), row[2])], length)


def test_a_window_restarts_positions_and_never_predicts_across_documents(tmp_path: Path) -> None:
    row = write_windows(tmp_path, [[[5, 6, 7], [8, 9]], [[10, 11, 12, 13, 14, 15, 16, 17]]], [-1, 18])
    windows = open_windows(row, 8)
    ids, positions, targets, counts, ends = windows.read(0)
    assert ids.tolist() == [5, 6, 7, 8, 9, 0, 0, 0]
    assert positions.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert targets[counts].tolist() == [6, 7, 9] and counts.tolist() == [1, 1, 0, 1, 0, 0, 0, 0]
    assert ends.tolist() == [3, 5, 8]
    ids, positions, targets, counts, ends = windows.read(1)
    assert targets.tolist() == [11, 12, 13, 14, 15, 16, 17, 18] and counts.all() and ends.tolist() == [8]
    assert windows.targets.tolist() == [3, 8]


def test_an_empty_window_counts_nothing(tmp_path: Path) -> None:
    windows = open_windows(random_windows(tmp_path, 3), LENGTH)
    ids, positions, _, counts, ends = windows.read(EMPTY)
    assert not counts.any() and not ids.any() and ends.tolist() == [LENGTH]
    assert positions.tolist() == list(range(LENGTH))


@pytest.mark.parametrize(("micro", "replicas"), [(1, 1), (2, 1), (1, 2), (2, 2), (4, 2)])
def test_every_layout_sees_the_same_windows_with_weights_that_sum_to_the_mean(
    tmp_path: Path, micro: int, replicas: int
) -> None:
    windows = open_windows(random_windows(tmp_path, 20), LENGTH)
    for step in range(3):
        chosen = batch_windows(windows, step, 8)
        seen, total = [], 0.0
        for replica in range(replicas):
            batches = list(micro_batches(windows, chosen, micro, replica, replicas))
            for (ids, _, _), (_, weights) in batches:
                seen += [tuple(row) for row in ids.tolist()]
                total += float(weights.double().sum()) / len(batches) / replicas
        expected = [tuple(windows.read(int(i))[0].tolist()) for i in chosen]
        assert sorted(seen) == sorted(expected)
        assert total == pytest.approx(1.0, rel=1e-5)  # the engine's means make it the mean over tokens
    assert chosen.tolist() == [16, 17, 18, 19, EMPTY, EMPTY, EMPTY, EMPTY]


def test_tensors_between_stages_have_fixed_shapes(tmp_path: Path) -> None:
    windows = open_windows(random_windows(tmp_path, 12), LENGTH)
    shapes = {
        tuple(tuple(x.shape) for x in (*inputs, *labels))
        for step in range(2)
        for inputs, labels in micro_batches(windows, batch_windows(windows, step, 8), 2, 0, 1)
    }
    assert len(shapes) == 1
    (_, _, ends), _ = next(micro_batches(windows, batch_windows(windows, 0, 8), 2, 0, 1))
    assert ends.dtype == torch.int32 and ends[0] == 0 and ends[-1] == 2 * LENGTH and (ends.diff() >= 0).all()


def test_a_layout_that_does_not_divide_the_model_is_refused_with_every_reason() -> None:
    with pytest.raises(ConfigError) as refused:
        check_layout(Architecture(**SHAPE), Config(stage=2, layout={"tensor": 3, "pipeline": 4}), 128)
    assert str(refused.value).startswith("train_2 cannot run this model in its layout: ")
    for word in ("heads 4", "key/value heads 2", "layout.pipeline 4", "windows of 128 tokens"):
        assert word in str(refused.value)
    check_layout(Architecture(**SHAPE), Config(layout={"tensor": 2, "pipeline": 2}), 64)


def test_a_model_that_the_trainer_cannot_reproduce_is_refused() -> None:
    assert read_architecture(hugging_face_config()) == Architecture(**SHAPE)
    for change in (
        {"model_type": "qwen2"},
        {"attention_bias": True},
        {"head_dim": 16},
        {"tie_word_embeddings": True},
        {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
    ):
        with pytest.raises(ConfigError, match="not one that train can run"):
            read_architecture(hugging_face_config() | change)
