"""Settings of the initialize step."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import StepConfig

Weights = Literal["mean", "first_heavy", "last_heavy", "first", "last"]


class Base(BaseModel):
    """A Hugging Face LLaMA folder below the place that TOKENMILL_MODELS names.

    It has config.json, safetensors, and tokenizer.model (SentencePiece: LLaMA 2) or tokenizer.json (LLaMA 3).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Folder name, such as llama-2-13b."
    )
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="Digest of the folder's files; a wrong one is answered with the right one.",
    )


class FromScratch(BaseModel):
    """A small randomly initialised LLaMA whose tokenizer is trained on the mix's English text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(128, ge=8, description="Width of the hidden states.")
    layers: int = Field(4, ge=1, description="Transformer layers.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    key_value_heads: int | None = Field(None, ge=1, description="Key/value heads; empty: as many as heads.")
    ffn: int = Field(352, ge=8, description="Inner width of the MLP.")
    vocabulary: int = Field(2000, ge=300, description="Pieces of the tokenizer before the extension.")
    rope_theta: float = Field(10000.0, gt=0, description="Base of the rotary frequencies (LLaMA 2: 10,000).")
    max_positions: int = Field(256, ge=8, description="Longest sequence, in tokens.")
    norm_epsilon: float = Field(1e-5, gt=0, description="Epsilon of RMSNorm (LLaMA 2: 1e-5).")

    @model_validator(mode="after")
    def _heads_divide(self) -> FromScratch:
        if self.hidden % (2 * self.heads):
            raise ValueError("hidden must be a multiple of twice the heads (rotary halves)")
        if self.heads % (self.key_value_heads or self.heads):
            raise ValueError("heads must be a multiple of key_value_heads")
        return self


class Config(StepConfig):
    """Where the model comes from and what is added to its vocabulary."""

    base: Base | None = Field(None, description="The model to go on from; or else from_scratch.")
    from_scratch: FromScratch | None = Field(
        None, description="A small model of our own, for demos and tests."
    )
    characters: int = Field(
        7400,
        ge=0,
        le=30000,
        description="Chinese characters to add: those of stage 1's text that save most tokens (Ziya2 §5.1: 7,400).",
    )
    character_list: str = Field(
        "",
        description="Characters to add instead of those of the text, in this order; known ones are skipped.",
    )
    embedding_weights: Weights = Field(
        "mean",
        description="Weights of the former pieces' rows in a new row of the embedding (not reported by Ziya2): equal, "
        "falling or growing with position, or the first or last piece alone (benchmarks/quality/initialize.py).",
    )
    head_weights: Weights = Field(
        "mean",
        description="The same for the output head (whether Ziya2 extends it this way is not reported).",
    )
    vocabulary_multiple: int = Field(
        128,
        ge=1,
        description="The vocabulary is padded to a multiple, for tensor parallelism (Ziya: 39,424).",
    )
    tokenizer_bytes: int = Field(
        20_000_000, ge=1000, description="English text that trains a tokenizer, in bytes."
    )
    measured_bytes: int = Field(
        10_000_000, ge=1000, description="Text per language for the bytes-per-token figures."
    )
    loss_bytes: int = Field(
        50_000,
        ge=0,
        description="Held-out text per language for the initial loss, in bytes; 0: not measured. On CPU a model of 13 "
        "billion parameters takes about a second per kilobyte and teraFLOPS.",
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="Seed of randomly initialised weights.")

    @model_validator(mode="after")
    def _one_origin(self) -> Config:
        if (self.base is None) == (self.from_scratch is None):
            raise ValueError("give base (a LLaMA folder) or from_scratch, and not both")
        return self
