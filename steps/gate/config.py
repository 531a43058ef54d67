"""Settings of gate."""

from __future__ import annotations

from pydantic import Field

from steps.core.config import StepConfig
from steps.core.policy import Policy


class Config(StepConfig):
    """The policy was fixed when the sample was drawn (evaluate.policy); here a person can only be stricter."""

    policy: Policy | None = Field(
        None, description="If given, it must be the one that the sample was drawn for (default: that one)."
    )
    look: int = Field(
        1,
        ge=1,
        le=20,
        description="Number of this look at the dump; must be that of the sample (evaluate.look).",
    )
    veto: str = Field(
        "",
        description="Why a person refuses what the numbers would allow; the other way round is not possible.",
    )
