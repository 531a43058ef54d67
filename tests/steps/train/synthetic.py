"""A tiny random LLaMA and random packed windows, written as the files that a rank reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from steps.core.architecture import Architecture
from steps.train.config import Config
from steps.train.prepare import engine_settings

SHAPE = {
    "vocabulary": 96,
    "hidden": 32,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 2,
    "ffn": 48,
    "rope_theta": 10000.0,
    "max_positions": 64,
    "norm_epsilon": 1e-5,
}
LENGTH = 32


def write_model(folder: Path, seed: int = 0) -> Path:
    """Random weights under Hugging Face names; returns the safetensors file."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda *size: torch.randn(*size, generator=generator) * 0.05  # noqa: E731
    hidden, ffn, vocabulary = SHAPE["hidden"], SHAPE["ffn"], SHAPE["vocabulary"]
    keys = hidden * SHAPE["key_value_heads"] // SHAPE["heads"]
    tensors = {
        "model.embed_tokens.weight": normal(vocabulary, hidden),
        "model.norm.weight": 1 + normal(hidden),
        "lm_head.weight": normal(vocabulary, hidden),
    }
    for layer in range(SHAPE["layers"]):
        start = f"model.layers.{layer}."
        for name, rows, columns in [
            ("self_attn.q_proj", hidden, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", ffn, hidden),
            ("mlp.up_proj", ffn, hidden),
            ("mlp.down_proj", hidden, ffn),
        ]:
            tensors[f"{start}{name}.weight"] = normal(rows, columns)
        tensors[f"{start}input_layernorm.weight"] = 1 + normal(hidden)
        tensors[f"{start}post_attention_layernorm.weight"] = 1 + normal(hidden)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return folder / "model.safetensors"


def hugging_face_config() -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": SHAPE["vocabulary"],
        "hidden_size": SHAPE["hidden"],
        "num_hidden_layers": SHAPE["layers"],
        "num_attention_heads": SHAPE["heads"],
        "num_key_value_heads": SHAPE["key_value_heads"],
        "intermediate_size": SHAPE["ffn"],
        "max_position_embeddings": SHAPE["max_positions"],
        "rms_norm_eps": SHAPE["norm_epsilon"],
        "rope_theta": SHAPE["rope_theta"],
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    }


def write_windows(folder: Path, documents: list[list[list[int]]], follows: list[int]) -> tuple[str, str, str]:
    """Token file and window table of ``documents`` (per window, a list of token lists); returns a spec row."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = np.array([token for window in documents for doc in window for token in doc], np.uint16)
    flat.tofile(folder / "tokens.bin")
    sizes = [[len(doc) for doc in window] for window in documents]
    totals = np.array([sum(size) for size in sizes], np.int64)
    table = pa.table(
        {
            "offset": pa.array(np.concatenate(([0], np.cumsum(totals)[:-1])), pa.int64()),
            "ends": pa.array([np.cumsum(size).tolist() for size in sizes], pa.list_(pa.int32())),
            "next_token": pa.array(follows, pa.int32()),
        }
    )
    pq.write_table(table, folder / "windows.parquet")
    return str(folder / "tokens.bin"), str(folder / "windows.parquet"), "uint16"


def random_windows(folder: Path, count: int, seed: int = 0) -> tuple[str, str, str]:
    """Windows of one to three documents, every other one ending in padding; tokens follow a pattern to learn."""
    rng = np.random.default_rng(seed)
    documents, follows = [], []
    for number in range(count):
        total = LENGTH if number % 2 else LENGTH - 5
        cuts = np.sort(rng.choice(np.arange(2, total - 1), size=number % 3, replace=False))
        lengths = np.diff([0, *cuts, total])
        window = [((rng.integers(0, 60) + 3 * np.arange(length)) % 90 + 3).tolist() for length in lengths]
        documents.append(window)
        follows.append(int(rng.integers(3, 90)) if number % 4 == 3 else -1)
    return write_windows(folder, documents, follows)


def write_spec(folder: Path, **changes: Any) -> Path:
    """A rank's spec file over synthetic inputs in ``folder``; ``changes`` replace Config fields or spec entries."""
    inputs = folder / "inputs"
    weights = write_model(inputs)
    train, held = random_windows(inputs / "train", 24, seed=1), random_windows(inputs / "held", 3, seed=2)
    config: dict[str, Any] = {
        "batch_windows": 4,
        "micro_batch": 1,
        "learning_rate": 5e-3,
        "final_learning_rate": 1e-3,
        "checkpoint_every": 2,
        "evaluate_every": 3,
    }
    out = folder / "out"
    spec: dict[str, Any] = {
        "model": SHAPE,
        "sequence_length": LENGTH,
        "steps": 6,
        "windows": [train],
        "heldout": {"en": [held]},
        "weights": [str(weights)],
        "previous_state": None,
        "previous_steps": 0,
        "resume": None,
        "resumed_layout": None,
        "out": str(out),
        "rendezvous": str(out / "rendezvous"),
    }
    for key, value in changes.items():
        (spec if key in spec else config)[key] = value
    settings = engine_settings(Config.model_validate(config), Architecture(**SHAPE).parameters)
    out.mkdir(parents=True, exist_ok=True)
    path = folder / "spec.json"
    path.write_text(json.dumps(spec | {"config": config, "settings": settings}))
    return path
