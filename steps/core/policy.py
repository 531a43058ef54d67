"""The gate's policy: what a corpus must prove before anything is trained on it. pydantic only: DAG forms import it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from steps.core.config import StepConfig
from steps.core.digest import json_digest

Reader = Literal["human", "automatic"]

# classes of defects that can be seeded, and that automatic readers know
DEFECT_CLASSES = (
    "advertising",
    "web_residue",
    "mojibake",
    "toxic",
    "privacy",
    "truncated",
    "repetition",
    "incoherent",
    "foreign_language",
    "navigation",
    "promotion",
    "insult",
)


class Policy(StepConfig):
    """The rules of the verdict, fixed before anyone looks. A training recipe may pin its digest."""

    limit: float = Field(
        0.001,
        gt=0,
        le=1,
        description="Defect rate that a corpus must stay below, as a share of documents (Ziya2: 1 in 1,000).",
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Confidence of the statement over all looks at one dump together."
    )
    alpha_sensitivity: float = Field(
        0.01,
        gt=0,
        lt=0.5,
        description="Part of the error probability that goes to not knowing the readers' sensitivity (airflow.md 6.4).",
    )
    bound: Literal["exact", "none"] = Field(
        "exact",
        description="exact: the rate's upper bound must be below the limit; none: only the sampled rate (paper).",
    )
    test: Literal["fixed", "anytime"] = Field(
        "fixed",
        description="fixed: the whole sample is read, then judged once; anytime: readers may stop once it passes, "
        "or read on, and the verdict may be asked for at any moment (about 5 % more documents without a defect).",
    )
    stratum_ceiling: float | None = Field(
        0.01,
        gt=0,
        le=1,
        description="Defect rate that no single source and language may reach, by the same bound; null: no check.",
    )
    stratum_minimum: int = Field(
        100, ge=1, description="Strata with fewer documents are checked together as one (own choice)."
    )
    readers: tuple[Reader, ...] = Field(
        ("human", "automatic"), min_length=1, description="Kinds of readers whose labels count."
    )

    @property
    def digest(self) -> str:
        """sha256 that verdicts and training recipes name the policy by."""
        return json_digest(self.model_dump(mode="json"))

    def alphas(self, look: int) -> tuple[float, float]:
        """(error probability for the sampling, for the sensitivity) that look number `look` may spend.

        Each look takes half of what is left, alpha / 2^look, so that all looks at a dump share alpha. With
        confidence 0.95 the first look leaves 0.02 for the sampling and 0.005 for the sensitivity.
        """
        share = 2.0**-look
        alpha = round(1.0 - self.confidence, 12)
        return max(alpha - self.alpha_sensitivity, 0.0) * share, self.alpha_sensitivity * share
