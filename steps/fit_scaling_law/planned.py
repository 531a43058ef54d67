"""What a search's cells are for a law, before any of them is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steps.core.errors import ConfigError
from steps.fit_scaling_law.config import INPUTS, Config
from steps.fit_scaling_law.laws import RATIO, RATIO_RATE
from steps.fit_scaling_law.surface import LEAST_VALUES

KNOBS = ("learning_rate", "replay", "stage_order")  # what a study may vary beside the ratio


def check_cells(config: Config, cells: Sequence[Any]) -> None:
    """Raise ConfigError, with all that is wrong, where the fit to ``cells`` (of a search's design) would be refused.

    A law of p parameters is fitted to p + 1 cells at least, and `choose_mixture` tests it by leaving one more out. It
    holds for one value of each knob that is none of its inputs, so there must be as many cells at every such value.
    """
    law, inputs = RATIO if config.law == "ratio" else RATIO_RATE, INPUTS[config.law]
    name = f"fit_scaling_law.law {config.law}"
    kept = [cell for cell in cells if cell.ratio not in config.held_out]
    others = [knob for knob in KNOBS if knob not in inputs and len({getattr(c, knob) for c in cells}) > 1]
    groups: dict[tuple[Any, ...], list[Any]] = {tuple(getattr(c, knob) for knob in others): [] for c in cells}
    for cell in kept:
        groups[tuple(getattr(cell, knob) for knob in others)].append(cell)
    problems = []
    needed, fewest = len(law.parameters) + 2, min(map(len, groups.values()))
    if fewest < needed:
        at = f" at one {' and '.join(knob.replace('_', ' ') for knob in others)}" if others else ""
        without = " without those of held_out" if len(kept) < len(cells) else ""
        problems.append(
            f"{name}: {needed} cells are needed{at} ({len(law.parameters)} parameters, one cell more to fit them, and "
            f"one to leave out), and the search has {fewest}{without}: add search_mixture.ratios"
        )
    for knob in inputs if law is RATIO_RATE else ():
        values = min(len({getattr(cell, knob) for cell in group}) for group in groups.values())
        if values < LEAST_VALUES:
            problems.append(
                f"{name}: {LEAST_VALUES} values of {knob} are needed, and the search has {values}: add search_mixture."
                f"{knob}s{', or fit the law ratio' if knob == 'learning_rate' else ''}"
            )
    if unknown := sorted(set(config.held_out) - {cell.ratio for cell in cells}):
        problems.append(
            f"fit_scaling_law.held_out: the search has no cell at {', '.join(f'{r:g}' for r in unknown)}"
        )
    problems += [] if config.extrapolate or not kept else list(_outside(config, inputs, kept))
    if problems:
        raise ConfigError("\n".join(problems))


def _outside(config: Config, inputs: Sequence[str], kept: Sequence[Any]) -> list[str]:
    """Points of `predict` that no fit to ``kept`` covers."""
    ranges = {knob: [getattr(cell, knob) for cell in kept] for knob in inputs}
    return [
        f"fit_scaling_law.predict[{number}]: {knob} {point[knob]:g} is outside of the search's {min(values):g} to "
        f"{max(values):g}; with extrapolate: true it is predicted all the same, and marked"
        for number, point in enumerate(config.predict)
        for knob, values in ranges.items()
        if not min(values) * (1 - 1e-9) <= point[knob] <= max(values) * (1 + 1e-9)
    ]
