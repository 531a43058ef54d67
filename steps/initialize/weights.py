"""Weights of the model: random, or read from a folder; written with longer embedding and head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from steps.core.errors import ConfigError
from steps.initialize.config import FromScratch

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
ROTARY = ".rotary_emb.inv_freq"  # older folders hold what follows from config.json
FLOATING = ("F", "BF")  # how safetensors names such types
SHOWN = 5  # problems in a message
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
    matrices, norms = tensor_sizes(scratch_config(shape, vocabulary))
    sizes = {EMBEDDING: (vocabulary, shape.hidden), HEAD: (vocabulary, shape.hidden), **matrices}
    weights = {}
    for number, (name, size) in enumerate(sizes.items()):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        weights[name] = (torch.randn(size, generator=generator) * DEVIATION).to(torch.bfloat16)
    return weights | {name: torch.ones(size, dtype=torch.bfloat16) for name, size in norms.items()}


def tensor_sizes(described: dict[str, Any]) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Sizes of the matrices and of the norms of the model in a config.json, but for its embedding and head."""
    hidden, ffn, heads = (described[n] for n in ("hidden_size", "intermediate_size", "num_attention_heads"))
    head = described.get("head_dim") or hidden // heads
    queries, keys = head * heads, head * (described.get("num_key_value_heads") or heads)
    sizes: dict[str, tuple[int, ...]] = {}
    norms: dict[str, tuple[int, ...]] = {"model.norm.weight": (hidden,)}
    for layer in range(described["num_hidden_layers"]):
        start = f"model.layers.{layer}."
        for name, size in [
            ("self_attn.q_proj", (queries, hidden)),
            ("self_attn.k_proj", (keys, hidden)),
            ("self_attn.v_proj", (keys, hidden)),
            ("self_attn.o_proj", (hidden, queries)),
            ("mlp.gate_proj", (ffn, hidden)),
            ("mlp.up_proj", (ffn, hidden)),
            ("mlp.down_proj", (hidden, ffn)),
        ]:
            sizes[f"{start}{name}.weight"] = size
        norms |= dict.fromkeys(
            (f"{start}input_layernorm.weight", f"{start}post_attention_layernorm.weight"), (hidden,)
        )
    return sizes, norms


def check_weights(folder: Path, described: dict[str, Any]) -> None:
    """Raise ConfigError unless the folder's files are whole and hold the model of its config.json, and no more of one.

    A model with tensors missing would be measured with random ones by transformers, and refused by train only after
    everything was packed; layers that config.json does not count would be left out.
    """
    found: dict[str, tuple[int, ...]] = {}
    problems = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    view = file.get_slice(name)
                    found[name] = tuple(view.get_shape())
                    if not view.get_dtype().startswith(FLOATING):
                        problems.append(f"{name} holds {view.get_dtype()}, no floating-point numbers")
        except SafetensorError as error:
            raise ConfigError(
                f"the base's {path.name} is not a whole safetensors file ({error}): fetch it again, and pin the folder "
                "anew"
            ) from None
    matrices, norms = tensor_sizes(described)
    wanted = matrices | norms
    ends = [name for name in (EMBEDDING, HEAD) if name in found]  # what is absent of these `write_model` says
    wanted |= {name: (found[name][0], described["hidden_size"]) for name in ends if found[name]}
    problems += [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} is of {found[name]}, expected {size}"
        for name, size in wanted.items()
        if found.get(name, size) != size
    ]
    problems += [
        f"{name} has no place in it"
        for name in sorted(set(found) - set(wanted))
        if name.startswith("model.") and not name.endswith(ROTARY)
    ]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ConfigError(
            f"the base's weights are not those of its config.json: {'; '.join(problems[:SHOWN])}{more}"
        )


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
