"""A search from a recipe to its table, through the real steps on a toy model."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.errors import ConfigError, DataError, UsageError
from steps.core.task import run_section
from steps.plan.command import plan_run
from steps.search_mixture.cells import check_choice
from steps.search_mixture.command import run_cell, train_cells
from tests.steps.train.nursery import Nursery
from tests.steps.training import SCRATCH, sentence

UNGATED = "sentences of this test's own"
PLAIN = {"stage": 1, "tokens": 1000, "template": "text", "ungated": UNGATED}


@pytest.fixture
def too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ratios are too few for any law, and none is fitted here."""
    monkeypatch.setattr("steps.fit_scaling_law.planned.check_cells", lambda *_: None)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    nursery = Nursery()
    monkeypatch.setattr("steps.train.step.Gang", nursery.gang)
    yield
    nursery.close()


def search_recipe(folder: Path) -> str:
    """Two ratios × two learning rates; the higher rate is far too high."""
    rng = random.Random(5)
    sources = []
    for language in ("zh", "en"):
        rows = [{"prompt": f"{n}", "response": sentence(rng, language, 40)} for n in range(90)]
        (folder / f"{language}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        uri = f"{folder}/{language}.jsonl"
        sources.append({"name": f"set_{language}", "kind": "supervised", "uri": uri, "language": language})
    packs = {f"pack_{stage}": {"sequence_length": 32} for stage in (1, 2, 3)}
    train = {"micro_batch": 4, "batch_windows": 8, "precision": "float32", "evaluate_every": 2}
    rates = {"learning_rate": 3e-3, "final_learning_rate": 3e-4}
    steps = {
        "mix": {"web": {}, "supervised": {"set_zh": PLAIN, "set_en": PLAIN}, "heldout_documents": 4},
        "initialize": {"from_scratch": SCRATCH, "characters": 20, "vocabulary_multiple": 16},
        **packs,
        "train_1": {**train, **rates},
        "search_mixture": {
            "additional": ["supervised/set_zh"],
            "ratios": [0.2, 0.6],
            "learning_rates": [3e-3, 3.0],
            "tokens": 8 * 256,
            "stop_after": 0.5,
        },
        "fit_scaling_law": {"law": "ratio"},
        "choose_mixture": {"additional_sets": ["set_zh"]},
    }
    found = {"name": "toy", "dag": "mixture_search", "sources": sources, "inputs": {"corpora": {}}}
    return yaml.safe_dump({**found, "steps": steps})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("initialize", "initialize: not NAME=REFERENCE"),
        ("cells.x=a@b", "--input cells.x: a cell takes ingest, initialize and cells.N"),
        ("cells.0=a@b", "--input initialize=REFERENCE is missing"),
    ],
)
def test_what_is_no_input_of_a_cell_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, given: str, message: str
) -> None:
    words = ["search", "cell", "--number", "0", "--run", "runs/mixture_search/a/run.json@0", "--input", given]
    assert main([*words, "--root", f"file://{tmp_path}"]) == 64
    assert message in capsys.readouterr().err


def test_a_choice_by_a_set_that_is_not_held_out_is_refused_by_the_first_cell() -> None:
    steps: dict[str, Any] = {"choose_mixture": {"additional_sets": ["zh", "set_zh"], "original_sets": []}}
    with pytest.raises(ConfigError, match="held out as zh; mix holds out set_en, set_zh"):
        check_choice(steps, {"set_zh": {}, "set_en": {}})
    check_choice(steps, ["zh", "set_zh", "en"])
    steps["choose_mixture"]["original_sets"] = ["fr"]
    with pytest.raises(ConfigError, match="original_sets: nothing is held out as fr"):
        check_choice(steps, ["zh", "set_zh", "en"])


def test_a_search_trains_every_cell_once_and_ends_hopeless_ones(
    tmp_path: Path, forked: None, too_few: None
) -> None:
    root = f"file://{tmp_path}/root"
    plan = plan_run(search_recipe(tmp_path), root, "manual__1")
    assert [task["cell"] for task in plan.result()["pilots"]] == [0, 2]
    assert [task["label"] for task in plan.result()["cells"]][1] == "ratio 0.2, rate 3"
    made: dict[str, Any] = {}
    for section, inputs in (
        ("ingest", {}),
        ("mix", {"supervised": "ingest"}),
        ("initialize", {"mix": "mix"}),
    ):
        given = {name: made[origin] for name, origin in inputs.items()}
        made[section] = run_section(plan.run, section, given, root).ref
    results = dict(train_cells(plan.run, made, root))
    assert list(results) == ["000", "002", "001", "003"]
    trained = {number: Artifact.open(result.ref) for number, result in results.items()}
    for number, ratio in (("000", 0.2), ("002", 0.6)):
        mix = trained[number].input("tokens").input("mix")
        assert mix.config["supervised"]["set_zh"]["tokens"] == round(2048 * ratio)
        assert trained[number].facts["steps"] == 8 and "stopped_early" not in trained[number].facts
    assert len({artifact.input("model").digest for artifact in trained.values()}) == 1
    for number in ("001", "003"):  # at the first measurement after half of it, and nothing more
        assert trained[number].facts["stopped_early"]["step"] == trained[number].facts["steps"] == 4

    with pytest.raises(UsageError, match=r"cells 0 to 3, not 4"):
        run_cell(plan.run, 4, made, root, {})
    with pytest.raises(
        UsageError, match=r"cell 1 is measured by pilots, and cells\.0, cells\.2 are not given"
    ):
        run_cell(plan.run, 1, made, root, {})

    again = dict(train_cells(plan.run, made, root))
    assert {n: r.ref for n, r in again.items()} == {n: r.ref for n, r in results.items()}
    assert all(result.cached for result in again.values())

    inputs = {f"cells.{number}": result.ref for number, result in results.items()}
    with pytest.raises(DataError, match=r"not trained: 1 \(ratio 0\.2, rate 3\), .*clear them"):
        given = {name: ref for name, ref in inputs.items() if name != "cells.001"}
        run_section(plan.run, "search_mixture", given, root)
    found = Artifact.open(run_section(plan.run, "search_mixture", inputs, root).ref)
    assert found.facts["stopped"] == [1, 3] and found.facts["sets"] == ["set_en", "set_zh"]
    assert set(found.facts["pareto_front"]) <= {0, 2}
    cell = found.facts["cells"][2]
    assert cell["losses"] == {
        name: last["last"] for name, last in trained["002"].facts["heldout_loss"].items()
    }
    assert cell["rises"]["set_zh"] < 0 and cell["tokens"] == 2048
    page = next((tmp_path / "root" / "search_mixture").glob("*/data/*.html")).read_text()
    assert "ended early" in page and page.count('<svg class="plot"') == 5
