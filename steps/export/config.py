"""Settings of the export step."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import StepConfig


class Config(StepConfig):
    """How the model is written and how exactly it must agree with the trainer."""

    name: str = Field(
        "tokenmill-model",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of the model in its card.",
    )
    max_shard_bytes: int = Field(
        5_000_000_000,
        ge=1000,
        description="Largest safetensors file, in bytes (transformers' default: 5 GB).",
    )
    tolerance: float = Field(
        1e-3,
        gt=0,
        description="Largest difference between FP32 logits of trainer and transformers, in their standard deviations.",
    )
