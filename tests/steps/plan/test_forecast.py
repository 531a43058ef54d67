"""The forecast knows what is cached and has a rate for every stage that reads data."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from steps.core.cli import main
from steps.core.pipeline import PIPELINES
from steps.plan.forecast import RATES
from tests.steps.plan.test_plan import recipe

MODEL_BOUND = {"initialize", "train", "export"}


def test_every_stage_whose_cost_follows_the_data_has_a_measured_rate() -> None:
    rates = yaml.safe_load(RATES.read_text())
    assert {s.step for stages in PIPELINES.values() for s in stages} - MODEL_BOUND == set(rates)
    assert all(rate["seconds_per_mb"] > 0 and rate["memory_mb"] > 0 for rate in rates.values())


def test_a_dry_run_prints_every_stage_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "a page"}\n')
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(f"{tmp_path}/own.jsonl"))
    root = tmp_path / "root"
    assert main(["plan", "--root", f"file://{root}", "--recipe", str(path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line.split()[0] for line in lines[2:-1]] == [s.section for s in PIPELINES["data_factory"]]
    assert all("to do" in line for line in lines[2:-1])
    assert not root.exists() or not any(root.rglob("*.json"))
