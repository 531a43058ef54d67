"""Recipes say everything that is wrong with them at once."""

from __future__ import annotations

import pytest

from steps.core.errors import ConfigError, UsageError
from steps.core.pipeline import PIPELINES, resolve_inputs, stage
from steps.core.recipe import RECIPES, find_recipe, load_recipe

GOOD = """
name: good
dag: language_models
sources: [{name: wiki, uri: /tmp/wiki/, kind: reference}]
steps: {language_model_zh: {order: 4}}
"""


def test_a_recipe_fills_in_every_stage_of_its_dag() -> None:
    recipe, configs = load_recipe(GOOD)
    assert recipe.name == "good"
    assert list(configs) == [s.section for s in PIPELINES["language_models"]]
    assert (configs["language_model_zh"].order, configs["language_model_en"].order) == (4, 5)
    assert (configs["language_model_zh"].language, configs["language_model_en"].language) == ("zh", "en")


def test_overrides_win_over_the_recipe() -> None:
    _, configs = load_recipe(GOOD, ["language_model_zh.order=3", "preprocess.max_quarantine_share=0.5"])
    assert configs["language_model_zh"].order == 3
    assert configs["preprocess"].max_quarantine_share == 0.5


def test_every_error_of_a_bad_recipe_is_listed_at_once() -> None:
    bad = GOOD.replace("order: 4", "order: 40, colour: red").replace("kind: reference", "kind: novel")
    bad += "  filtre: {}\n" if bad.endswith("steps:\n") else ""
    with pytest.raises(ConfigError) as error:
        load_recipe(bad.replace("steps: {", "steps: {filtre: {}, "), ["nonsense", "preprocess.no_such=1"])
    text = str(error.value)
    for part in (
        "recipe.sources.0.kind",
        "language_model_zh.order",
        "language_model_zh.colour",
        "no stage 'filtre'",
        "'nonsense' is not section.field=value",
        "preprocess.no_such",
    ):
        assert part in text, f"{part} is missing in:\n{text}"


@pytest.mark.parametrize("text", ["[1, 2", "- a", "name: x"])
def test_what_is_not_a_recipe_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="recipe"):
        load_recipe(text)


def test_an_unknown_recipe_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match="acceptance_factory"):
        find_recipe("no_such_recipe")


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_committed_recipe_is_valid(name: str) -> None:
    recipe, configs = load_recipe(find_recipe(name))
    assert recipe.name == name
    assert set(configs) == {s.section for s in PIPELINES[recipe.dag]}


def test_inputs_of_a_stage_come_from_the_run_and_from_earlier_stages() -> None:
    run = {"language_models": {"en": "E", "zh": "Z"}}
    wanted = stage("data_factory", "score")
    assert resolve_inputs(wanted, run, {"preprocess": "P"}) == {
        "corpus": "P",
        "language_models.en": "E",
        "language_models.zh": "Z",
    }
    assert resolve_inputs(stage("data_factory", "deduplicate"), {"dedup_index": {}}, {"filter": "F"}) == {
        "corpus": "F"
    }


@pytest.mark.parametrize(
    "content", ["dag: []", "dag: {a: 1}", "sources: 3", "sources: 2026-01-01", "steps: 7"]
)
def test_a_recipe_with_values_of_another_kind_is_refused_by_field(content: str) -> None:
    with pytest.raises(ConfigError, match=rf"recipe\.{content.partition(':')[0]}"):
        load_recipe(f"name: x\n{content}\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: 2026-02-31", "day is out of range"),
        ("name: !!int x", "invalid literal"),
        ("name: !!timestamp x", "put it in quotes"),
        ("name: " + "[" * 3000, "nested too deeply"),
        ("name: x\ndag: [1, 2\n", "in line 3"),
        (GOOD + "name: again\n", "'name' is there twice in line 6"),
        (GOOD.replace("order: 4", "order: 4, order: 5"), "'order' is there twice in line 5"),
    ],
)
def test_yaml_that_cannot_be_read_is_refused_with_what_and_where(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_recipe(text)
    with pytest.raises(ConfigError, match=r"preprocess\.max_quarantine_share: .*out of range"):
        load_recipe(GOOD, ["preprocess.max_quarantine_share=2026-02-31"])


def test_merged_keys_may_be_written_over() -> None:
    merged = GOOD.replace(
        "steps: {language_model_zh: {order: 4}}",
        "steps:\n  language_model_zh: &zh {order: 4}\n  language_model_en: {<<: *zh, order: 3}\n",
    )
    _, configs = load_recipe(merged)
    assert (configs["language_model_zh"].order, configs["language_model_en"].order) == (4, 3)


def test_numbers_that_no_fingerprint_can_hold_are_refused_by_field_all_at_once() -> None:
    settings = [
        "mix.stage_2_replay=.inf",
        "train_1.stability.deviations=.inf",
        "train_2.steps=99999999999999999",
    ]
    with pytest.raises(ConfigError) as error:
        load_recipe(find_recipe("demo_training"), settings)
    assert [line.partition(": ")[0] for line in str(error.value).splitlines()] == [
        setting.partition("=")[0] for setting in settings
    ]


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        (
            "demo_training",
            ["pack_2.stage=1", "train_3.stage=2"],
            ["pack_2.stage: is 2 by", "train_3.stage: is 3 by"],
        ),
        (
            "demo_language_models",
            ["language_model_zh.language=en"],
            ["language_model_zh.language: is 'zh' by its place"],
        ),
        (
            "demo_factory",
            ["filter.extra_word_lists={ads: null}"],
            ["extra_word_lists: 'ads' has no list of files"],
        ),
        (
            "demo_factory",
            ["filter.extra_word_lists={ads: x}"],
            ["extra_word_lists: 'ads' has no list of files"],
        ),
        ("demo_factory", ["filter.extra_word_lists={1: []}"], ["extra_word_lists: 1 has no list of files"]),
        ("demo_factory", ["evaluate.look=2"], ["gate.look: 1, but evaluate.look is 2; set both alike"]),
        ("demo_factory", ["gate.policy={limit: 0.02}"], ["gate.policy: differs from evaluate.policy"]),
        (
            "demo_factory",
            ["evaluate.defects=[nonsense]"],
            ["evaluate: Value error, defects: nonsense unknown; there are"],
        ),
        (
            "demo_factory",
            ["evaluate.policy.confidence=0.995"],
            ["confidence 0.995 leaves no error for the sampling"],
        ),
    ],
)
def test_what_would_end_a_run_in_its_middle_is_refused_before_it(
    recipe: str, settings: list[str], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        load_recipe(find_recipe(recipe), settings)
    lines = str(error.value).splitlines()
    assert len(lines) == len(said) and all(part in line for part, line in zip(said, lines, strict=True))


def test_a_look_that_evaluate_and_gate_agree_on_is_taken() -> None:
    _, configs = load_recipe(find_recipe("demo_factory"), ["evaluate.look=2", "gate.look=2"])
    assert (configs["evaluate"].look, configs["gate"].look) == (2, 2)
    assert load_recipe(find_recipe("demo_training"), ["pack_2.stage=2"])[1]["pack_2"].stage == 2
