"""The cells of a search: a full grid, or points that fill the space evenly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.stats import qmc

from steps.search_mixture.config import Cell, Config


def cells(config: Config) -> list[Cell]:
    """All cells, in an order that follows from the settings alone; a grid's ratios change slowest."""
    replays = tuple(sorted(set(config.replays))) or (None,)
    orders = tuple(dict.fromkeys(config.stage_orders)) or (None,)
    if config.design == "grid":
        ratios, rates = sorted(set(config.ratios)), sorted(set(config.learning_rates))
        found = product(ratios, rates, replays, orders)
        return [
            Cell(ratio=ratio, learning_rate=rate, replay=replay, stage_order=order)
            for ratio, rate, replay, order in found
        ]
    return [
        Cell(
            ratio=_between(config.ratios, place[0]),
            learning_rate=_between(config.learning_rates, place[1], log=True),
            replay=_between(config.replays, place[2]) if config.replays else None,
            stage_order=orders[int(place[3] * len(orders))],
        )
        for place in _places(config)
    ]


def pilots(config: Config) -> list[int]:
    """Numbers of the cells that are trained first and to the end, so that others can be measured by them.

    In a grid those of the middle learning rate (the lower of two), with every ratio, replay and order; else the first
    third. None where no cell ends early.
    """
    if config.stop_after is None:
        return []
    found = cells(config)
    if config.design != "grid":
        return list(range(-(-len(found) // 3)))
    rates = sorted(set(config.learning_rates))
    middle = rates[(len(rates) - 1) // 2]
    return [number for number, cell in enumerate(found) if cell.learning_rate == middle]


def _places(config: Config) -> np.ndarray:
    """float64[points, 4] in [0, 1): ratio, rate, replay, order."""
    assert config.points is not None
    generator = np.random.Generator(np.random.PCG64(config.seed))
    if config.design == "sobol":
        # of a power of two points the first ones are taken: their balance is what a Sobol sequence is for
        sampler = qmc.Sobol(d=4, scramble=True, rng=generator)
        drawn = sampler.random_base2(math.ceil(math.log2(config.points)))
        return np.asarray(drawn[: config.points])
    return np.asarray(qmc.LatinHypercube(d=4, rng=generator).random(config.points))


def _between(values: Sequence[float], share: float, *, log: bool = False) -> float:
    """A share of the way from the smallest to the largest, to six digits: the same on every machine."""
    low, high = min(values), max(values)
    found = low * (high / low) ** float(share) if log else low + (high - low) * float(share)
    return float(f"{found:.6g}")
