"""How a cell is chosen, and what it is carried over to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from steps.core.config import StepConfig, config_class, parse_config
from steps.core.errors import ConfigError
from steps.core.pipeline import stages


class Config(StepConfig):
    """Which cell is good enough, and the run that it is for."""

    epsilon: float = Field(
        0.05,
        ge=0,
        description="Nats by which the loss on any set of the original language may end above its start (CMR "
        "2407.17467 §3.2: 0.05); of the cells that keep to it the one with the lowest loss on the additional sets is "
        "chosen.",
    )
    additional_sets: tuple[str, ...] = Field(
        min_length=1,
        description="Validation sets of the additional language, as the search names them (a language, or a task).",
    )
    original_sets: tuple[str, ...] = Field(
        (),
        description="Validation sets of the original language; empty: all that are not additional. Name them where "
        "the mix holds out sets of stages 2 and 3 too, which no cell trains: those then decide nothing.",
    )
    largest_error: float = Field(
        0.01,
        gt=0,
        description="Relative error up to which the fitted law must predict cells that it has not seen, leaving out "
        "one by one those inside of what the others cover (own choice); above it nothing is chosen.",
    )
    name: str = Field(
        "chosen_mixture", pattern=r"^[a-z0-9][a-z0-9_-]*$", description="Name of the recipe that is written."
    )
    tokens: int | None = Field(
        None, ge=1, description="Tokens of stage 1 in that run; empty: as in the search."
    )
    rate_factor: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The large model's learning rates as a multiple of the proxy's. The ALMR paper takes the same "
        "ratio and a lower rate for 70B than for 8B, and does not publish by how much; a half is what LLaMA 3 did "
        "between those sizes (2407.21783, Table 3: 3e-4 and 1.5e-4). A rule of thumb.",
    )
    target: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Settings of the large run's stages over those of the search: initialize.base, layouts, export, "
        "and stages 2 and 3.",
    )

    def check(self, sections: Mapping[str, StepConfig]) -> None:
        """Raise ConfigError unless the target's settings, over those of the search, are such of their stages."""
        known = {stage.section: stage for stage in stages("continual_pretraining")}
        problems = []
        for name, changes in self.target.items():
            if name not in known:
                problems.append(f"choose_mixture.target: continual_pretraining has no stage {name!r}")
                continue
            given = sections[name].model_dump(mode="json") if name in sections else known[name].defaults
            try:
                parse_config(config_class(name), {**given, **changes}, f"choose_mixture.target.{name}")
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(problems))
