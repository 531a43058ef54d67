"""The space that is searched: which sets are the additional language, and what varies between cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from steps.core.config import StepConfig, config_class, parse_config
from steps.core.errors import ConfigError

Order = tuple[Literal[1], Literal[2, 3], Literal[2, 3]]


class Cell(BaseModel):
    """One point of the search. None: as the recipe's mix says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float = Field(gt=0, lt=1, description="The additional sets' share of stage 1's tokens (ALMR).")
    learning_rate: float = Field(gt=0, description="Peak learning rate of stage 1.")
    replay: float | None = Field(None, ge=0, description="Replay of stages 2 and 3, as a multiple.")
    stage_order: Order | None = Field(None, description="The order in which the stages' sets are trained on.")

    @property
    def point(self) -> dict[str, float | str]:
        """Its values as tables and MLflow have them: an order as 1-3-2, and nothing for what is as the recipe says."""
        order = "-".join(map(str, self.stage_order or ()))
        return {
            **self.model_dump(),
            "replay": "" if self.replay is None else self.replay,
            "stage_order": order,
        }

    @property
    def label(self) -> str:
        """What tells it from the others, in a task's name and a plot."""
        parts = [f"ratio {self.ratio:.4g}", f"rate {self.learning_rate:.3g}"]
        if self.replay is not None:
            parts.append(f"replay {self.replay:.3g}")
        if self.stage_order is not None:
            parts.append(f"order {self.point['stage_order']}")
        return ", ".join(parts)


MOST_CELLS = 400  # Airflow maps a task over 1,024 at most, and nobody trains more (own choice)


class Config(StepConfig):
    """A search over mixtures. What the ALMR paper searched, and what it found, is not published."""

    additional: tuple[str, ...] = Field(
        min_length=1,
        description="Sets of stage 1 that are the additional language, as web/NAME or supervised/NAME; all others of "
        "stage 1 are what the base model knew. Within each side the tokens of mix give the proportions.",
    )
    design: Literal["grid", "sobol", "latin_hypercube"] = Field(
        "grid",
        description="grid: every combination of the values; sobol, latin_hypercube: `points` that fill the space "
        "between the smallest and the largest of each (scipy.stats.qmc), learning rates by their logarithm.",
    )
    ratios: tuple[float, ...] = Field(
        min_length=1,
        description="Shares of the additional language in stage 1's tokens (own choice: no paper's).",
    )
    learning_rates: tuple[float, ...] = Field(
        min_length=1, description="Peak learning rates of stage 1; later stages' rates stay as they are."
    )
    replays: tuple[float, ...] = Field(
        (), description="Replay shares for stages 2 and 3, in place of all three of mix's."
    )
    stage_orders: tuple[Order, ...] = Field(
        (), description="Orders of the stages' sets, such as [1, 3, 2]; web sets are always in stage 1."
    )
    points: int | None = Field(
        None, ge=2, le=MOST_CELLS, description="Cells of a sobol or latin_hypercube design."
    )
    seed: int = Field(1, ge=0, description="Seed of the design.")
    tokens: int = Field(ge=1, description="Tokens of stage 1 in every cell, on the proxy model.")
    stages: Literal[1, 2, 3] = Field(
        1, description="Stages that every cell trains; replay and order matter from 2 on."
    )

    stop_after: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of a cell's training after which it ends early where it is hopeless: worse on every "
        "validation set than one of the pilots at the same tokens (a Pareto form of successive halving, 1502.07943; "
        "own choice). Pilots are trained first and to the end. Empty: no cell ends early.",
    )
    stop_margin: float = Field(
        0.0, ge=0, description="Nats by which a hopeless cell is worse on every set (own choice)."
    )

    @model_validator(mode="after")
    def _can_be_searched(self) -> Config:
        problems = []
        if not all(0 < ratio < 1 for ratio in self.ratios):
            problems.append("ratios: each must be above 0 and below 1, so that every cell measures every set")
        if not all(0 < rate < math.inf for rate in self.learning_rates):
            problems.append("learning_rates: each must be a number above 0")
        if not all(0 <= share < math.inf for share in self.replays):
            problems.append("replays: each must be a number of at least 0")
        sizes = [
            len(set(v)) or 1 for v in (self.ratios, self.learning_rates, self.replays, self.stage_orders)
        ]
        if self.design == "grid" and math.prod(sizes) > MOST_CELLS:
            problems.append(
                f"the grid has {math.prod(sizes):,} cells and may have {MOST_CELLS}: name fewer values, or take a "
                "design of `points`"
            )
        if (self.design == "grid") != (self.points is None):
            problems.append("points: give it for sobol and latin_hypercube, and not for grid")
        if (self.replays or self.stage_orders) and self.stages == 1:
            problems.append("replays and stage_orders change nothing in stage 1; set stages to 2 or 3")
        if self.stop_after is not None and self.stages > 1:
            problems.append("stop_after: only searches of one stage end cells early")
        if any(sorted(order) != [1, 2, 3] for order in self.stage_orders):
            problems.append("stage_orders: each is [1, 2, 3] or [1, 3, 2]")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def check(self, sections: Mapping[str, StepConfig]) -> None:
        """Raise ConfigError unless every ratio can be made of mix, and the law can be fitted to the cells."""
        from steps.search_mixture.recipe import cell_settings

        steps = {name: config.model_dump(mode="json") for name, config in sections.items()}
        for ratio in (min(self.ratios), max(self.ratios)):
            cell_settings(self, Cell(ratio=ratio, learning_rate=max(self.learning_rates)), steps)
        law = steps["fit_scaling_law"]["law"]
        if law not in ("ratio", "ratio_rate"):
            raise ConfigError(f"fit_scaling_law.law {law}: a search is fitted with ratio or ratio_rate")
        if self.design != "grid" and (law == "ratio" or self.replays):
            raise ConfigError(
                "search_mixture.design: a law holds for one replay, and the law ratio for one learning rate, of which "
                "every point of a design has its own; search a grid, or the law ratio_rate without replays"
            )

    def cells(self) -> list[Cell]:
        """All cells, in their order."""
        from steps.search_mixture.design import cells  # scipy: not for those who only read settings

        return cells(self)

    def cell_sections(self, sections: Mapping[str, StepConfig]) -> dict[str, StepConfig]:
        """The sections ``mix``, ``pack_n`` and ``train_n`` of the stages that a cell trains, as its first one has
        them, among all others that are no stage's."""
        from steps.search_mixture.recipe import cell_settings

        steps = {name: config.model_dump(mode="json") for name, config in sections.items()}
        made = cell_settings(self, self.cells()[0], steps)
        others = {n: c for n, c in sections.items() if n in made or not n.startswith(("pack_", "train_"))}
        return others | {name: parse_config(config_class(name), found, name) for name, found in made.items()}

    def tasks(self) -> dict[str, list[dict[str, Any]]]:
        """What the DAG maps over: ``pilots`` and all ``cells``, each with its number and label."""
        from steps.search_mixture.design import pilots

        every = [{"cell": number, "label": cell.label} for number, cell in enumerate(self.cells())]
        return {"pilots": [every[number] for number in pilots(self)], "cells": every}
