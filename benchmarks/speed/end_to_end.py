"""WET files to filtered documents: ingest, preprocess, score and filter as the tasks of a run, on one core.

    python -m benchmarks.speed.end_to_end [--copies 3] [--models zh=REF en=REF]

CPU seconds of whole processes (start, Parquet, ledger, hashing and report are in them) per MB of UTF-8 text that
ingest took from the WET files. Without --models, models are trained on the demo's texts, which is quick; real ones
are larger, and looking n-grams up in them costs more. The bar is 2.5 MB/s from end to end.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import yaml

from benchmarks.quality.chain import markdown, shared
from benchmarks.speed.corpora import run_process, step_command
from images.warm import TEXTS, run_recipe
from steps.core.artifact import Artifact
from steps.core.pipeline import resolve_inputs, stages
from steps.plan.command import plan_run

SECTIONS = ("ingest", "preprocess", "score", "filter")


def lay_out(folder: Path, copies: int) -> Path:
    """The shared WET files, so many times, as a dump."""
    inbox = folder / "wet"
    inbox.mkdir()
    for copy in range(copies):
        for path in sorted(shared("crawl_mix").glob("*.wet.gz")):
            shutil.copyfile(path, inbox / f"{copy}-{path.name}")
    return inbox


def recipe(inbox: Path, models: dict[str, str]) -> str:
    """The recipe of the run; wiping sources out is no error, copies of one page are many."""
    content = {
        "name": "end_to_end",
        "dag": "data_factory",
        "sources": [{"name": "crawl", "uri": f"{inbox}/*.wet.gz", "format": "wet", "kind": "web"}],
        "inputs": {"language_models": models or "catalog:warm_language_models"},
        "steps": {"filter": {"max_source_loss": 1.0}},
    }
    return yaml.safe_dump(content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--copies", type=int, default=3, help="times the shared WET files, 11 MB of text each"
    )
    parser.add_argument(
        "--models", nargs="+", default=[], metavar="LANGUAGE=REF", help="language models to score with"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="end-") as scratch:
        folder = Path(scratch)
        models = dict(item.split("=", 1) for item in options.models)
        if not models:
            run_recipe("language_models", TEXTS, folder)
        plan = plan_run(
            recipe(lay_out(folder, options.copies), models), f"file://{folder}/root", "speed", dump="speed"
        )
        made: dict[str, str] = {}
        costs = {}
        for stage in stages("data_factory")[: len(SECTIONS)]:
            given = resolve_inputs(stage, {}, made)
            command = [*step_command(stage.step, folder / "root", given), "--section", stage.section]
            result = folder / "result.json"
            environment = {"STEP_MANIFEST": str(result), "TOKENMILL_WORKERS": "1"}
            costs[stage.section] = run_process([*command, "--run", plan.reference], environment)
            made[stage.section] = json.loads(result.read_text())["ref"]
        size = Artifact.open(made["ingest"]).manifest.identity.counts.total.kept.bytes / 1e6
        kept = Artifact.open(made["filter"]).manifest.identity.counts.total.kept
    rows = [
        [section, f"{cost.cpu:.1f}", f"{size / cost.cpu:.1f}", f"{cost.memory / 1e6:.0f}"]
        for section, cost in costs.items()
    ]
    total = sum(cost.cpu for cost in costs.values())
    rows.append(["all four", f"{total:.1f}", f"{size / total:.2f}", "-"])
    print(f"{size:.1f} MB of text in WET, {kept.documents} documents are left\n")
    print(markdown(["stage, on one core", "CPU, s", "MB/s", "peak memory, MB"], rows))


if __name__ == "__main__":
    main()
