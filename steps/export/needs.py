"""What the export of a recipe's model will need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.architecture import planned_architecture
from steps.core.needs import Need, Outlook
from steps.export.config import Config

# own measurements (benchmarks.model_needs): a process with torch and transformers, and its start
PROCESS, START_SECONDS = 0.6e9, 15.0
BYTES_PER_SECOND = 2e8  # weights are read, written, hashed and read again on one core (own assumption)
PROBE_FLOPS, PROBE_TOKENS = (
    2e10,
    4096,
)  # of one core in FP32, and positions at most (train.probe_windows: 16 × 256)


def forecast(config: Config, recipe: Mapping[str, Any]) -> Outlook:
    """From the model's size: the model in FP32 to compare its logits, beside the file that it is read from."""
    model = planned_architecture(recipe["initialize"])
    if model is None:
        return Outlook(None, f"follows the size of {recipe['initialize'].base.name}, which is read before")
    size = model.parameters * (2 if recipe["train_3"].precision == "bfloat16" else 4)
    memory = PROCESS + 4 * model.parameters + size
    seconds = START_SECONDS + 4 * size / BYTES_PER_SECOND + 2 * model.parameters * PROBE_TOKENS / PROBE_FLOPS
    return Outlook(Need(memory, 2 * size, size, seconds), f"{model.parameters / 1e6:,.1f} million weights")
