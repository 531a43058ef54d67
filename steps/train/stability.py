"""Which optimizer steps cannot be right, and which runs are not worth their end.

A loss or gradient norm is a spike if it lies more than a number of standard deviations above the mean of those before
it, once half a window of them is known (OLMo-core, optim/skip_step_optimizer.py). Every rank judges the same two
numbers, so that all come to the same answer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from steps.train.config import Stability, StopAbove

NOT_FINITE, SPIKE = "not_finite", "spike"
GO_ON = "ignore"


def judge(loss: float, norm: float, past: Sequence[tuple[float, float]], settings: Stability) -> str | None:
    """`NOT_FINITE`, `SPIKE` or None for a step; ``past`` are (loss, gradient norm) of the steps taken before it."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return NOT_FINITE
    seen = past[-settings.window :]
    if settings.spike == GO_ON or len(seen) < settings.window // 2:
        return None
    for value, before in ((loss, [entry[0] for entry in seen]), (norm, [entry[1] for entry in seen])):
        if value - statistics.fmean(before) > settings.deviations * statistics.pstdev(before):
            return SPIKE
    return None


def action(found: str, passed_over: int, settings: Stability) -> str:
    """skip, roll_back or stop, for what `judge` found after so many steps were passed over already."""
    if passed_over >= settings.most:
        return "stop"
    return settings.not_finite if found == NOT_FINITE else settings.spike


def hopeless(heldout: Sequence[Mapping[str, Any]], limits: Sequence[StopAbove]) -> dict[str, Any] | None:
    """The first of ``limits`` whose bounds are all broken by the newest measurement in ``heldout``; None if none is.

    A loss that is not a number is above every bound. What was measured before the first step is only compared with.
    """
    before = {entry["set"]: entry["loss"] for entry in heldout if entry["step"] == 0}
    newest = {entry["set"]: entry for entry in heldout if entry["step"] == heldout[-1]["step"]}
    for limit in limits:
        entries = [(newest[bound.set], bound.above(before[bound.set])) for bound in limit.bounds]
        step, tokens = (entries[0][0][name] for name in ("step", "tokens"))
        if tokens >= limit.at_tokens and not any(entry["loss"] <= bound for entry, bound in entries):
            broken = [{"set": e["set"], "loss": e["loss"], "bound": bound} for e, bound in entries]
            return {"step": step, "tokens": tokens, "at_tokens": limit.at_tokens, "bounds": broken}
    return None
