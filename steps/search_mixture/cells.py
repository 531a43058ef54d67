"""One cell of a search, through the steps that a real run takes: mix → pack → train, for each of its stages."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from steps.core.artifact import Artifact
from steps.core.errors import ConfigError, DataError, UsageError
from steps.core.pipeline import resolve_inputs, stage
from steps.core.runs import section_config
from steps.core.step import Outcome, run_step
from steps.search_mixture.config import Cell, Config
from steps.search_mixture.design import cells, pilots
from steps.search_mixture.losses import Measured, read_cell
from steps.search_mixture.recipe import cell_settings

LOG = logging.getLogger("tokenmill.search_mixture")
SUPPLIED = 0.99  # of the tokens asked for: with less, a cell's ratio is not the one that it says (own choice)


def search_config(run: Mapping[str, Any]) -> Config:
    """The search that ``run`` (run.json) describes."""
    return Config.model_validate(section_config(dict(run), "search_mixture"))


def train_cell(
    run: Mapping[str, Any],
    number: int,
    made: Mapping[str, str],
    root: str,
    finished: Mapping[int, str],
) -> Outcome:
    """Train a cell of the search that ``run`` (run.json) describes; what is made already is taken as it is.

    ``made``: references of the sections ``ingest`` and ``initialize``, which all cells share; ``finished``: those of
    the pilots' trainings, by number. Returns the last stage's training. A killed call goes on at the last checkpoint.
    Raises DataError where there is too little text for the cell's ratio.
    """
    config = search_config(run)
    every, first = cells(config), pilots(config)
    settings = cell_settings(config, every[number], run["recipe"]["steps"])
    if first and number not in first:
        if missing := sorted(set(first) - set(finished)):
            names = ", ".join(f"cells.{n}" for n in missing)
            raise UsageError(f"cell {number} is measured by pilots, and {names} are not given")
        read = [read_cell(n, every[n], Artifact.open(finished[n])) for n in first]
        settings["train_1"]["stop_above"] = stop_rules(config, read)
    LOG.info("cell %d: %s", number, every[number].label)
    inputs = resolve_inputs(stage(run["dag"], "mix"), run["inputs"], made)
    mix = run_step("mix", config=settings["mix"], inputs=inputs, root=root)
    check_choice(run["recipe"]["steps"], mix.facts["heldout"])
    start = {"model": made["initialize"]}
    before: dict[str, str] = {}
    for place in range(1, config.stages + 1):
        tokens = run_step(
            "pack", config=settings[f"pack_{place}"], inputs={"mix": mix.ref, **start}, root=root
        )
        if place == 1:
            check_supply(every[number], tokens.facts["quotas"])
        inputs = {"tokens": tokens.ref, **start, **before}
        trained = run_step("train", config=settings[f"train_{place}"], inputs=inputs, root=root)
        before = {"previous": trained.ref}
    return trained


def check_choice(steps: Mapping[str, Any], held_out: Collection[str]) -> None:
    """Raise ConfigError where the choice is to be made by a set that is not held out: now, not after the last cell."""
    choice = steps["choose_mixture"]
    for field in ("additional_sets", "original_sets"):
        if unknown := sorted(set(choice[field]) - set(held_out)):
            raise ConfigError(
                f"choose_mixture.{field}: nothing is held out as {', '.join(unknown)}; mix holds out "
                f"{', '.join(sorted(held_out))}: name those of the language"
            )


def check_supply(cell: Cell, quotas: Sequence[Mapping[str, Any]]) -> None:
    """Raise DataError where a set of stage 1 has too little text, so that the ratio would be another.

    ``quotas``: tokens asked for and supplied by set, as pack counts them.
    """
    short = [
        f"{quota['set']} has {quota['supplied']:,} of {quota['asked']:,} tokens"
        for quota in quotas
        if quota["supplied"] < SUPPLIED * quota["asked"]
    ]
    if short:
        raise DataError(
            f"{cell.label}: {'; '.join(short)}: add text, or lower search_mixture.tokens or its outer ratios"
        )


def stop_rules(config: Config, finished: Sequence[Measured]) -> list[dict[str, Any]]:
    """``train.stop_above`` for a cell that is measured by pilots: one rule each, broken where it is worse on every set.

    They are looked at from the pilot's first measurement after `stop_after` on. A rule counts target tokens, of which
    a cell has a few less than positions, so it starts half way from the measurement before.
    """
    assert config.stop_after is not None
    rules = []
    for pilot in finished:
        places = [tokens for tokens, _ in next(iter(pilot.losses.values()))]
        rung = bisect_left(places, config.stop_after * places[-1])
        if rung == len(places) - 1:
            raise ConfigError(
                f"search_mixture.stop_after {config.stop_after}: nothing is measured between there and the end; lower "
                "it, or train_1.evaluate_every"
            )
        bounds = [
            {"set": name, "loss": points[rung][1] + config.stop_margin}
            for name, points in sorted(pilot.losses.items())
        ]
        rules.append({"at_tokens": (places[rung - 1] + places[rung]) // 2, "bounds": bounds})
    return rules
