"""The stages of each DAG and what flows between them: one table that Airflow, `tokenmill run` and `plan` share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from steps.core.config import step_of
from steps.core.errors import UsageError

Image = Literal["factory", "trainer"]


@dataclass(frozen=True)
class Stage:
    """One task of a DAG: a recipe section, the step it runs, and where its inputs come from.

    ``inputs`` maps an input name to an earlier section, or to ``run:<key>`` for what `plan` resolved
    (a reference, or a mapping of references that becomes ``name.<key>`` inputs). ``defaults`` are config
    values that follow from the stage's place and need not stand in the recipe. ``per_cell``: it is done once for every
    cell of a search, inside the tasks that train cells (steps/search_mixture), and is no task of its own.
    """

    section: str
    inputs: Mapping[str, str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    image: Image = "factory"
    pool: str = "cpu"
    per_cell: bool = False

    @property
    def step(self) -> str:
        return step_of(self.section)


def _language_model(language: str) -> Stage:
    return Stage(f"language_model_{language}", {"corpus": "preprocess"}, {"language": language})


def _pack(number: int) -> Stage:
    inputs = {"mix": "mix", "model": "initialize", "curriculum": "curriculum"}
    return Stage(f"pack_{number}", inputs, {"stage": number}, image="trainer")


def _train(number: int) -> Stage:
    inputs = {"tokens": f"pack_{number}", "model": "initialize"}
    if number > 1:
        inputs["previous"] = f"train_{number - 1}"
    return Stage(f"train_{number}", inputs, {"stage": number}, image="trainer", pool="gpu")


def _judged(corpus: str) -> tuple[Stage, ...]:
    """From a filtered corpus to a published one."""
    return (
        Stage("deduplicate", {"corpus": corpus, "index": "run:dedup_index", "own": "run:own_dedup_index"}),
        Stage("evaluate", {"corpus": "deduplicate", "language_models": "run:language_models"}),
        Stage("review", {"sample": "evaluate"}),
        Stage("gate", {"corpus": "deduplicate", "sample": "evaluate", "labels": "review"}),
        Stage(
            "publish",
            {"corpus": "deduplicate", "sample": "evaluate", "labels": "review", "verdict": "gate"},
        ),
    )


_MIX = Stage(
    "mix",
    {
        "corpora": "run:corpora",
        "supervised": "ingest",
        "benchmarks": "run:benchmarks",
        "classifiers": "run:classifiers",
    },
    image="trainer",
)
CELLS = "cells"  # the artifacts of all cells of a search, by number
_PER_CELL = tuple(replace(made(number), per_cell=True) for number in (1, 2, 3) for made in (_pack, _train))

PIPELINES: dict[str, tuple[Stage, ...]] = {
    "language_models": (
        Stage("ingest", {"source": "run:source"}),
        Stage("preprocess", {"corpus": "ingest"}),
        _language_model("zh"),
        _language_model("en"),
        Stage("classifier", {"corpus": "preprocess"}),  # trains where the recipe has a labelled source
    ),
    "data_factory": (
        Stage("ingest", {"source": "run:source"}),
        Stage("preprocess", {"corpus": "ingest"}),
        Stage("score", {"corpus": "preprocess", "language_models": "run:language_models"}),
        Stage("filter", {"corpus": "score", "classifiers": "run:classifiers"}),
        *_judged("filter"),
    ),
    "synthesize": (
        Stage("synthesize", {"corpora": "run:corpora", "source": "run:source"}, pool="endpoint"),
        Stage("preprocess", {"corpus": "synthesize"}),
        Stage("filter", {"corpus": "preprocess", "classifiers": "run:classifiers"}),
        *_judged("filter"),
    ),
    "continual_pretraining": (
        Stage("ingest", {"source": "run:source"}),
        _MIX,
        Stage("initialize", {"mix": "mix"}, image="trainer"),
        # reads with the model that training starts from, on a GPU where there is one; without a language, nothing
        Stage("curriculum", {"mix": "mix", "model": "initialize"}, image="trainer", pool="gpu"),
        *(_pack(number) for number in (1, 2, 3)),
        *(_train(number) for number in (1, 2, 3)),
        Stage("export", {"train": "train_3", "model": "initialize"}, image="trainer"),
        Stage("benchmark", {"model": "export", "benchmarks": "run:benchmarks"}, image="trainer", pool="gpu"),
    ),
    "mixture_search": (
        Stage("ingest", {"source": "run:source"}),
        _MIX,
        Stage("initialize", {"mix": "mix"}, image="trainer"),
        *_PER_CELL,
        Stage("search_mixture", {"cells": CELLS}),
        Stage("fit_scaling_law", {"measurements": "search_mixture"}),
        Stage("choose_mixture", {"search": "search_mixture", "fit": "fit_scaling_law"}),
    ),
}


def stages(dag: str) -> tuple[Stage, ...]:
    """The stages of a DAG in running order. Raises UsageError for an unknown DAG."""
    if dag not in PIPELINES:
        raise UsageError(f"there is no DAG {dag!r}; known: {', '.join(PIPELINES)}")
    return PIPELINES[dag]


def stage(dag: str, section: str) -> Stage:
    """One stage of a DAG by its section. Raises UsageError if it has none of that name."""
    for candidate in stages(dag):
        if candidate.section == section:
            return candidate
    raise UsageError(f"DAG {dag} has no stage {section!r}")


def resolve_inputs(wanted: Stage, run_inputs: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, str]:
    """The stage's input references, from run.json's inputs and what earlier sections ``made``.

    A section that is not in ``made`` is left out (its input may be optional; the step checks).
    """
    resolved: dict[str, str] = {}
    for name, origin in wanted.inputs.items():
        value = run_inputs.get(origin.removeprefix("run:")) if origin.startswith("run:") else made.get(origin)
        if isinstance(value, Mapping):
            resolved.update({f"{name}.{key}": ref for key, ref in value.items()})
        elif value:
            resolved[name] = value
    return resolved
