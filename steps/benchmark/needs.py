"""What measuring a recipe's models will need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.benchmark.config import Config
from steps.core.architecture import planned_architecture
from steps.core.needs import Need, Outlook

IDLE = 0.3e9  # the step alone (own assumption)
HARNESS = 1.6e9  # with a child that holds lm-evaluation-harness, datasets and torch (own assumption)
START_SECONDS = 30.0


def forecast(config: Config, recipe: Mapping[str, Any]) -> Outlook:
    """From the model's size: one model at a time in memory and on disk. Time follows the items, which only plan's
    source knows, and is not predicted."""
    if not config.benchmarks:
        return Outlook(Need(IDLE, 0.0, 0.0, 1.0), "the recipe names no benchmark")
    model = planned_architecture(recipe["initialize"])
    if model is None:
        return Outlook(None, f"follows the size of {recipe['initialize'].base.name}, which is read before")
    size = model.parameters * (2.0 if recipe["train_3"].precision == "bfloat16" else 4.0)
    said = f"{model.parameters / 1e6:,.1f} million weights; time follows the benchmarks' items"
    return Outlook(Need(IDLE + HARNESS + 2 * size, size, 0.0, START_SECONDS), said)
