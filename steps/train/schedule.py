"""Learning rate over a stage: linear warm-up, then cosine (Ziya2 §5)."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, final: float, warmup_ratio: float) -> float:
    """The rate of the 0-based ``step`` of ``steps``: ``peak`` after the warm-up, ``final`` at the last step."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    rest = max(1, steps - warmup - 1)
    share = min(1.0, (step - warmup) / rest)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * share))
