"""The next round's topic shares from this round's losses (Llama-3-SynE, 2407.18743, topic-based mixture)."""

from __future__ import annotations

import math
from collections.abc import Mapping


def next_shares(
    shares: Mapping[str, float],
    losses: Mapping[str, tuple[float, float]],
    alpha: float,
    weights: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """r_i' = r_i f_i / sum_j r_j f_j with f_i = 1 + alpha d_i w_i: topics that got worse have more of the next round.

    ``losses`` are nats per token of each topic's held-out documents at the round's beginning and end, and d_i is the
    change of their perplexity divided by the largest change of any topic, so that it lies between -1 and 1. That
    division, alpha and w_i (1 without ``weights``) are not published: own choice. With alpha times w_i below 1 no share
    falls to 0 or below. Raises ValueError otherwise.
    """
    weights = weights or {}
    change = {
        topic: math.exp(end) - math.exp(begin) for topic, (begin, end) in losses.items() if topic in shares
    }
    largest = max((abs(value) for value in change.values()), default=0.0) or 1.0
    factor = {topic: 1 + alpha * change[topic] / largest * weights.get(topic, 1.0) for topic in shares}
    if low := sorted(topic for topic, value in factor.items() if value <= 0):
        raise ValueError(f"alpha {alpha:g} leaves nothing to {', '.join(low)}; lower it")
    whole = sum(shares[topic] * factor[topic] for topic in shares)
    return rounded({topic: shares[topic] * factor[topic] / whole for topic in shares})


def rounded(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares with six decimals, the largest one so that they add up to exactly one."""
    found = {topic: round(share, 6) for topic, share in shares.items()}
    largest = max(found, key=lambda topic: (found[topic], topic))
    found[largest] = round(1 - sum(share for topic, share in found.items() if topic != largest), 6)
    return found
