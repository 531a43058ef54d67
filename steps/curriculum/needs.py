"""What reading the corpus with the model will need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.architecture import planned_architecture
from steps.core.needs import Need, Outlook
from steps.curriculum.config import Config

PROCESS, START_SECONDS = (
    0.6e9,
    15.0,
)  # as measured for export: a process with torch and transformers, and its start
WEIGHT, LOGIT = 4, 8  # bytes in FP32: weights; a batch's logits and those of one document once more, as float


def forecast(config: Config, recipe: Mapping[str, Any]) -> Outlook:
    """Memory from the model's size, where a language is ordered; the time follows the documents that `mix` takes."""
    if not config.languages:
        return Outlook(None, "orders no language")
    model = planned_architecture(recipe["initialize"])
    if model is None:
        return Outlook(None, f"follows the size of {recipe['initialize'].base.name}, which is read before")
    weights = WEIGHT * model.parameters
    memory = PROCESS + weights + LOGIT * config.batch_tokens * model.vocabulary
    said = f"{model.parameters / 1e6:,.1f} million weights; the time follows the documents of the mix"
    return Outlook(Need(memory, weights, 0.0, START_SECONDS), said)
