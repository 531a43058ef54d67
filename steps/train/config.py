"""Settings of the training step."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import StepConfig


class Layout(BaseModel):
    """How one model is spread over ranks; ranks = tensor × pipeline × data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensor: int = Field(1, ge=1, description="Ranks that share each weight matrix.")
    pipeline: int = Field(1, ge=1, description="Ranks that share the layers (Ziya2: 2).")
    data: int = Field(1, ge=1, description="Replicas that share each batch (Ziya2: 40).")

    @property
    def ranks(self) -> int:
        return self.tensor * self.pipeline * self.data


class Config(StepConfig):
    """One training stage; defaults are Ziya2 §5 where the paper reports a value."""

    stage: int = Field(
        1, ge=1, le=3, description="Training stage; it must be the stage of the token windows."
    )
    layout: Layout = Field(default_factory=Layout, description="Tensor × pipeline × data parallel ranks.")
    precision: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="Type of weights and activations (Ziya2: BF16; FP16 overflowed)."
    )
    attention: Literal["auto", "reference", "varlen"] = Field(
        "auto", description="Attention kernel: auto takes varlen on a GPU and reference on a CPU."
    )
    micro_batch: int = Field(1, ge=1, description="Windows per rank and forward pass.")
    batch_windows: int = Field(
        8, ge=1, description="Windows per optimizer step over all ranks (batch size not reported by Ziya2)."
    )
    steps: int | None = Field(None, ge=1, description="Optimizer steps; empty: every window once.")
    learning_rate: float = Field(
        1e-4, gt=0, description="Peak learning rate (not reported by Ziya2; own choice, to be searched)."
    )
    final_learning_rate: float = Field(
        1e-5, ge=0, description="Learning rate at the end of the cosine (Ziya2 §5)."
    )
    warmup_ratio: float = Field(0.01, ge=0, lt=1, description="Share of steps that warm up (Ziya2 §5: 1 %).")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW beta1 (Ziya2 §5).")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW beta2 (Ziya2 §5).")
    epsilon: float = Field(1e-8, gt=0, description="AdamW epsilon (torch's default; not reported by Ziya2).")
    weight_decay: float = Field(0.1, ge=0, description="Decay of matrices, never of norms (Ziya2 §5: 0.1).")
    clip: float = Field(
        1.0, gt=0, description="Gradient norm above which gradients are scaled down (Ziya2 §5)."
    )
    optimizer_state: Literal["reset", "continue"] = Field(
        "reset",
        description="Whether the previous stage's AdamW moments are taken over (not reported by Ziya2).",
    )
    checkpoint_every: int = Field(
        100, ge=1, description="Steps between checkpoints that a killed run resumes from."
    )
    evaluate_every: int = Field(
        100, ge=1, description="Steps between held-out losses; also before and after."
    )
    probe_windows: int = Field(
        2, ge=1, le=16, description="Held-out windows whose logits are kept for the export to reproduce."
    )
    threads_per_rank: int = Field(
        1, ge=1, description="CPU threads per rank; sums depend on it, so it is identity."
    )

    @model_validator(mode="after")
    def _batch_divides(self) -> Config:
        unit = self.micro_batch * self.layout.data
        if self.batch_windows % unit:
            raise ValueError(
                f"batch_windows {self.batch_windows} is not a multiple of micro_batch × layout.data = {unit}"
            )
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate is above learning_rate: the cosine would rise")
        return self
