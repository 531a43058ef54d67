"""Settings of evaluate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from steps.core.config import StepConfig
from steps.core.policy import DEFECT_CLASSES, Policy


class Config(StepConfig):
    """What is drawn, and by which policy it is going to be judged; the plan is fixed here, before anyone looks."""

    policy: Policy = Field(
        default_factory=Policy, description="The gate's policy; gate and verdict take it from here."
    )
    look: int = Field(
        1,
        ge=1,
        le=20,
        description="Number of this look at the dump; a new look draws anew and spends less alpha.",
    )
    sample_fraction: float = Field(
        0.01, ge=0, le=1, description="Share of documents to draw (Ziya2: 1 %); 1.0 reads every document."
    )
    minimum: int = Field(
        200, ge=1, description="Documents to draw at least, where there are so many (own choice)."
    )
    allowed_defects: int = Field(
        0,
        ge=0,
        description="Reported defects that the plan leaves room for; more of them need more documents.",
    )
    seeded: int = Field(
        300,
        ge=0,
        le=20000,
        description="Known defects mixed in blind; they measure the readers. 263 found of 263 let a small corpus pass.",
    )
    seed_texts: Literal["own", "independent"] = Field(
        "own",
        description="Texts of the seeded defects. own: by the detectors' author, whose readers find them all. "
        "independent: by somebody else and blind to the detectors (held-out half of steps/evaluate/seeds); right "
        "for people, while automatic readers find too few of them to let any corpus pass (docs/gate.md).",
    )
    planned_sensitivity: float = Field(
        0.995,
        gt=0,
        le=1,
        description="Share of the seeded defects that the plan expects readers to find (own choice).",
    )
    defects: tuple[str, ...] = Field(
        DEFECT_CLASSES, min_length=1, description="Defect classes that are seeded."
    )

    @model_validator(mode="after")
    def _can_be_met(self) -> Config:
        if unknown := sorted(set(self.defects) - set(DEFECT_CLASSES)):
            raise ValueError(f"defects: {', '.join(unknown)} unknown; there are {', '.join(DEFECT_CLASSES)}")
        policy = self.policy
        if policy.bound == "exact" and policy.alphas(1)[0] <= 0:
            raise ValueError(
                f"policy: confidence {policy.confidence:g} leaves no error for the sampling when alpha_sensitivity "
                f"takes {policy.alpha_sensitivity:g}, so that nothing could pass; lower one of them"
            )
        return self
