"""Settings of the curriculum step."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import StepConfig


class Config(StepConfig):
    """Which documents are ordered, and how they are read."""

    languages: tuple[str, ...] = Field(
        (),
        description="Languages whose plain documents come in ascending order of perplexity; replayed and supervised "
        "ones never do. Empty: no curriculum (Ziya2); Llama-3-SynE orders zh.",
    )
    tokens: int = Field(
        1024,
        ge=16,
        description="Tokens from a document's start that the model reads (not reported by the paper; own choice).",
    )
    batch_tokens: int = Field(
        16_384, ge=16, description="Tokens that are read at once, which bounds memory (own choice)."
    )
    decimals: int = Field(
        3,
        ge=0,
        le=6,
        description="Decimals of the mean loss in nats that is ordered by; ties come in the order of the mix. Sums on "
        "another machine differ behind them (own choice).",
    )
