"""The shape of a LLaMA model, read from a Hugging Face config.json, or from the settings that will make it."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from steps.core.errors import ConfigError, StepError
from steps.core.store import Store, open_store

SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)
MODELS = "TOKENMILL_MODELS"  # names the folder or s3:// prefix of base models


@dataclass(frozen=True)
class Architecture:
    """Sizes of a LLaMA model (counts of numbers, not bytes)."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    ffn: int
    rope_theta: float
    max_positions: int
    norm_epsilon: float

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """Weights in all: both embeddings, attention, MLP, norms."""
        keys = self.key_value_heads * self.head_size
        layer = 2 * self.hidden * (self.hidden + keys) + 3 * self.hidden * self.ffn + 2 * self.hidden
        return 2 * self.vocabulary * self.hidden + self.layers * layer + self.hidden

    def flops(self, positions: int, area: int) -> float:
        """Floating-point operations of training on ``positions``, counted as executed at least once.

        6 × weights of matrix products (layers and head, no embedding) × positions, and attention only where the
        causal document mask leaves area (``area`` = Σ length² of the documents); recomputation is not counted.
        """
        keys = self.key_value_heads * self.head_size
        layer = 2 * self.hidden * (self.hidden + keys) + 3 * self.hidden * self.ffn
        products = self.layers * layer + self.vocabulary * self.hidden
        return 6.0 * products * positions + 6.0 * self.layers * self.hidden * area


def wrong_settings(config: Any) -> list[str]:
    """What is missing or impossible in a LLaMA's config.json, one sentence each."""
    if not isinstance(config, dict):
        return ["it is not a mapping of settings"]
    sizes: dict[str, Any] = {name: config.get(name) for name in SIZES}
    sizes |= {name: config[name] for name in ("num_key_value_heads", "head_dim") if config.get(name)}
    wrong = [
        f"{name} is {found!r:.40}, expected a whole number above 0"
        for name, found in sizes.items()
        if type(found) is not int or found < 1
    ]
    if not isinstance(config.get("rms_norm_eps"), (int, float)):
        wrong.append(f"rms_norm_eps is {config.get('rms_norm_eps')!r:.40}, expected a number")
    for name in ("rope_parameters", "rope_scaling"):
        if not isinstance(config.get(name) or {}, dict):
            wrong.append(f"{name} is {config[name]!r:.40}, expected a mapping")
    if not wrong and sizes["num_attention_heads"] % sizes.get("num_key_value_heads", 1):
        wrong.append("num_attention_heads is no multiple of num_key_value_heads")
    if not wrong and "head_dim" not in sizes and sizes["hidden_size"] % sizes["num_attention_heads"]:
        wrong.append("hidden_size is no multiple of num_attention_heads")
    return wrong


def read_architecture(config: dict[str, Any]) -> Architecture:
    """The architecture in a config.json. Raises ConfigError for what this trainer cannot reproduce exactly."""
    if odd := wrong_settings(config):
        raise ConfigError("the model's config.json is not one that train can run: " + "; ".join(odd))
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    size = int(config["hidden_size"]) // int(config["num_attention_heads"])
    wrong = [
        f"{name} is {found!r}, expected {wanted!r}"
        for name, found, wanted in [
            ("model_type", config.get("model_type"), "llama"),
            ("hidden_act", config.get("hidden_act", "silu"), "silu"),
            ("attention_bias", config.get("attention_bias", False), False),
            ("mlp_bias", config.get("mlp_bias", False), False),
            ("tie_word_embeddings", config.get("tie_word_embeddings", False), False),
            ("rope type", kind, "default"),
            ("head_dim", config.get("head_dim") or size, size),
        ]
        if found != wanted
    ]
    if wrong:
        raise ConfigError("the model's config.json is not one that train can run: " + "; ".join(wrong))
    heads = int(config["num_attention_heads"])
    return Architecture(
        vocabulary=int(config["vocab_size"]),
        hidden=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        key_value_heads=int(config.get("num_key_value_heads") or heads),
        ffn=int(config["intermediate_size"]),
        rope_theta=float(rope.get("rope_theta", config.get("rope_theta", 10000.0))),
        max_positions=int(config["max_position_embeddings"]),
        norm_epsilon=float(config["rms_norm_eps"]),
    )


def planned_architecture(start: Any, multiple: int = 1) -> Architecture | None:
    """The model that `initialize` will make, from its Config; None where its base is not known before the run.

    The vocabulary is padded to ``multiple`` beside what `initialize` pads it to. A base is read from its config.json
    below TOKENMILL_MODELS; one that cannot be read here is read when the step starts.
    """
    made = start.from_scratch
    if made is None:
        described = _base_config(start.base.name)
        if described is None:
            return None
        untied = {**described, "tie_word_embeddings": False} if isinstance(described, dict) else described
        base = read_architecture(untied)
    else:
        base = Architecture(
            vocabulary=made.vocabulary,
            hidden=made.hidden,
            layers=made.layers,
            heads=made.heads,
            key_value_heads=made.key_value_heads or made.heads,
            ffn=made.ffn,
            rope_theta=made.rope_theta,
            max_positions=made.max_positions,
            norm_epsilon=made.norm_epsilon,
        )
    rows = base.vocabulary + (len(start.character_list) or start.characters)
    unit = math.lcm(start.vocabulary_multiple, multiple)
    return replace(base, vocabulary=-(-rows // unit) * unit)


def model_store() -> Store | None:
    """Where base models are; None where `MODELS` names no place."""
    place = os.environ.get(MODELS, "")
    return open_store(place if "://" in place else f"file://{Path(place).resolve()}") if place else None


def _base_config(name: str) -> dict[str, Any] | None:
    try:
        store = model_store()
        found: dict[str, Any] | None = json.loads(store.get(f"{name}/config.json")) if store else None
    except (StepError, OSError, ValueError):  # this machine cannot read it; the one that runs the step may
        return None
    return found
