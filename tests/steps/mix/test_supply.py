"""What data sets cannot supply is said before the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steps.core.config import Supply
from steps.core.recipe import find_recipe, load_recipe
from steps.core.store import open_store
from steps.mix.config import Config
from steps.plan.supply import shortfalls
from tests.steps.training import make_texts


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ({"documents": 11}, "asks for 11 documents, there are 10"),
        ({"bytes": 7_201}, "asks for 7,201 bytes, there are 7,200"),
        ({"tokens": 2_001}, "asks for 2,001 tokens, 7,200 bytes may have no more than 2,000"),
        ({"documents": 10}, ""),
        ({"tokens": 2_000}, ""),
        ({"epochs": 9}, ""),
    ],
)
def test_more_than_there_is_is_said(amount: dict[str, Any], said: str) -> None:
    found = Config(web={"pages": amount}).shortfalls({"corpora": {"pages": Supply(10, 7_200)}})
    assert found == ([f"web.pages: {said}; nothing is repeated for it"] if said else [])


def test_what_is_not_made_yet_is_not_judged() -> None:
    config = Config(supervised={"sets/qa": {"stage": 2, "documents": 9, "ungated": "questions of our own"}})
    assert config.shortfalls({}) == []
    assert "there are 3" in config.shortfalls({"supervised": {"sets": Supply(3, 100)}})[0]
    assert "no documents of this source" in config.shortfalls({"supervised": {"other": Supply(3, 100)}})[0]


def test_a_plan_reads_the_counts_of_the_published_corpora(tmp_path: Path) -> None:
    configs = load_recipe(find_recipe("demo_training"))[1]
    configs["mix"] = Config(web={"pages": {"documents": 1000}, "news": {}})
    inputs = {"corpora": {"web": make_texts(tmp_path).ref}}
    found = shortfalls("continual_pretraining", configs, inputs, {}, open_store(f"file://{tmp_path}"))
    assert found == [
        "mix.web.pages: asks for 1,000 documents, there are 60; nothing is repeated for it",
        "mix.web.news: the inputs have no documents of this source; nothing is repeated for it",
    ]
