"""From a search and one of its cells to the settings of mix, pack and train that make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from steps.core.errors import ConfigError
from steps.search_mixture.config import Cell, Config

Settings = dict[str, Any]


def cell_settings(config: Config, cell: Cell, steps: Mapping[str, Settings]) -> dict[str, Settings]:
    """The recipe's sections ``mix``, ``pack_n`` and ``train_n`` as this cell has them.

    ``steps`` are the recipe's resolved sections. The end of stage 1's learning rate keeps its proportion to the peak,
    and stage 1 has as many steps in every cell. Raises ConfigError where the sets of stage 1 cannot be scaled.
    """
    found = {"mix": mix_settings(config, cell, steps["mix"])}
    for stage in range(1, config.stages + 1):
        found[f"pack_{stage}"] = dict(steps[f"pack_{stage}"])
        found[f"train_{stage}"] = dict(steps[f"train_{stage}"])
    first = found["train_1"]
    final = first["final_learning_rate"] / first["learning_rate"] * cell.learning_rate
    first |= {"learning_rate": cell.learning_rate, "final_learning_rate": float(f"{final:.6g}")}
    first["steps"] = config.tokens // (first["batch_windows"] * steps["pack_1"]["sequence_length"])
    if not first["steps"]:
        raise ConfigError(f"search_mixture.tokens: {config.tokens} are fewer than one batch of train_1 has")
    return found


def mix_settings(config: Config, cell: Cell, mix: Mapping[str, Any]) -> Settings:
    """``mix`` with the search's tokens in stage 1, the cell's share of them additional."""
    weights = stage_1_tokens(mix)
    unknown = sorted(set(config.additional) - set(weights))
    known = sorted(set(weights) - set(config.additional))
    if unknown:
        raise ConfigError(f"search_mixture.additional: mix has no set {', '.join(unknown)} in stage 1")
    if not known:
        raise ConfigError("search_mixture.additional: every set of stage 1 is additional; there is no ratio")
    more = round(config.tokens * cell.ratio)
    amounts = {
        **divide(more, {name: weights[name] for name in sorted(config.additional)}),
        **divide(config.tokens - more, {name: weights[name] for name in known}),
    }
    scaled = {**mix, "web": dict(mix["web"]), "supervised": dict(mix["supervised"])}
    for name, amount in amounts.items():
        kind, _, source = name.partition("/")
        scaled[kind][source] = {**mix[kind][source], "tokens": amount}
    if cell.replay is not None:
        scaled |= dict.fromkeys(("stage_2_replay", "stage_3_replay_1", "stage_3_replay_2"), cell.replay)
    if cell.stage_order is not None:
        place = {stage: number for number, stage in enumerate(cell.stage_order, 1)}
        for name, found in scaled["supervised"].items():
            scaled["supervised"][name] = {**found, "stage": place[found["stage"]]}
    return scaled


def stage_1_tokens(mix: Mapping[str, Any]) -> dict[str, int]:
    """Tokens of every set of stage 1, as kind/name. Raises ConfigError for sets that are not asked for in tokens."""
    sets = {f"web/{name}": found for name, found in mix["web"].items()}
    sets |= {f"supervised/{n}": found for n, found in mix["supervised"].items() if found["stage"] == 1}
    bad = sorted(name for name, found in sets.items() if name == "web/*" or not found.get("tokens"))
    if bad:
        raise ConfigError(
            f"mix: a search scales the tokens of stage 1's sets, and {', '.join(bad)} names none; name every source "
            "and give it tokens (the proportions within the languages)"
        )
    return {name: found["tokens"] for name, found in sets.items()}


def divide(tokens: int, weights: Mapping[str, int]) -> dict[str, int]:
    """``tokens`` in proportion to the weights, exactly; what rounding leaves goes to the largest remainders."""
    whole = sum(weights.values())
    shares = {name: tokens * weight // whole for name, weight in weights.items()}
    left = tokens - sum(shares.values())
    for name in sorted(weights, key=lambda n: (-(tokens * weights[n] % whole), n))[:left]:
        shares[name] += 1
    if not all(shares.values()):
        empty = sorted(name for name, share in shares.items() if not share)
        raise ConfigError(
            f"search_mixture.tokens: {tokens} are too few, nothing is left for {', '.join(empty)}"
        )
    return shares
