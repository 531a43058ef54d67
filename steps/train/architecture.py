"""The shape of a LLaMA model, read from a Hugging Face config.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from steps.core.errors import ConfigError


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


def read_architecture(config: dict[str, Any]) -> Architecture:
    """The architecture in a config.json. Raises ConfigError for what this trainer cannot reproduce exactly."""
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


def check_layout(model: Architecture, tensor: int, pipeline: int, sequence_length: int) -> None:
    """Raise ConfigError, naming every number that does not divide, if the model cannot be spread like this."""
    wrong = [
        f"{name} {value} is not a multiple of layout.tensor {tensor}"
        for name, value in [
            ("heads", model.heads),
            ("key/value heads", model.key_value_heads),
            ("ffn", model.ffn),
            ("vocabulary", model.vocabulary),
        ]
        if value % tensor
    ]
    if pipeline > model.layers:
        wrong.append(f"layout.pipeline {pipeline} is more than the {model.layers} layers")
    if sequence_length > model.max_positions:
        wrong.append(
            f"windows of {sequence_length} tokens exceed the model's {model.max_positions} positions"
        )
    if wrong:
        raise ConfigError("train cannot run this model in this layout: " + "; ".join(wrong))
