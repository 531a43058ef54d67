"""Which optimizer steps cannot be right, and which runs are not worth their end.

A loss or gradient norm is a spike if it lies more than a number of standard deviations above the mean of those before
it, once half a window of them is known (OLMo-core, optim/skip_step_optimizer.py). That rule is for batches of millions
of tokens. In a run with 16 windows of 512 (benchmarks.quality.three_stages) it passed over 4 of 391 steps, of ordinary
loss and 7.5 to 26 deviations above the mean norm: two of them had twice the usual norm, and two were a stage's last, of
1 and 2 windows, with √16 and nearly √8 times the usual one. So a norm must also be `NORM_FACTOR` times as high as
usual, and a batch of fewer tokens is allowed the noise of its size: a mean over B tokens varies by 1/√B, and so does a
norm that is mostly noise (McCandlish et al., 1812.06162, §2.2). Every rank judges the same numbers, so that all come to
the same answer.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from steps.train.config import Stability, StopAbove

NOT_FINITE, SPIKE = "not_finite", "spike"
GO_ON = "ignore"
# own choice: above the tail of ordinary norms, 2.1 times as high as usual; far below the 50 times and more of spikes
# as SPAM counts them (2501.06842, §2)
NORM_FACTOR = 3.0


class Taken(NamedTuple):
    """What a step is judged by: mean loss over its target tokens, gradient norm before clipping, those tokens."""

    loss: float
    norm: float
    tokens: float


def judge(step: Taken, past: Sequence[Taken], settings: Stability) -> str | None:
    """`NOT_FINITE`, `SPIKE` or None for a step; ``past`` are the steps taken before it."""
    if not (math.isfinite(step.loss) and math.isfinite(step.norm)):
        return NOT_FINITE
    seen = past[-settings.window :]
    if settings.spike == GO_ON or len(seen) < settings.window // 2:
        return None
    losses, norms, tokens = zip(*seen, strict=True)
    noise = math.sqrt(max(1.0, statistics.fmean(tokens) / max(step.tokens, 1)))
    if step.loss - statistics.fmean(losses) > settings.deviations * noise * statistics.pstdev(losses):
        return SPIKE
    norm, usual = step.norm / noise, statistics.fmean(norms)
    if norm - usual > settings.deviations * statistics.pstdev(norms) and norm > NORM_FACTOR * usual:
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
