"""The command `tokenmill`: what every container runs, and what a person asks afterwards.

``step`` and ``plan`` are what Airflow calls; ``run`` executes a whole recipe without Airflow; ``show``,
``explain``, ``diff`` and ``trace`` answer questions about artifacts, ``rules`` about filter rules.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steps.core import inspection
from steps.core.arguments import pairs, settings_of
from steps.core.config import step_of
from steps.core.errors import StepError, UsageError
from steps.core.lean import lean
from steps.core.pipeline import CELLS, resolve_inputs, stages
from steps.core.runs import read_run
from steps.core.step import Terminated, run_step
from steps.core.store import open_store
from steps.core.task import result_of, run_section

# commands that belong to one step; imported only when asked for
STEP_COMMANDS = {
    "plan": ("steps.plan.command", "fix a run: validate the recipe, list the inputs, write run.json"),
    "gate": ("steps.gate.command", "plan a review, or explain a verdict"),
    "keys": ("steps.gate.keys", "make the keys that labels and verdicts are signed with, or list them"),
    "labels": ("steps.review.command", "a sample as Label Studio tasks, and its answers as labels"),
    "rules": (
        "steps.filter.command",
        "list filter rules, try other bounds on stored signals, or show them on a page",
    ),
    "dedup": ("steps.deduplicate.command", "say what a document is a duplicate of, and how near it comes"),
    "takedown": ("steps.publish.takedown", "take documents out of what is published, and keep them out"),
    "language-model": ("steps.language_model.command", "take over a published scorer, such as cc_net's"),
    "data-attributes": (
        "steps.data_attributes.command",
        "coherence, readability and similarity of what models were trained on, beside their losses",
    ),
    "topics": ("steps.mix.command", "train a topic classifier; set the next round's shares of topics"),
    "corpus": ("steps.publish.command", "import a corpus cleaned elsewhere, or export a published one"),
    "search": ("steps.search_mixture.command", "train one cell of a mixture search"),
    "scaling-law": (
        "steps.fit_scaling_law.command",
        "fit a law of mixtures or data quality to measured losses",
    ),
}

# what a person would type; shown below the help of each command
EXAMPLES = {
    "step": "tokenmill step filter --config filter.yaml --input corpus=file:///data/preprocess/3f2a…@9c01…",
    "run": "tokenmill run demo_factory --root file:///data --set filter.max_source_loss=0.5",
    "show": "tokenmill show filter/3f2a",
    "explain": "tokenmill explain filter/3f2a filter/77be",
    "diff": "tokenmill diff filter/3f2a filter/77be",
    "trace": "tokenmill trace 0f3c9a… publish/51de",
    "plan": "tokenmill plan --recipe demo_factory --dump cc-2026-11 --dry-run",
    "gate": "tokenmill gate plan --documents 1000000 --limit 0.001",
    "keys": "tokenmill keys new .env",
    "labels": "tokenmill labels import evaluate/9b04 export.json",
    "rules": "tokenmill rules try filter/3f2a --set d33_top_4_gram_v1.max=0.3",
    "dedup": "tokenmill dedup explain 0f3c9a… --artifact deduplicate/32de",
    "takedown": "tokenmill takedown domain:example.org --reason complaint --dry-run",
    "language-model": "tokenmill language-model import s3://models/lm_sp --language zh --name cc_net",
    "data-attributes": "tokenmill data-attributes web=train/3f2a books=train/77be --out losses.csv",
    "topics": "tokenmill topics train seeds.jsonl.gz --name topics_zh",
    "corpus": "tokenmill corpus export publish/51de@… out/",
    "search": "tokenmill search cell --number 3 --run runs/mixture_search/…/run.json@… --input initialize=…",
    "scaling-law": "tokenmill scaling-law losses.csv --law critical_ratio --config study.yaml",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (CONTRACT §7). Errors are one line each on stderr."""
    lean()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("botocore", "boto3", "urllib3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        parsed = _parser(arguments).parse_args(arguments)
        parsed.function(parsed)
        return 0
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except Terminated as stopped:
        print("stopped; finished parts are kept and a retry takes them", file=sys.stderr)
        return int(str(stopped.code))
    except SystemExit as leaving:  # argparse: 2 is its usage error
        return UsageError.exit_code if leaving.code == 2 else int(leaving.code or 0)
    except BrokenPipeError:
        return 0


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenmill",
        description=(__doc__ or "").replace("``", "").replace("`", ""),
        epilog="tokenmill COMMAND --help says more, with an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    step = _command(commands, "step", "run one step", _step)
    step.add_argument("name", help="the step")
    step.add_argument("--section", help="the recipe section (default: the step's name)")
    step.add_argument("--run", help="runs/<dag>/<run id>/run.json@<sha256>, written by `tokenmill plan`")
    step.add_argument(
        "--config", type=Path, help="a YAML file with the step's settings, where there is no --run"
    )
    step.add_argument("--input", action="append", default=[], metavar="NAME=REF", dest="inputs")
    run = _command(commands, "run", "execute a whole recipe without Airflow", _run)
    run.add_argument("recipe", help="a name in configs/recipes, a path or a URI")
    run.add_argument("--dump")
    run.add_argument("--run-id", default=None)
    run.add_argument("--set", action="append", default=[], metavar="SECTION.FIELD=VALUE", dest="overrides")
    run.add_argument("--input", action="append", default=[], metavar="NAME=REF", dest="inputs")
    for name, (function, arguments, text) in inspection.COMMANDS.items():
        command = _command(commands, name, text, lambda a, f=function: f(a, _root(a)))
        for argument in arguments:
            command.add_argument(argument)
    for name, (module, text) in STEP_COMMANDS.items():
        command = _command(commands, name, text, _step_command)
        if argv[:1] == [name]:
            loaded = importlib.import_module(module)
            loaded.add_arguments(command)
            command.set_defaults(module=loaded)
    return parser


def _command(commands: Any, name: str, text: str, function: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example: {EXAMPLES[name]}"
    )
    command.add_argument(
        "--root", help="artifact root, s3://bucket/prefix or file:///dir (default: $TOKENMILL_ROOT)"
    )
    command.set_defaults(function=function)
    return command


def _root(arguments: argparse.Namespace) -> str:
    root = arguments.root or os.environ.get("TOKENMILL_ROOT")
    if not root:
        raise UsageError("no artifact root: give --root or set TOKENMILL_ROOT")
    return str(root).rstrip("/")


def _step_command(arguments: argparse.Namespace) -> None:
    rootless = getattr(arguments, "action", None) in getattr(arguments.module, "ROOTLESS", ())
    result = arguments.module.execute(arguments, "" if rootless else _root(arguments))
    if result is not None:
        _hand_back(result)


def _step(arguments: argparse.Namespace) -> None:
    root, section = _root(arguments), arguments.section or arguments.name
    if step_of(section) != arguments.name:
        raise UsageError(f"section {section} belongs to the step {step_of(section)}, not {arguments.name}")
    given = pairs(arguments.inputs)
    if arguments.run:
        run = read_run(open_store(root), arguments.run)
        _hand_back(run_section(run, section, given, root).model_dump())
        return
    values = settings_of(arguments.config) if arguments.config else {}
    outcome = run_step(arguments.name, config=values, inputs=given, root=root)
    _hand_back(result_of(outcome, section).model_dump())


def _hand_back(result: dict[str, Any]) -> None:
    text = json.dumps(result, ensure_ascii=False)
    if path := os.environ.get("STEP_MANIFEST"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
    state = "cached" if result.get("cached") else "done"
    print(f"{result['section']}: {state}: {result['ref']}", file=sys.stderr)


def _run(arguments: argparse.Namespace) -> None:
    planner = importlib.import_module("steps.plan.command")
    root = _root(arguments)
    text = planner.find_recipe(arguments.recipe)
    run_id = arguments.run_id or f"local-{os.getpid()}"
    plan = planner.plan_run(
        text, root, run_id, dump=arguments.dump, overrides=arguments.overrides, given=pairs(arguments.inputs)
    )
    made: dict[str, Any] = {}
    for place in stages(plan.run["dag"]):
        if place.per_cell:
            continue
        if CELLS in place.inputs.values():
            search = importlib.import_module(STEP_COMMANDS["search"][0])
            made[CELLS] = {number: result.ref for number, result in search.train_cells(plan.run, made, root)}
        result = run_section(plan.run, place.section, resolve_inputs(place, {}, made), root)
        made[place.section] = result.ref
        _hand_back(result.model_dump())


if __name__ == "__main__":
    sys.exit(main())
