"""From a gated corpus and a training on it to Ziya2's law, by the commands that a user calls."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from tests.system.mill import Turned, turned

DAGS = ("language_models", "data_factory", "continual_pretraining")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    return turned(tmp_path_factory.mktemp("trained"), DAGS)


def test_a_gated_run_is_measured_and_the_law_is_fitted_to_it(trained: Turned, tmp_path: Path) -> None:
    table, refs = tmp_path / "losses.csv", trained.refs["continual_pretraining"]
    trained.mill.well("data-attributes", f"first={refs['train_1']}", "--out", str(table))
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    losses = trained.artifact("continual_pretraining", "train_1").facts["heldout_loss"]
    assert {(row["run"], row["set"]) for row in rows} == {("first", name) for name in losses}
    for row in rows:
        if row["tokens"] != "0":
            assert float(row["loss"]) == losses[row["set"]]["last"] and int(row["tokens"]) > 1000
        # automatic readers read what the demo's gate let pass
        assert 0.9 < float(row["coherence"]) <= 1 and 0.9 < float(row["readability"]) <= 1
    alike = {row["set"]: float(row["similarity"]) for row in rows}
    assert alike["en"] == max(alike.values()) and alike["zh"] > 0, "most of the demo's text is English"
    (tmp_path / "law.yaml").write_text("draws: 20")
    done = trained.mill.well(
        "scaling-law", str(table), "--law", "data_centric", "--config", str(tmp_path / "law.yaml")
    )
    assert "D = (A * CH + B * RA + C * SIM) * V + F" in done.output


def test_a_run_on_what_nobody_reviewed_is_refused(trained: Turned, tmp_path: Path) -> None:
    """Stage 2 has the demo's supervised sets, which came without a verdict."""
    ref = trained.refs["continual_pretraining"]["train_2"]
    refused = trained.mill.here("data-attributes", f"second={ref}", "--out", str(tmp_path / "losses.csv"))
    assert refused.code == 65 and "documents of supervised, which no one has reviewed" in refused.error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train/ab"], "not NAME=TRAIN"),
        (["a=train/ab", "a=train/cd"], "a name of its own"),
    ],
)
def test_a_wrong_call_is_named(arguments: list[str], said: str, trained: Turned, tmp_path: Path) -> None:
    refused = trained.mill.here("data-attributes", *arguments, "--out", str(tmp_path / "losses.csv"))
    assert refused.code == 64 and said in refused.error
    nowhere = trained.mill.here("data-attributes", "a=train/ab", "--out", str(tmp_path / "no" / "losses.csv"))
    assert nowhere.code == 64 and "there is no folder" in nowhere.error
