"""One cell of a search, through the steps that a real run takes: mix → pack → train, for each of its stages."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from steps.core.artifact import Artifact
from steps.core.errors import ConfigError, UsageError
from steps.core.pipeline import resolve_inputs, stage
from steps.core.runs import section_config
from steps.core.step import Outcome, run_step
from steps.search_mixture.config import Config
from steps.search_mixture.design import cells, pilots
from steps.search_mixture.losses import Measured, read_cell
from steps.search_mixture.recipe import cell_settings

LOG = logging.getLogger("tokenmill.search_mixture")
SECTION = "search_mixture"


def train_cell(
    run: Mapping[str, Any],
    number: int,
    made: Mapping[str, str],
    root: str,
    finished: Mapping[int, str] | None = None,
) -> Outcome:
    """Train a cell of the search that ``run`` (run.json) describes; what is made already is taken as it is.

    ``made``: references of the sections ``ingest`` and ``initialize``, which all cells share; ``finished``: those of
    the pilots' trainings, by number. Returns the last stage's training. A killed call goes on at the last checkpoint.
    """
    config = Config.model_validate(section_config(dict(run), SECTION))
    every = cells(config)
    cell = every[number]
    settings = cell_settings(config, cell, run["recipe"]["steps"])
    if number not in (first := pilots(config)) and first:
        missing = sorted(set(first) - set(finished or {}))
        if missing:
            raise UsageError(f"cell {number} is measured by pilots that are not given: {missing}")
        read = [read_cell(n, every[n], Artifact.open((finished or {})[n])) for n in first]
        settings["train_1"]["stop_above"] = stop_rules(config, read)
    LOG.info("cell %d: %s", number, cell.label)
    mix = run_step(
        "mix",
        config=settings["mix"],
        inputs=resolve_inputs(stage(run["dag"], "mix"), run["inputs"], made),
        root=root,
    )
    trained: Outcome | None = None
    for place in range(1, config.stages + 1):
        inputs = {"mix": mix.ref, "model": made["initialize"]}
        tokens = run_step("pack", config=settings[f"pack_{place}"], inputs=inputs, root=root)
        inputs = {"tokens": tokens.ref, "model": made["initialize"]}
        inputs |= {"previous": trained.ref} if trained else {}
        trained = run_step("train", config=settings[f"train_{place}"], inputs=inputs, root=root)
    assert trained is not None
    return trained


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
