"""Budgets: a stage's tokens by shares of a total, and a source that several stages share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from steps.core.recipe import find_recipe, load_recipe
from steps.mix.choose import Rows, choose
from steps.mix.config import Config
from steps.mix.outline import token_table

# RUC-GSAI/Llama-3-SynE, src/cal_data_volumn.py: what it prints, in tokens
SYNE = {
    "web": 45_175_000_000,
    "encyclopedia": 4_925_000_000,
    "book": 15_737_500_000,
    "qa_forum": 4_925_000_000,
    "paper": 7_925_000_000,
    "math": 7_925_000_000,
    "code": 11_887_500_000,
    "synthetic": 1_500_000_000,
}


def test_the_papers_token_table_comes_out_of_its_recipe() -> None:
    config = load_recipe(find_recipe("llama3_syne"))[1]["mix"]
    assert isinstance(config, Config)
    table: dict[str, int] = {}
    for name, stages in token_table(config).items():
        kind = name.partition("/")[2].removeprefix("zh_").removeprefix("en_")
        table[kind] = table.get(kind, 0) + sum(stages.values())
    assert table == SYNE
    lines = [line.split() for line in config.outline().splitlines()]
    assert ["zh_web", "12,950,000,000", "525,000,000", "13,475,000,000"] in lines
    assert lines[-1] == ["sum", "92,500,000,000", "7,500,000,000", "100,000,000,000"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"budgets": {1: {"tokens": 9, "shares": {"a": 0.5, "b": 0.4}}}}, "add up to 0.9, not to 1"),
        (
            {"budgets": {1: {"tokens": 9, "shares": {"a": 1.5, "b": -0.5}}}},
            "share of a, b is not from 0 to 1",
        ),
        ({"budgets": {1: {"tokens": 9, "shares": {"a": float("nan")}}}}, "share of a is not from 0 to 1"),
        ({"budgets": {1: {"tokens": 9, "shares": {"g": {"share": 1.0, "of": {"a": 0.9}}}}}}, "add up to 0.9"),
        (
            {"budgets": {1: {"tokens": 9, "shares": {"a": 0.5, "g": {"share": 0.5, "of": {"a": 1.0}}}}}},
            "a is named twice",
        ),
        (
            {"budgets": {1: {"tokens": 9, "shares": {"a": 1.0}}}, "web": {"a": {"tokens": 5}}},
            "a has an amount of its own",
        ),
        (
            {
                "budgets": {1: {"tokens": 9, "shares": {"a": 1.0}}},
                "supervised": {"a": {"stage": 2, "ungated": "questions of our own"}},
            },
            "supervised.a belongs to stage 2",
        ),
        ({"budgets": {1: {"tokens": 9, "shares": {"a": 0.5, "*": 0.5}}}}, r"budgets\.1: \* is no data set"),
        ({"web": {"a": {"tokens": 5, "topics": {"law": 0.5}}}}, "add up to 0.5"),
        ({"web": {"a": {"topics": {"law": 1.0}}}}, "topics share documents, bytes, tokens or a budget"),
        ({"web": {"a": {"tokens": 5, "topics": {"../law": 1.0}}}}, "letters, digits"),
        ({"web": {"*": {"tokens": 5, "topics": {"law": 1.0}}}}, "give them to sources by name"),
    ],
)
def test_shares_that_make_no_sense_are_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Config.model_validate(config)


def rows(sets: list[str], documents: int, size: int = 100) -> Rows:
    rng = np.random.default_rng(0)
    n = documents * len(sets)
    return Rows(
        key=rng.permutation(n).astype(np.uint64),
        text_key=rng.permutation(n).astype(np.uint64),
        bytes=np.full(n, size),
        data_set=np.repeat(np.arange(len(sets), dtype=np.int32), documents),
        group=np.zeros(n, np.int32),
        sets=sets,
        groups=["zh"],
    )


def test_a_source_of_two_stages_gives_each_other_documents_in_the_ratio_of_their_tokens() -> None:
    budgets = {stage: {"tokens": tokens, "shares": {"a": 1.0}} for stage, tokens in ((1, 3000), (2, 1000))}
    config = Config.model_validate({"budgets": budgets, "stage_2_replay": 0, "heldout_documents": 1})
    choice = choose(rows(["web/a"], 101), config)
    one, two = (set(choice.plans[stage].rows.tolist()) for stage in (1, 2))
    assert (len(one), len(two)) == (75, 25) and not one & two
    assert [(q["stage"], q["tokens"]) for q in choice.quotas if "tokens" in q] == [(1, 3000), (2, 1000)]
    assert not len(choice.plans[3].rows)


def test_topics_have_their_share_of_a_budget_and_of_an_amount() -> None:
    topics = {"law": 0.25, "physics": 0.75}
    budget = {"tokens": 1000, "shares": {"zh": {"share": 0.4, "of": {"a": 1.0}}, "b": 0.6}}
    config = Config.model_validate({"budgets": {1: budget}, "web": {"a": {"topics": topics}}})
    assert config.set_names() == ["web/a/law", "web/a/physics", "web/b"]
    assert token_table(config) == {"web/a/law": {1: 100}, "web/a/physics": {1: 300}, "web/b": {1: 600}}
    own = Config.model_validate({"web": {"a": {"documents": 8, "topics": topics}}, "heldout_documents": 1})
    choice = choose(rows(["web/a/law", "web/a/physics"], 20), own)
    assert np.bincount(choice.plans[1].rows // 20).tolist() == [2, 6]


def test_without_a_word_about_web_a_budget_takes_nothing_else() -> None:
    config = Config.model_validate({"budgets": {1: {"tokens": 9, "shares": {"a": 1.0}}}})
    assert config.web_set("a") is not None and config.web_set("other") is None
    assert Config.model_validate(config.model_dump(mode="json")) == config
