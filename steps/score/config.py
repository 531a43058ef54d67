"""Settings of scoring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from steps.core.config import CorpusConfig


class Config(CorpusConfig):
    """Quality shares, the lower cut-off, and who is exempt."""

    high_share: float = Field(
        0.30,
        ge=0,
        le=1,
        description="Share of a language's data, best perplexity first, that is high (Ziya2: 0.30).",
    )
    medium_share: float = Field(
        0.30, ge=0, le=1, description="Share after the high one that is medium (Ziya2: 30-60 %, 0.30)."
    )
    keep: tuple[Literal["high", "medium", "low"], ...] = Field(
        ("high", "medium"), min_length=1, description="Qualities that are kept (Ziya2: high and medium)."
    )
    weight: Literal["documents", "bytes"] = Field(
        "documents", description="What the shares are shares of: documents, or bytes of text."
    )
    lowest_perplexity: dict[str, float] = Field(
        default_factory=dict,
        description="Perplexity per language below which text is unnatural and dropped; "
        "it holds for one model only.",
    )
    lowest_share: float = Field(
        0.005,
        ge=0,
        lt=0.5,
        description="Share of a language's documents, lowest perplexity first, that may be unnatural "
        "(own choice); they are dropped only below lowest_ratio × the median too. 0 turns it off.",
    )
    lowest_ratio: float = Field(
        0.25,
        gt=0,
        le=1,
        description="Fraction of the language's median perplexity below which the lowest_share is unnatural "
        "(bot-written zh stubs lie at a third of the median, our measurement).",
    )
    lowest_min_documents: int = Field(
        1000,
        ge=1,
        description="Documents of a language below which lowest_share is not applied (own choice).",
    )
    without_model: Literal["error", "unscored"] = Field(
        "error",
        description="Documents of a language without a model: end with an error, or keep them unscored.",
    )
    exempt_sources: tuple[str, ...] = Field(
        (),
        description="Sources that are scored but never dropped, such as reference works; "
        "not counted in the shares.",
    )

    @model_validator(mode="after")
    def _shares(self) -> Config:
        if self.high_share + self.medium_share > 1 + 1e-12:
            raise ValueError("high_share and medium_share together are more than 1")
        return self
