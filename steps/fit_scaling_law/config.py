"""Settings of a fit: which law, of which validation sets, and what to predict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from steps.core.config import StepConfig

LawName = Literal["ratio", "ratio_rate", "critical_ratio", "data_centric"]
INPUTS: dict[LawName, tuple[str, ...]] = {
    "ratio": ("ratio",),
    "ratio_rate": ("ratio", "learning_rate"),
    "critical_ratio": ("tokens",),
    "data_centric": ("coherence", "readability", "similarity", "tokens"),
}


class Config(StepConfig):
    """One study, one law."""

    law: LawName = Field(
        description="ratio: L(R) = alpha R^s + beta per validation set at the end of training (CMR 2407.17467 §3.3); "
        "ratio_rate: the same with the learning rate (own choice); "
        "critical_ratio: the critical mixture ratio over tokens (CMR Eqs. 6-8); "
        "data_centric: loss by coherence, readability, similarity and tokens (Ziya2 2311.03301 §7)."
    )
    domain_set: str = Field(
        "domain", description="critical_ratio: name of the validation set of the added language or domain."
    )
    general_set: str = Field(
        "general", description="critical_ratio: name of the validation set that must not get worse."
    )
    epsilon: float = Field(
        0.05,
        ge=0,
        description="critical_ratio: nats by which the general loss may end above its start (CMR §3.2: 0.05).",
    )
    multiplier: float = Field(
        1000,
        gt=0,
        description="critical_ratio: Lagrange multiplier of the general loss (CMR used 100 to 7,000; as it grows, T0 "
        "tends to the turning point of the general loss).",
    )
    held_out: list[float] = Field(
        default_factory=list,
        description="ratio, ratio_rate: ratios that are left out of the fit and predicted, to see what it is worth.",
    )
    predict: list[dict[str, float]] = Field(
        default_factory=list,
        description="Points to predict by the law's inputs, such as {ratio: 0.33}.",
    )
    extrapolate: bool = Field(
        False,
        description="Whether points outside of what was measured are predicted, and marked, or refused.",
    )
    draws: int = Field(
        200,
        ge=20,
        le=10_000,
        description="Bootstrap fits, of which the 95 % intervals are made (own choice).",
    )
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")

    @model_validator(mode="after")
    def _points_have_the_laws_inputs(self) -> Config:
        wanted = set(INPUTS[self.law])
        bad = [number for number, point in enumerate(self.predict) if set(point) != wanted]
        if bad:
            raise ValueError(f"predict[{bad[0]}]: the inputs of {self.law} are {', '.join(INPUTS[self.law])}")
        if self.held_out and self.law not in ("ratio", "ratio_rate"):
            raise ValueError("held_out: only the laws ratio and ratio_rate leave ratios out")
        return self

    def check(self, sections: Mapping[str, StepConfig]) -> None:
        """Raise ConfigError where a search has too few cells for the law, before any of them is trained."""
        search: Any = sections.get("search_mixture")
        if search is not None and self.law in ("ratio", "ratio_rate"):  # the search itself refuses other laws
            from steps.fit_scaling_law.planned import (
                check_cells,
            )  # scipy: not for those who only read settings

            check_cells(self, search.cells())
