"""Which cells a search has, what each is made with, and when one is hopeless."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from steps.core.config import config_class, parse_config
from steps.core.errors import ConfigError, DataError
from steps.search_mixture.cells import check_supply, stop_rules
from steps.search_mixture.config import Cell, Config
from steps.search_mixture.design import cells, pilots
from steps.search_mixture.losses import Measured, pareto_front, write_csv
from steps.search_mixture.recipe import cell_settings, divide, mix_settings

SPACE: dict[str, Any] = {
    "additional": ["web/zh", "supervised/zh_books"],
    "ratios": [0.5, 0.1],
    "learning_rates": [1e-3, 1e-4, 1e-2],
    "tokens": 4096,
}
UNGATED = "a set of this test's own"
MIX: dict[str, Any] = {
    "web": {"zh": {"tokens": 300}, "en": {"tokens": 900}},
    "supervised": {
        "zh_books": {"stage": 1, "tokens": 100, "ungated": UNGATED},
        "math": {"stage": 2, "tokens": 50, "ungated": UNGATED},
        "code": {"stage": 3, "tokens": 60, "ungated": UNGATED},
    },
    "stage_2_replay": 1.0,
}
TRAIN = {"learning_rate": 1e-3, "final_learning_rate": 1e-4, "batch_windows": 8}


def test_a_grid_has_every_combination_in_one_order() -> None:
    found = [(cell.ratio, cell.learning_rate) for cell in cells(Config(**SPACE))]
    assert found == [(r, n) for r in (0.1, 0.5) for n in (1e-4, 1e-3, 1e-2)]


@pytest.mark.parametrize("design", ["sobol", "latin_hypercube"])
def test_a_design_fills_the_space_and_is_the_same_every_time(design: str) -> None:
    config = Config(**{**SPACE, "design": design, "points": 12, "replays": [0, 2], "stages": 3})
    found = cells(config)
    assert found == cells(config) != cells(config.model_copy(update={"seed": 2}))
    assert all(0.1 <= c.ratio <= 0.5 and 1e-4 <= c.learning_rate <= 1e-2 for c in found)
    # each third of an axis has its share of the points; learning rates by their logarithm
    for values in ([(c.ratio - 0.1) / 0.4 for c in found], [(c.replay or 0) / 2 for c in found]):
        assert all(3 <= sum(low <= v < low + 1 / 3 for v in values) <= 5 for low in (0, 1 / 3, 2 / 3))
    assert 4 <= sum(c.learning_rate < 1e-3 for c in found) <= 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": [0, 0.5]}, "ratios: each must be above 0"),
        ({"points": 4}, "points: give it for sobol"),
        ({"replays": [1.0]}, "change nothing in stage 1"),
        ({"stages": 3, "stop_after": 0.5}, "stop_after: only searches of one stage"),
        ({"learning_rates": [float("inf")]}, "learning_rates: each must be a number above 0"),
        ({"ratios": [n / 500 for n in range(1, 202)]}, "the grid has 603 cells and may have 400"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Config(**{**SPACE, **change})


def test_a_cell_s_mix_has_its_ratio_to_the_token() -> None:
    cell = Cell(ratio=0.3, learning_rate=1e-2, replay=0.5, stage_order=(1, 3, 2))
    mix = mix_settings(Config(**SPACE), cell, MIX)
    # 0.3 of 4096 is 1228.8; of 1229, three quarters and a quarter
    assert [mix["web"]["zh"]["tokens"], mix["supervised"]["zh_books"]["tokens"]] == [922, 307]
    assert mix["web"]["en"]["tokens"] == 4096 - 1229
    assert [mix["supervised"][name]["stage"] for name in ("math", "code")] == [3, 2]
    assert mix["stage_2_replay"] == mix["stage_3_replay_1"] == mix["stage_3_replay_2"] == 0.5
    assert MIX["web"]["zh"]["tokens"] == 300


def test_a_cell_s_training_has_its_rate_and_as_many_steps_as_all() -> None:
    steps = {"mix": MIX, "pack_1": {"sequence_length": 32}, "train_1": TRAIN}
    found = cell_settings(Config(**SPACE), Cell(ratio=0.3, learning_rate=1e-2), steps)["train_1"]
    assert found == {**TRAIN, "learning_rate": 1e-2, "final_learning_rate": 1e-3, "steps": 16}


@pytest.mark.parametrize(
    ("mix", "additional", "message"),
    [
        ({**MIX, "web": {"*": {}}}, ["web/*"], r"web/\* names none"),
        (MIX, ["web/fr"], "mix has no set web/fr in stage 1"),
        (MIX, ["web/zh", "web/en", "supervised/zh_books"], "every set of stage 1 is additional"),
    ],
)
def test_a_mix_that_has_no_ratio_is_refused(mix: dict[str, Any], additional: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mix_settings(Config(**{**SPACE, "additional": additional}), Cell(ratio=0.3, learning_rate=1), mix)


@pytest.mark.parametrize(
    ("change", "law", "message"),
    [
        ({"additional": ["web/fr"]}, "ratio_rate", "mix has no set web/fr in stage 1"),
        ({}, "critical_ratio", "a search is fitted with ratio or ratio_rate"),
        ({"design": "sobol", "points": 8}, "ratio", "search a grid, or the law ratio_rate"),
        ({"design": "sobol", "points": 8, "replays": [0, 1], "stages": 3}, "ratio_rate", "search a grid"),
    ],
)
def test_a_search_that_cannot_end_is_refused_before_it_starts(
    change: dict[str, Any], law: str, message: str
) -> None:
    sections = {
        "mix": parse_config(config_class("mix"), MIX, "mix"),
        "fit_scaling_law": parse_config(config_class("fit_scaling_law"), {"law": law}, "fit_scaling_law"),
    }
    for stage in (1, 2, 3):
        sections[f"pack_{stage}"] = parse_config(config_class("pack"), {"stage": stage}, "pack")
        sections[f"train_{stage}"] = parse_config(config_class("train"), {**TRAIN, "stage": stage}, "train")
    with pytest.raises(ConfigError, match=message):
        Config(**{**SPACE, "tokens": 10**8, **change}).check(sections)


def test_a_cell_whose_text_does_not_reach_is_refused() -> None:
    cell = Cell(ratio=0.3, learning_rate=1e-2)
    check_supply(cell, [{"set": "web/zh", "asked": 1000, "supplied": 995}])
    with pytest.raises(DataError, match=r"ratio 0\.3, rate 0\.01: web/zh has 500 of 1,000 tokens"):
        check_supply(cell, [{"set": "web/zh", "asked": 1000, "supplied": 500}])


def test_shares_add_up() -> None:
    assert divide(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    with pytest.raises(ConfigError, match="nothing is left for b"):
        divide(1, {"a": 1, "b": 1})


def measured(number: int, zh: list[float], en: list[float], stopped: bool = False) -> Measured:
    places = [100 * step for step in range(len(zh))]
    losses = {"zh": list(zip(places, zh, strict=True)), "en": list(zip(places, en, strict=True))}
    cell = Cell(ratio=0.1 * (number + 1), learning_rate=1e-3)
    return Measured(number, cell, "d" * 64, losses, {"step": 1} if stopped else None)


def test_pilots_have_every_ratio_and_the_middle_rate() -> None:
    config = Config(**SPACE, stop_after=0.5)
    assert [cells(config)[number].learning_rate for number in pilots(config)] == [1e-3, 1e-3]
    assert pilots(Config(**SPACE)) == []
    assert pilots(Config(**SPACE, stop_after=0.5, design="sobol", points=8)) == [0, 1, 2]


def test_a_cell_is_hopeless_where_it_is_worse_than_a_pilot_on_every_set() -> None:
    config = Config(**SPACE, stop_after=0.5, stop_margin=0.25)
    pilot = measured(0, [8.0, 6.0, 5.0, 4.5, 4.0], [3.0, 3.5, 3.25, 3.0, 3.0])
    bounds = [{"set": "en", "loss": 3.5}, {"set": "zh", "loss": 5.25}]
    assert stop_rules(config, [pilot]) == [{"at_tokens": 150, "bounds": bounds}]
    with pytest.raises(ConfigError, match="nothing is measured between there and the end"):
        stop_rules(Config(**SPACE, stop_after=0.9), [pilot])


def test_the_front_has_the_finished_cells_that_none_beats_on_every_set() -> None:
    found = [
        measured(0, [9, 4.0], [3, 3.0]),
        measured(1, [9, 3.5], [3, 3.2]),
        measured(2, [9, 4.1], [3, 3.0]),
        measured(3, [9, 1.0], [3, 1.0], stopped=True),
    ]
    assert pareto_front(found) == [0, 1]
    lines = write_csv(found).decode().splitlines()
    assert lines[0] == "cell,ratio,learning_rate,replay,stage_order,stopped,set,tokens,loss"
    assert lines[1] == "0,0.1,0.001,,,0,en,0,3" and lines[-1].split(",")[5] == "1"
