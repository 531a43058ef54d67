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


class EarlierLayout(Layout):
    """The layout in which an interrupted run of the same stage was started."""

    micro_batch: int = Field(1, ge=1, description="Its micro_batch.")


class Stability(BaseModel):
    """What to do about a step whose loss or gradient cannot be right; its windows are passed over, never repeated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    not_finite: Literal["skip", "roll_back", "stop"] = Field(
        "stop",
        description="On a loss or gradient norm that is not finite: leave the step out, go back to the last "
        "checkpoint and on with the windows that follow (PaLM §5.1), or end the run.",
    )
    spike: Literal["ignore", "skip", "roll_back", "stop"] = Field(
        "skip",
        description="On a loss far above those before it, or a gradient norm that is three times as high as usual too "
        "(OLMo-core: skip).",
    )
    window: int = Field(
        128, ge=8, description="Steps that a spike is measured against (OLMo-core, SkipStepOptimizer: 128)."
    )
    deviations: float = Field(
        6.0, gt=0, description="Standard deviations above their mean that make a spike (OLMo-core: 6)."
    )
    most: int = Field(
        10, ge=0, description="Steps passed over in a stage before the run ends after all (own choice)."
    )


class LossBound(BaseModel):
    """The highest loss of one held-out set that goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str = Field(description="The held-out set: a language, or a task.")
    loss: float | None = Field(None, description="The highest loss, in nats per token.")
    rise: float | None = Field(
        None,
        description="The same above the loss before the first step (CMR §3.1 allows general text 0.05).",
    )

    @model_validator(mode="after")
    def _one_bound(self) -> LossBound:
        if (self.loss is None) == (self.rise is None):
            raise ValueError("give loss or rise, and not both")
        return self

    def above(self, before: float) -> float:
        """The bound for a set that had the loss ``before`` at the start."""
        return float(self.loss if self.rise is None else before + self.rise)  # type: ignore[arg-type]


class StopAbove(BaseModel):
    """Held-out losses that together are too high for the run to be worth its end, as of a hopeless cell of a search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_tokens: int = Field(
        ge=0, description="Target tokens of the stage from which its losses are judged; none is before."
    )
    bounds: tuple[LossBound, ...] = Field(
        min_length=1, description="The stage ends when all of these are broken at one time."
    )


class Config(StepConfig):
    """One training stage; defaults are Ziya2 §5 where the paper reports a value."""

    stage: int = Field(
        1, ge=1, le=3, description="Training stage; it must be the stage of the token windows."
    )
    layout: Layout = Field(
        default_factory=lambda: Layout(), description="Tensor × pipeline × data parallel ranks."
    )
    earlier_layouts: tuple[EarlierLayout, ...] = Field(
        (),
        description="Layouts that this stage was started in before, oldest first: it goes on from the last one's "
        "newest checkpoint, at exactly the next window.",
    )
    zero: Literal[1, 2, 3] = Field(
        1,
        description="ZeRO stage: 1 (optimizer, as in Megatron's distributed optimizer); 2 (gradients) and 3 (weights) "
        "only without pipeline ranks (DeepSpeed's pipeline engine asserts so).",
    )
    precision: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="Type of weights and activations (Ziya2: BF16; FP16 overflowed)."
    )
    attention: Literal["auto", "reference", "varlen", "flash_attn"] = Field(
        "auto",
        description="Attention kernel: reference (explicit mask), varlen (torch's FlashAttention-2), flash_attn "
        "(FlashAttention-4 on Hopper and later, else -2); auto takes the fastest one that the machine has.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether norms, rotations and activations are compiled (auto: on a GPU)."
    )
    recompute: Literal["none", "mlp", "full"] = Field(
        "none",
        description="What the backward pass computes again instead of keeping: each block's MLP (about half of the "
        "activations), or the whole block.",
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
        1e-5,
        ge=0,
        description="Learning rate of the last step (Ziya2 §5; Llama-3-SynE's code: a tenth of the peak).",
    )
    schedule: Literal["cosine", "wsd"] = Field(
        "cosine",
        description="After the warm-up: a cosine to the end (Ziya2 §5), or the same rate until an exponential decay at "
        "the end (warm-up, stable, decay: MiniCPM §4, Llama-3-SynE).",
    )
    warmup_ratio: float = Field(0.01, ge=0, lt=1, description="Share of steps that warm up (Ziya2 §5: 1 %).")
    decay_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of steps that decay at the end of wsd (MiniCPM §4: a tenth of the tokens suffices; "
        "Llama-3-SynE and the runs of the CMR law do not decay: 0).",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW beta1 (Ziya2 §5).")
    beta2: float = Field(0.95, ge=0, lt=1, description="AdamW beta2 (Ziya2 §5).")
    epsilon: float = Field(1e-8, gt=0, description="AdamW epsilon (torch's default; not reported by Ziya2).")
    weight_decay: float = Field(0.1, ge=0, description="Decay of matrices, never of norms (Ziya2 §5: 0.1).")
    clip: float = Field(
        1.0, gt=0, description="Gradient norm above which gradients are scaled down (Ziya2 §5)."
    )
    stability: Stability = Field(
        default_factory=lambda: Stability(),
        description="What to do about losses that are not finite, or jump.",
    )
    optimizer_state: Literal["reset", "continue"] = Field(
        "reset",
        description="Whether the previous stage's AdamW moments are taken over (not reported by Ziya2).",
    )
    checkpoint_every: int = Field(
        100, ge=1, description="Steps between checkpoints that a killed run resumes from."
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="Checkpoints kept in the store while the stage runs (own choice)."
    )
    evaluate_every: int = Field(
        100, ge=1, description="Steps between held-out losses; also before and after."
    )
    stop_above: tuple[StopAbove, ...] = Field(
        (),
        description="Held-out losses that end the stage early, with what it has reached by then; any of these is "
        "enough (own choice: none).",
    )
    probe_windows: int = Field(
        2, ge=1, le=16, description="Held-out windows whose logits are kept for the export to reproduce."
    )
    threads_per_rank: int = Field(
        1, ge=1, description="CPU threads per rank; sums depend on it, so it is identity."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Config:
        unit = self.micro_batch * self.layout.data
        if self.batch_windows % unit:
            raise ValueError(
                f"batch_windows {self.batch_windows} is not a multiple of micro_batch × layout.data = {unit}"
            )
        if self.final_learning_rate > self.learning_rate:
            raise ValueError("final_learning_rate is above learning_rate: the rate would rise")
        if self.schedule == "wsd" and self.decay_ratio > 0 and self.final_learning_rate == 0:
            raise ValueError(
                "final_learning_rate 0 cannot be reached by wsd's exponential decay: give it a value"
            )
        if self.schedule == "wsd" and self.warmup_ratio + self.decay_ratio > 1:
            raise ValueError("warmup_ratio and decay_ratio are together more than the stage")
        if self.zero > 1 and self.layout.pipeline > 1:
            raise ValueError(f"zero {self.zero} needs layout.pipeline 1: pipeline ranks know ZeRO-1 only")
        return self

    @property
    def micro_batches(self) -> int:
        """Forward passes per rank and optimizer step."""
        return self.batch_windows // (self.micro_batch * self.layout.data)

    def earlier(self) -> Config | None:
        """The run that `earlier_layouts` names last: the same but for its layout; None where there is none."""
        if not self.earlier_layouts:
            return None
        *before, last = self.earlier_layouts
        layout = Layout(**last.model_dump(exclude={"micro_batch"}))
        changes = {"layout": layout, "micro_batch": last.micro_batch, "earlier_layouts": tuple(before)}
        return self.model_copy(update=changes)
