"""``tokenmill scaling-law``: fit a law to measured losses: of a CSV file, or of a mixture search's runs in MLflow."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steps.core.arguments import settings_of
from steps.core.digest import bytes_digest, file_digest
from steps.core.errors import UsageError
from steps.core.source import SourceObject, SourceSettings
from steps.core.step import run_step
from steps.core.store import open_store
from steps.core.task import result_of
from steps.fit_scaling_law.config import INPUTS
from steps.fit_scaling_law.runs import cells_of_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "measurements", type=Path, nargs="?", help="CSV file; docs/mixture_studies.md names its columns"
    )
    given.add_argument(
        "--mlflow",
        metavar="RUN",
        help="experiments/ID/runs/ID of a search at MLFLOW_TRACKING_URI, instead of a file",
    )
    parser.add_argument("--law", required=True, choices=tuple(INPUTS))
    parser.add_argument("--config", type=Path, help="a YAML file with more settings of fit_scaling_law")


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Fix the measurements by sha256, fit, print the law, and say where the artifact and its report lie."""
    settings = settings_of(arguments.config) if arguments.config else {}
    if arguments.mlflow:
        data = cells_of_run(arguments.mlflow)
        digest = bytes_digest(data)
        open_store(root).create(f"studies/{digest}.csv", data)
        item = SourceObject(source="measurements", key=f"{digest}.csv", bytes=len(data), sha256=digest)
        locations = {"measurements": f"{root}/studies"}
    else:
        path: Path = arguments.measurements
        if not path.is_file():
            raise UsageError(f"{path}: no such file")
        size, digest = path.stat().st_size, file_digest(path)
        item = SourceObject(source="measurements", key=path.name, bytes=size, sha256=digest)
        locations = {"measurements": f"file://{path.resolve().parent}"}
    source = run_step(
        "plan",
        config={
            "dump": "study",
            "sources": [SourceSettings(name="measurements", kind="reference").model_dump()],
            "objects": [item.model_dump()],
        },
        inputs={},
        root=root,
        locations=locations,
    )
    made = run_step(
        "fit_scaling_law",
        config={**settings, "law": arguments.law},
        inputs={"measurements": source.ref},
        root=root,
        locations=locations,
    )
    print(summary(made.facts))
    return result_of(made, "fit_scaling_law").model_dump()


def summary(facts: Mapping[str, Any]) -> str:
    """A line per parameter and prediction, with its 95 % interval."""
    lines = []
    for name, fit in facts["fits"].items():
        lines.append(f"{name}: {fit['formula']}")
        lines += [
            f"  {key} = {value['value']:.6g} ({value['low']:.6g} to {value['high']:.6g})"
            for key, value in fit["parameters"].items()
        ]
        lines += [f"  note: {note}" for note in fit.get("notes", ())]
        for row in fit["predictions"]:
            at = ", ".join(f"{key} {value:g}" for key, value in row["at"].items())
            outside = ", outside of what was measured" if row["extrapolated"] else ""
            lines.append(f"  at {at}: {row['value']:.6g} ({row['low']:.6g} to {row['high']:.6g}){outside}")
    lines += [f"{name}: not fitted ({why})" for name, why in facts.get("not_fitted", {}).items()]
    return "\n".join(lines)
