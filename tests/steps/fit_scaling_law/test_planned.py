"""A search whose cells are too few for its law is refused by the plan, before any of them is trained."""

from __future__ import annotations

from typing import Any

import pytest

from steps.core.errors import ConfigError
from steps.core.recipe import find_recipe
from steps.fit_scaling_law.config import Config
from steps.fit_scaling_law.planned import check_cells
from steps.plan.command import checked_recipe
from steps.search_mixture.config import Config as Search

RATIOS = [0.1, 0.2, 0.3, 0.5, 0.8]
RATES = [1e-3, 2e-3, 4e-3]


def cells(**changes: Any) -> list[Any]:
    given = {"additional": ["web/zh"], "ratios": RATIOS, "learning_rates": RATES, "tokens": 4096}
    return Search.model_validate(given | changes).cells()


@pytest.mark.parametrize(
    ("fit", "space", "message"),
    [
        (
            {"law": "ratio"},
            {"ratios": RATIOS[:4]},
            r"law ratio: 5 cells are needed at one learning rate \(3 parameters.*the search has 4: add search_mix",
        ),
        (
            {"law": "ratio", "held_out": [0.2]},
            {},
            r"5 cells are needed at one learning rate .* has 4 without those of held_out",
        ),
        ({"law": "ratio_rate"}, {"learning_rates": RATES[:1]}, "8 cells are needed .* the search has 5"),
        (
            {"law": "ratio_rate"},
            {"learning_rates": RATES[:2]},
            "3 values of learning_rate are needed, and the search has 2: .*, or fit the law ratio",
        ),
        (
            {"law": "ratio_rate"},
            {"ratios": RATIOS[:2], "learning_rates": [1e-4, *RATES]},
            "3 values of ratio are needed, and the search has 2",
        ),
        (
            {"law": "ratio_rate"},
            {"design": "sobol", "points": 10, "stages": 3, "stage_orders": [(1, 2, 3), (1, 3, 2)]},
            "8 cells are needed at one stage order .* the search has 5",
        ),
        ({"law": "ratio", "held_out": [0.4]}, {}, "held_out: the search has no cell at 0.4"),
        (
            {"law": "ratio", "predict": [{"ratio": 0.2}, {"ratio": 0.9}]},
            {},
            r"predict\[1\]: ratio 0.9 is outside of the search's 0.1 to 0.8; with extrapolate: true",
        ),
    ],
)
def test_a_law_that_the_cells_cannot_hold_is_refused_with_what_is_needed(
    fit: dict[str, Any], space: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_cells(Config.model_validate(fit), cells(**space))


def test_the_fewest_cells_that_a_law_can_be_fitted_to_and_tested_on_are_taken() -> None:
    check_cells(Config(law="ratio", predict=[{"ratio": 0.4}]), cells(learning_rates=[1e-3, 1.0]))
    check_cells(Config(law="ratio_rate"), cells(ratios=RATIOS[:3]))
    check_cells(Config(law="ratio", extrapolate=True, predict=[{"ratio": 0.9}]), cells())


def test_a_plan_refuses_a_search_with_too_few_cells() -> None:
    checked_recipe(find_recipe("demo_search"), "mixture_search", [])
    with pytest.raises(ConfigError, match=r"fit_scaling_law\.law ratio: 5 cells are needed"):
        checked_recipe(
            find_recipe("demo_search"), "mixture_search", ["search_mixture.ratios=[0.2, 0.4, 0.5, 0.8]"]
        )
