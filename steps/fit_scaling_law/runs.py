"""The measurements of a mixture search out of MLflow, where each of its cells has a run."""

from __future__ import annotations

import csv
import io
import re
import time
from typing import Any

from steps.core.errors import DataError, ServiceError, UsageError
from steps.core.mlflow_rest import Away, MlflowRest, Refused, tracking_uri

WAIT_SECONDS = 120.0
KNOBS = ("ratio", "learning_rate", "replay", "stage_order")
COLUMNS = ("cell", *KNOBS, "stopped", "set", "tokens", "loss")
SERIES = "search/"  # a validation set's loss over tokens (steps/search_mixture/command.py)


def cells_of_run(path: str) -> bytes:
    """The cells below a search's run as a CSV file. ``path``: experiments/<id>/runs/<id>, as MLflow's address has it.

    Raises UsageError without a server or for another path, ServiceError where it does not answer, DataError where the
    run has no cells.
    """
    found = re.fullmatch(r"experiments/(\d+)/runs/([0-9a-f]{32})", path)
    uri = tracking_uri()
    if not found:
        raise UsageError(
            f"{path!r} is not experiments/ID/runs/ID, as in the address of the search's run in MLflow"
        )
    if uri is None:
        raise UsageError("MLFLOW_TRACKING_URI is not set: there is no MLflow to read the runs from")
    try:
        return _cells(MlflowRest(uri, time.monotonic() + WAIT_SECONDS), found[1], found[2], path)
    except Away as error:
        raise ServiceError(str(error)) from None
    except Refused as error:
        raise DataError(str(error)) from None


def _cells(mlflow: MlflowRest, experiment: str, parent: str, path: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    cells: dict[int, dict[str, Any]] = {}
    for run in mlflow.children(experiment, parent):
        number = run["params"].get("cell.number", "")
        if re.fullmatch(r"[0-9]{1,6}", number):
            if int(number) in cells:
                raise DataError(f"{path} has two runs of cell {number}: delete the one that does not count")
            cells[int(number)] = run
    if not cells:
        raise DataError(f"{path} has no cells of a search below it; name the run of the whole search")
    for number, run in sorted(cells.items()):
        place = [number, *(run["params"].get(f"cell.{name}", "") for name in KNOBS)]
        place.append(run["tags"].get("cell.stopped", "0"))
        for metric in run["metrics"]:
            if metric.startswith(SERIES):
                name = metric.removeprefix(SERIES)
                rows.writerows(
                    [*place, name, step, repr(loss)] for step, loss in mlflow.history(run["id"], metric)
                )
    return text.getvalue().encode()
