"""Settings of the data_attributes step."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import StepConfig


class Config(StepConfig):
    """What is embedded, and how many pieces of it."""

    embedder: str = Field(
        "hashing",
        description="Embedder of texts: hashing (character n-grams, any language) or wordllama (token vectors whose "
        "weights are in its package; the paper: text-embedding-ada-002).",
    )
    pieces: int = Field(
        100_000,
        ge=1,
        description="Documents of a run that are embedded, of those that its mix chose first (Ziya2 §7: 100,000).",
    )
    characters: int = Field(
        2000,
        ge=1,
        description="Characters from a document's start that are embedded (own choice: bounds time).",
    )
    sets: tuple[str, ...] = Field(
        (), description="Held-out sets whose losses are taken; empty: all that the run has measured."
    )
