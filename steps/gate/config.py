"""Settings of gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from steps.core.config import StepConfig
from steps.core.errors import ConfigError
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

    def check(self, sections: Mapping[str, StepConfig]) -> None:
        """Raise ConfigError where the sample is to be drawn for another policy or look than it is judged by."""
        sample: Any = sections.get("evaluate")
        if sample is None:
            return
        problems = []
        if self.policy is not None and self.policy.digest != sample.policy.digest:
            problems.append(
                "gate.policy: differs from evaluate.policy, for which the sample is drawn; set both alike"
            )
        if self.look != sample.look:
            problems.append(f"gate.look: {self.look}, but evaluate.look is {sample.look}; set both alike")
        if problems:
            raise ConfigError("\n".join(problems))
