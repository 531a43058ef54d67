"""Weights of the model: random, or read from a folder; written with longer embedding and head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from steps.initialize.config import FromScratch

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
DEVIATION = 0.02  # of random weights, as in LLaMA's Hugging Face initializer_range


def scratch_config(shape: FromScratch, vocabulary: int) -> dict[str, Any]:
    """``config.json`` of a model made here."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads or shape.heads,
        "intermediate_size": shape.ffn,
        "vocab_size": vocabulary,
        "max_position_embeddings": shape.max_positions,
        "rms_norm_eps": shape.norm_epsilon,
        "rope_theta": shape.rope_theta,
        "rope_scaling": None,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "initializer_range": DEVIATION,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "bfloat16",
    }


def scratch_weights(shape: FromScratch, vocabulary: int, seed: int) -> dict[str, Tensor]:
    """Random BF16 weights, norms one; each tensor has its own stream, so that no order matters."""
    keys = shape.hidden // shape.heads * (shape.key_value_heads or shape.heads)
    hidden, ffn = shape.hidden, shape.ffn
    sizes = {EMBEDDING: (vocabulary, hidden), HEAD: (vocabulary, hidden)}
    norms = ["model.norm.weight"]
    for layer in range(shape.layers):
        start = f"model.layers.{layer}."
        for name, size in [
            ("self_attn.q_proj", (hidden, hidden)),
            ("self_attn.k_proj", (keys, hidden)),
            ("self_attn.v_proj", (keys, hidden)),
            ("self_attn.o_proj", (hidden, hidden)),
            ("mlp.gate_proj", (ffn, hidden)),
            ("mlp.up_proj", (ffn, hidden)),
            ("mlp.down_proj", (hidden, ffn)),
        ]:
            sizes[f"{start}{name}.weight"] = size
        norms += [f"{start}input_layernorm.weight", f"{start}post_attention_layernorm.weight"]
    weights = {}
    for number, (name, size) in enumerate(sizes.items()):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        weights[name] = (torch.randn(size, generator=generator) * DEVIATION).to(torch.bfloat16)
    return weights | {name: torch.ones(hidden, dtype=torch.bfloat16) for name in norms}


def rewrite(source: Path, target: Path, change: Callable[[str, Tensor], dict[str, Tensor]]) -> list[str]:
    """Copy a safetensors file, each tensor replaced by what ``change`` makes of it; returns the tensors' names."""
    tensors: dict[str, Tensor] = {}
    with safe_open(source, framework="pt") as file:
        for name in sorted(file.keys()):
            tensors |= {
                new: tensor.contiguous() for new, tensor in change(name, file.get_tensor(name)).items()
            }
    save_file(tensors, target, metadata={"format": "pt"})
    return list(tensors)
