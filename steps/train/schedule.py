"""Learning rate over a stage: linear warm-up, then cosine (Ziya2 §5), or stable and decay (MiniCPM §4)."""

from __future__ import annotations

import math
from fractions import Fraction

from steps.train.config import Config


def learning_rate(config: Config, step: int, steps: int) -> float:
    """The rate of the 0-based ``step`` of ``steps``: `learning_rate` after the warm-up, the final one at the last step.

    W = ⌈steps × warmup_ratio⌉ steps rise in a line. cosine: half a period over the others. wsd: `learning_rate` until
    the last D = ⌈steps × decay_ratio⌉ steps, of which the kth has `learning_rate` × (final / `learning_rate`)^(k / D),
    the exponential annealing of MiniCPM (arXiv 2404.06395 §4). It follows from step and settings alone, so that a
    run that goes on from a checkpoint has the rates of one that nobody disturbed.
    """
    peak, final = config.learning_rate, config.final_learning_rate
    warmup = share_of(steps, config.warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    if config.schedule == "cosine":
        share = min(1.0, (step - warmup) / max(1, steps - warmup - 1))
        return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * share))
    decay = share_of(steps, config.decay_ratio)
    decayed = max(0, step + 1 - (steps - decay))
    return peak * (final / peak) ** (decayed / decay) if decayed else peak


def share_of(steps: int, ratio: float) -> int:
    """⌈steps × ratio⌉ of the ratio as it is written: in floating point 100 × 0.07 is above 7, and would be 8 steps."""
    return math.ceil(steps * Fraction(str(ratio)))
