"""How long each factory step takes from its command to its end on one document: an upper bound of its start.

    python -m benchmarks.speed.start_up [--rounds 5]

Everything is in it: interpreter, imports, settings, kernels, models, the document, Parquet, the report, the commit.
The least wall time of the rounds, and the least CPU time, which other work on the machine distorts less. The bar is
1.5 s before the first document on a quiet core. No kernel may be compiled: their cache is the one that
`python -m images.warm` filled.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import Cost, run_process, step_command
from images.warm import RECIPES, SOURCES, TEXTS, run_recipe
from steps.core.manifest import Reference
from steps.core.pipeline import resolve_inputs, stages
from steps.plan.command import plan_run
from steps.text.jit import cache_folder

SECTIONS = ("ingest", "preprocess", "score", "filter", "deduplicate", "evaluate")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="start-") as scratch:
        folder = Path(scratch)
        run_recipe("language_models", TEXTS, folder)
        run_recipe("data_factory", TEXTS, folder)  # every kernel is compiled now
        kernels = set(cache_folder().iterdir())
        rows = [[section, *figures] for section, figures in start_times(folder, options.rounds).items()]
        compiled = len(set(cache_folder().iterdir()) - kernels)
    print(markdown(["step, on one document per language", "wall, s", "CPU, s", "peak memory, MB"], rows))
    print(f"\n{compiled} kernels compiled meanwhile; {os.getloadavg()[0]:.1f} processes were running")


def recipe(folder: Path) -> str:
    """A recipe of the factory on one Chinese and one English text."""
    inbox = folder / "inbox"
    inbox.mkdir()
    for name in ("zh", "en"):
        first = (TEXTS / f"{name}.jsonl").read_text(encoding="utf-8").partition("\n")[0]
        (inbox / f"{name}.jsonl").write_text(first + "\n", encoding="utf-8")
    text = RECIPES["data_factory"].replace("SOURCES", SOURCES.replace("KIND", "web"))
    return text.replace("{inbox}", str(inbox))


def start_times(folder: Path, rounds: int) -> dict[str, list[str]]:
    """Wall and CPU seconds and MB by section."""
    root = folder / "root"
    plan = plan_run(recipe(folder), f"file://{root}", "start", dump="start")
    made: dict[str, str] = {}
    figures = {}
    for stage in stages("data_factory"):
        if stage.section not in SECTIONS:
            break
        given = resolve_inputs(stage, {}, made)  # what the run brings along is in run.json
        costs: list[Cost] = []
        for _ in range(rounds):
            command = [
                *step_command(stage.step, root, given),
                "--section",
                stage.section,
                "--run",
                plan.reference,
            ]
            result = folder / "result.json"
            if stage.section in made:
                reference = Reference.parse(made[stage.section])
                shutil.rmtree(root / reference.step / reference.fingerprint)
            costs.append(run_process(command, {"STEP_MANIFEST": str(result), "TOKENMILL_WORKERS": "1"}))
            made[stage.section] = json.loads(result.read_text())["ref"]
        figures[stage.section] = [
            f"{min(cost.wall for cost in costs):.2f}",
            f"{min(cost.cpu for cost in costs):.2f}",
            f"{max(cost.memory for cost in costs) / 1e6:.0f}",
        ]
    return figures


if __name__ == "__main__":
    main()
