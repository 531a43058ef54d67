"""What MLflow says of a search's cells is taken as it is given, and checked."""

from __future__ import annotations

from typing import Any

import pytest

from steps.core.errors import DataError, UsageError
from steps.fit_scaling_law.measurements import apart, final_losses, read_measurements
from steps.fit_scaling_law.runs import _cells, cells_of_run


class Server:
    """An MLflow server that has these runs below every run."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.runs = list(runs)

    def children(self, experiment: str, parent: str) -> list[dict[str, Any]]:
        return self.runs

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        return [(0, 9.0), (100, float(run_id))]


def cell(number: str, loss: float, **point: str) -> dict[str, Any]:
    params = {"cell.number": number, "cell.ratio": "0.1", "cell.learning_rate": "0.001"}
    params |= {f"cell.{name}": value for name, value in point.items()}
    return {"id": str(loss), "params": params, "tags": {}, "metrics": ["search/zh", "eval/loss_zh"]}


def test_cells_that_differ_in_replay_are_told_apart() -> None:
    runs: Any = Server(
        cell("1", 3.5, replay="0.5"), cell("0", 4.0, replay="0"), {**cell("", 1.0), "params": {}}
    )
    found = read_measurements(_cells(runs, "1", "a", "path"), "mlflow", "ratio")
    losses = final_losses(apart(found, ("ratio",)), ("ratio",))
    assert {name: y.tolist() for name, (_, y) in losses.items()} == {
        "zh, replay 0": [4.0],
        "zh, replay 0.5": [3.5],
    }


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "has no cells of a search below it"),
        ([cell("9" * 5000, 1.0), cell("x", 1.0)], "has no cells of a search below it"),
        ([cell("1", 1.0), cell("1", 2.0)], "has two runs of cell 1: delete the one that does not count"),
    ],
)
def test_runs_that_are_no_search_are_refused(runs: list[dict[str, Any]], message: str) -> None:
    server: Any = Server(*runs)
    with pytest.raises(DataError, match=message):
        _cells(server, "1", "a", "path")


def test_a_hostile_point_is_named_by_its_line() -> None:
    server: Any = Server(cell("0", 4.0, ratio="0.1,9\n"))
    with pytest.raises(DataError, match=r"line 3: ratio '0\.1,9' is not a number"):
        read_measurements(_cells(server, "1", "a", "path"), "mlflow", "ratio")


def test_another_path_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="is not experiments/ID/runs/ID"):
        cells_of_run("experiments/1")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI is not set"):
        cells_of_run("experiments/1/runs/" + "0" * 32)
