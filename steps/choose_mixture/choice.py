"""Which cell of a search is taken, and the recipe that it becomes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from steps.choose_mixture.config import Config
from steps.core.config import config_class, parse_config
from steps.core.errors import ConfigError, DataError

SECTIONS = ("ingest", "mix", "initialize", *(f"{kind}_{n}" for n in (1, 2, 3) for kind in ("pack", "train")))
INPUTS = ("corpora", "classifiers")  # of a recipe; benchmarks are among its sources


def choose(config: Config, search: Mapping[str, Any]) -> dict[str, Any]:
    """The cell with the lowest mean loss on the additional sets, of those that keep to epsilon on the original ones.

    ``search``: the facts of a search_mixture artifact. Raises DataError where no cell does, with the nearest one, and
    ConfigError where the sets of the choice are not those of the search.
    """
    original = original_sets(config, search["sets"])
    ended = [cell for cell in search["cells"] if not cell["stopped_early"]]
    rise = {cell["cell"]: max(cell["rises"][name] for name in original) for cell in ended}
    feasible = [cell for cell in ended if rise[cell["cell"]] <= config.epsilon]
    if not feasible:
        nearest = min(ended, key=lambda cell: rise[cell["cell"]])
        raise DataError(
            f"no cell keeps the original language within {config.epsilon:g} nats of its start; the nearest is "
            f"{nearest['label']}, {rise[nearest['cell']]:+.4f}: search smaller ratios or learning rates, or accept "
            "more with choose_mixture.epsilon"
        )
    best = min(feasible, key=lambda cell: (additional_loss(config, cell), cell["cell"]))
    return {
        **best,
        "additional_loss": additional_loss(config, best),
        "largest_original_rise": rise[best["cell"]],
        "feasible": [cell["cell"] for cell in feasible],
    }


def original_sets(config: Config, measured: Collection[str]) -> list[str]:
    """The validation sets that must not get worse. Raises ConfigError unless there is one, and all are measured."""
    original = config.original_sets or [name for name in measured if name not in config.additional_sets]
    unknown = sorted({*config.additional_sets, *original} - set(measured))
    both = sorted(set(config.additional_sets) & set(original))
    if unknown or both or not original:
        raise ConfigError(
            f"choose_mixture.additional_sets, original_sets: the search measured {', '.join(sorted(measured))}; name "
            "some of them for each language (all others are original where none is named), and none for both"
        )
    return list(original)


def additional_loss(config: Config, cell: Mapping[str, Any]) -> float:
    """Mean loss over the additional sets."""
    return float(sum(cell["losses"][name] for name in config.additional_sets) / len(config.additional_sets))


def check_fit(config: Config, fits: Mapping[str, Any], measured: Collection[str]) -> dict[str, float]:
    """The largest error of a left-out cell by fit, of the sets that decide.

    ``fits``: by validation set, with what its runs have in common after a comma. Raises DataError above
    `largest_error`, or where none was tested.
    """
    deciding = {*config.additional_sets, *original_sets(config, measured)}
    errors = {}
    for name, fit in fits.items():
        if not any(name == one or name.startswith(f"{one}, ") for one in deciding):
            continue
        inside = [row["relative_error"] for row in fit.get("left_out", ()) if not row["extrapolated"]]
        if inside:
            errors[name] = max(inside)
    if not errors:
        raise DataError(
            "the law was tested on no cell that it had not seen: to leave one out, a law of p parameters needs p + 2 "
            "cells that ran to the end (ratio: five ratios at one learning rate; ratio_rate: eight cells)"
        )
    name = max(errors, key=lambda key: errors[key])
    if errors[name] > config.largest_error:
        raise DataError(
            f"the law of {name} predicts a cell that it has not seen with an error of {errors[name]:.2%}, more than "
            f"{config.largest_error:.2%}: train cells longer, take another law, or accept it with largest_error"
        )
    return errors


def target_steps(
    config: Config, cell: Mapping[str, Mapping[str, Any]], resolved: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The recipe's sections: the search's with the cell's over them, the transfer rule, and the target's settings.

    ``cell``: what its artifacts were made with, by section (mix, pack_n, train_n); ``resolved``: those of the search.
    """
    steps = {name: dict(resolved[name]) for name in SECTIONS} | {
        name: dict(found) for name, found in cell.items()
    }
    if config.tokens is not None:
        steps["mix"] = scaled(steps["mix"], config.tokens)
    for name in (f"train_{n}" for n in (1, 2, 3)):
        for field in ("learning_rate", "final_learning_rate"):
            steps[name][field] = float(f"{config.rate_factor * steps[name][field]:.6g}")
    steps["train_1"] |= {
        "steps": None,
        "stop_above": [],
    }  # every window of the mix once, and no rule of the search
    for name, changes in config.target.items():
        steps[name] = {**steps.get(name, {}), **changes}
    return {name: without_defaults(name, found) for name, found in steps.items()}


def scaled(mix: Mapping[str, Any], tokens: int) -> dict[str, Any]:
    """``mix`` with so many tokens of stage 1, in the same proportions to a token."""
    found = {**mix, "web": dict(mix["web"]), "supervised": dict(mix["supervised"])}
    places = [("web", name) for name in mix["web"]]
    places += [("supervised", name) for name, made in mix["supervised"].items() if made["stage"] == 1]
    whole = sum(mix[kind][name]["tokens"] for kind, name in places)
    for kind, name in places:
        found[kind][name] = {**mix[kind][name], "tokens": round(tokens * mix[kind][name]["tokens"] / whole)}
    return found


def without_defaults(section: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a recipe has to say. Raises ConfigError with every one that the stage does not take."""
    parsed = parse_config(config_class(section), dict(settings), section)
    return parsed.model_dump(mode="json", exclude_defaults=True)


def recipe_of(
    config: Config, run: Mapping[str, Any], steps: Mapping[str, Any], label: str, evidence: Mapping[str, str]
) -> dict[str, Any]:
    """A recipe of continual_pretraining, with where its mixture comes from.

    ``run``: run.json of the search, whose corpora and classifiers it takes as they were.
    """
    search = run["recipe"]
    return {
        "name": config.name,
        "dag": "continual_pretraining",
        "description": f"{label}, of the search {search['name']}. The same ratio and {config.rate_factor:g} times the "
        "learning rates of the proxy model: a rule of thumb.",
        "evidence": dict(evidence),
        "sources": search["sources"],
        "inputs": {name: run["inputs"][name] for name in INPUTS if name in run["inputs"]},
        "steps": {name: found for name, found in steps.items() if found},
    }
