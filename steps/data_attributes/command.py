"""``tokenmill data-attributes``: measure training runs and write the file that the data-centric law is fitted to."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from steps.core.arguments import pairs
from steps.core.errors import UsageError
from steps.core.inspection import find_artifact
from steps.core.step import run_step
from steps.core.task import result_of
from steps.data_attributes.embed import EMBEDDERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("runs", nargs="+", metavar="NAME=TRAIN", help="a name and a training artifact")
    parser.add_argument("--out", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--embedder", choices=tuple(EMBEDDERS), help="what similarity is measured with")
    parser.add_argument(
        "--set", action="append", default=[], dest="sets", help="a held-out set to take (default: all)"
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Measure the runs, and write their table."""
    runs = pairs(arguments.runs, "NAME=TRAIN")
    if not arguments.out.parent.is_dir():
        raise UsageError(f"--out {arguments.out}: there is no folder {arguments.out.parent}")
    config = {"sets": arguments.sets, **({"embedder": arguments.embedder} if arguments.embedder else {})}
    inputs = {f"runs.{name}": find_artifact(ref, root).ref for name, ref in runs.items()}
    made = run_step("data_attributes", config=config, inputs=inputs, root=root)
    arguments.out.write_bytes(made.artifact.read_bytes(made.artifact.file("measurements.csv")))
    return result_of(made, "data_attributes").model_dump()
