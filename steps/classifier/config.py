"""Settings of classifier training: all of them change the model's bytes."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import CorpusConfig


class Config(CorpusConfig):
    """One classifier."""

    name: str = Field(
        "toxicity",
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Name in the catalog; rules of filter use the signal classifier_<name>.",
    )
    label: str | None = Field(
        "1",
        pattern=r"^\S+$",
        description="Label whose probability is the signal (COLD: 1, offensive); null: every label is a class of its "
        "own, such as topics for mix.",
    )
    max_records: int = Field(
        200_000,
        ge=100,
        description="Most labelled texts to train on, chosen by hash (own choice: bounds memory).",
    )
    background_lines: int = Field(
        20_000,
        ge=0,
        description="Lines of plain documents that are trained on as a label of their own, chosen by hash; without "
        "any, ordinary prose about the labelled topics is taken for what the comments are (own measurement: "
        "python -m benchmarks.quality.toxicity).",
    )
    held_out_share: float = Field(
        0.1,
        gt=0,
        lt=0.9,
        description="Share of the texts that are not trained on but measured, chosen by hash (own choice).",
    )
    dimension: int = Field(
        32, ge=2, le=512, description="Length of the vectors (fastText: 100; 32 is enough for two classes)."
    )
    word_ngrams: int = Field(
        3, ge=1, le=6, description="Longest n-gram of words or ideographs (own measurement on COLD: 3)."
    )
    buckets: int = Field(
        200_000, ge=1000, le=10_000_000, description="Hash buckets of n-grams (fastText: 2,000,000)."
    )
    epochs: int = Field(5, ge=1, le=200, description="Passes over the texts (own measurement on COLD).")
    learning_rate: float = Field(
        0.3, gt=0, le=2, description="First learning rate (own measurement on COLD)."
    )
    min_count: int = Field(2, ge=1, description="Times that a word must occur (own choice).")
    seed: int = Field(1, ge=0, lt=2**31, description="Seed of fastText's generator; it trains in one thread.")
