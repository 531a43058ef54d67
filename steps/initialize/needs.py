"""What the start of a recipe's training will need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.architecture import model_store, planned_architecture
from steps.core.needs import Need, Outlook
from steps.initialize.config import Config

# own measurements (benchmarks.model_needs): a process with torch and SentencePiece, what all else takes, and weights
# made or read, written, hashed, and run on the held-out text
PROCESS, START_SECONDS, BYTES_PER_SECOND = 0.6e9, 30.0, 2e7


def forecast(config: Config, recipe: Mapping[str, Any]) -> Outlook:
    """From the model's size: one weights file, as it is read and as it is written; disk for both.

    The initial loss takes three times the weights where there is room, and is not measured where there is none.
    """
    model = planned_architecture(config)
    if model is None:
        assert config.base is not None
        return Outlook(None, f"follows the size of {config.base.name}, which is read when the stage starts")
    size = 2.0 * model.parameters
    largest = size
    if config.base is not None and (store := model_store()) is not None:
        files = [
            info.size for info in store.list(f"{config.base.name}/") if info.key.endswith(".safetensors")
        ]
        size, largest = max(size, float(sum(files))), float(max(files, default=int(size)))
    seconds = START_SECONDS + 4 * size / BYTES_PER_SECOND
    need = Need(PROCESS + 2 * largest, size + largest, size, seconds)
    return Outlook(need, f"{model.parameters / 1e6:,.1f} million weights")
