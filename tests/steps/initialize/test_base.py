"""A base folder that is damaged, incomplete or of another kind is refused before anything is made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from steps.core.errors import ConfigError
from steps.initialize.base import read_settings
from steps.initialize.config import FromScratch
from steps.initialize.tokenizer import extend, proto, train_tokenizer
from steps.initialize.weights import EMBEDDING, check_weights, scratch_config, scratch_weights
from tests.steps.training import PROSE, SCRATCH

SHAPE = FromScratch(**SCRATCH)
CONFIG = scratch_config(SHAPE, 320)
UP = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, as of a sharded model."""
    weights = scratch_weights(SHAPE, 320, 1)
    second = {name: weights.pop(name) for name in list(weights) if ".layers.1." in name}
    save_file(weights, tmp_path / "model-00001-of-00002.safetensors")
    save_file(second, tmp_path / "model-00002-of-00002.safetensors")
    return tmp_path


def change(folder: Path, file: int, **tensors: Tensor | None) -> None:
    path = folder / f"model-0000{file}-of-00002.safetensors"
    found = load_file(path) | {name: value for name, value in tensors.items() if value is not None}
    save_file({name: value for name, value in found.items() if tensors.get(name, 0) is not None}, path)


def test_whole_weights_pass_with_the_rotary_tables_of_older_folders_and_a_padded_vocabulary(
    folder: Path,
) -> None:
    check_weights(folder, CONFIG)
    check_weights(folder, CONFIG | {"vocab_size": 300})
    change(folder, 1, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    check_weights(folder, CONFIG)


def test_a_base_without_one_of_its_files_is_refused(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        ConfigError, match=r"model\.layers\.1\.self_attn\.q_proj\.weight is missing; .* and 4 more"
    ):
        check_weights(folder, CONFIG)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({UP: None}, rf"{UP} is missing"),
        ({UP: torch.ones(48, 31)}, r"is of \(48, 31\), expected \(48, 32\)"),
        ({UP: torch.ones(48, 32, dtype=torch.int8)}, r"holds I8, no floating-point numbers"),
        ({"model.layers.1.mlp.up_proj.bias": torch.ones(48)}, r"up_proj\.bias has no place in it"),
        ({EMBEDDING: torch.ones(320)}, r"embed_tokens\.weight is of \(320,\), expected \(320, 32\)"),
    ],
)
def test_weights_that_are_not_those_of_the_config_are_refused(
    folder: Path, tensors: dict[str, Tensor | None], said: str
) -> None:
    change(folder, 1 if EMBEDDING in tensors else 2, **tensors)
    with pytest.raises(ConfigError, match=said):
        check_weights(folder, CONFIG)


def test_layers_that_the_config_does_not_count_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.layers\.1\..* has no place in it"):
        check_weights(folder, CONFIG | {"num_hidden_layers": 1})


@pytest.mark.parametrize("data", [b"", b"\x80\x04 a pickle", None])
def test_a_file_that_is_not_whole_is_refused_by_name(folder: Path, data: bytes | None) -> None:
    path = folder / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if data is None else data)
    with pytest.raises(
        ConfigError, match=r"model-00002-of-00002\.safetensors is not a whole safetensors file"
    ):
        check_weights(folder, CONFIG)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ([], "not a mapping"),
        (
            CONFIG | {"hidden_size": None, "num_attention_heads": 0},
            "hidden_size is None, .*; num_attention_heads is 0",
        ),
        (CONFIG | {"rms_norm_eps": None}, "rms_norm_eps is None"),
        (CONFIG | {"rope_scaling": "linear"}, "rope_scaling is 'linear', expected a mapping"),
        (CONFIG | {"num_key_value_heads": 3}, "no multiple of num_key_value_heads"),
        (CONFIG | {"hidden_size": 33}, "no multiple of num_attention_heads"),
        (CONFIG | {"model_type": "mistral"}, "not a llama"),
    ],
)
def test_a_config_that_is_no_llama_s_is_refused_with_every_reason(
    tmp_path: Path, described: Any, said: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(ConfigError, match=said):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ("normalizer_spec", "add_dummy_prefix", False),
        ("normalizer_spec", "remove_extra_whitespaces", True),
        ("trainer_spec", "treat_whitespace_as_suffix", True),
    ],
)
def test_a_sentencepiece_model_that_the_fast_tokenizer_cannot_follow_is_refused(
    place: str, name: str, value: bool
) -> None:
    """It was found by export, after all training: transformers' tokens were others than pack's."""
    model = proto.ModelProto.FromString(train_tokenizer([PROSE], 300))
    setattr(getattr(model, place), name, value)
    with pytest.raises(ConfigError, match=f"{name} is {value}"):
        extend(model.SerializeToString(), [])
