"""``tokenmill topics``: train the classifier that tells topics, and set the next round's shares of them."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import yaml

from steps.core.arguments import settings_of
from steps.core.artifact import Artifact
from steps.core.config import parse_config
from steps.core.digest import file_digest
from steps.core.errors import ConfigError, DataError, UsageError
from steps.core.inspection import find_artifact
from steps.core.recipe import find_recipe, load_recipe
from steps.core.source import SourceObject, SourceSettings
from steps.core.step import run_step
from steps.core.task import result_of
from steps.core.yaml_text import load_yaml
from steps.mix.config import Config
from steps.mix.ratios import next_shares

SEEDS = "seeds"
# a few hundred seeds need more passes than comments by the ten thousand (own measurement: benchmarks.quality.topics)
SETTINGS = {"epochs": 100, "min_count": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("train", "update"))
    parser.add_argument(
        "what", help="train: a JSONL or Parquet file of texts with their topic; update: this round's recipe"
    )
    parser.add_argument("trained", nargs="?", help="update: the round's training artifact")
    parser.add_argument(
        "--name", help="train: what recipes will call it: inputs: {classifiers: catalog:NAME}"
    )
    parser.add_argument("--text", default="text", help="train: field that holds the text (default: text)")
    parser.add_argument("--topic", default="topic", help="train: field that holds its topic (default: topic)")
    parser.add_argument("--config", type=Path, help="train: a YAML file with more settings of classifier")
    parser.add_argument("--out", type=Path, help="update: where the next round's recipe goes")
    parser.add_argument(
        "--alpha", type=float, default=0.5, help="update: size of a step, between 0 and 1 (own choice: 0.5)"
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any] | None:
    """Train, and hand the classifier back; or write the next round's recipe, and print what changed."""
    if arguments.action == "train":
        if not arguments.name:
            raise UsageError("topics train needs --name")
        return train(arguments, root)
    if not arguments.trained or not arguments.out:
        raise UsageError("topics update needs the round's training artifact, and --out")
    if not arguments.out.parent.is_dir():
        raise UsageError(f"--out {arguments.out}: there is no folder {arguments.out.parent}")
    if not 0 < arguments.alpha < 1:
        raise UsageError(f"--alpha {arguments.alpha:g} is not between 0 and 1")
    made = find_artifact(arguments.trained, root)
    if made.step != "train":
        raise UsageError(f"{arguments.trained} was made by {made.step}, not by train")
    recipe = find_recipe(arguments.what)
    load_recipe(recipe)
    text, changes = updated(recipe, made, arguments.alpha)
    arguments.out.write_text(text, encoding="utf-8")
    for source, topic, before, after in changes:
        print(f"{source:<20} {topic:<28} {before:.4f} -> {after:.4f}")
    return None


def train(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Fix the seeds by sha256, ingest them, and train on every topic in them as a class."""
    path = Path(arguments.what)
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    fields = {"prompt": arguments.text, "response": arguments.topic}
    settings = SourceSettings(name=SEEDS, kind="supervised", task="topic", fields=fields)
    item = SourceObject(source=SEEDS, key=path.name, bytes=path.stat().st_size, sha256=file_digest(path))
    listing = {"dump": arguments.name, "sources": [settings.model_dump()], "objects": [item.model_dump()]}
    locations = {SEEDS: f"file://{path.resolve().parent}"}
    source = run_step("plan", config=listing, inputs={}, root=root, locations=locations)
    corpus = run_step("ingest", config={}, inputs={"source": source.ref}, root=root, locations=locations)
    more = settings_of(arguments.config) if arguments.config else {}
    made = run_step(
        "classifier",
        config={"name": "topic", "label": None, **SETTINGS, **more},
        inputs={"corpus": corpus.ref},
        root=root,
        run={"recipe": {"name": arguments.name}},
    )
    for row in made.facts.get("held_out", []):
        figures = f"precision {row['precision']:.3f}, recall {row['recall']:.3f}"
        print(f"{row['label']:<28} {row['texts']:>7} held out, {figures}")
    return result_of(made, "classifier").model_dump()


def updated(recipe: str, made: Artifact, alpha: float) -> tuple[str, list[tuple[str, str, float, float]]]:
    """The recipe with new topic shares, and what changed: source, topic, share before and after.

    Raises ConfigError where the recipe has no topics, DataError where the training did not measure one of them or was
    made with other shares.
    """
    raw = load_yaml(recipe)
    own = (raw.get("steps") or {}).get("mix") or {}
    config = parse_config(Config, own, "mix")
    trained = made.input("tokens").input("mix").config["web"]
    sources = [name for name, found in config.web.items() if found.topics]
    if not sources:
        raise ConfigError("mix.web: the recipe has no topics to share anything out by")
    changes = []
    for source in sources:
        shares = config.web[source].topics
        if trained.get(source, {}).get("topics") != shares:
            raise DataError(
                f"{made.reference.uri} was not trained with the shares of mix.web.{source}.topics"
            )
        losses = {topic: _losses(made, f"{source}.{topic}") for topic, share in shares.items() if share}
        held = {topic: shares[topic] for topic in losses}
        after = dict.fromkeys(shares, 0.0) | next_shares(held, losses, alpha)
        own["web"][source]["topics"] = after
        changes += [(source, topic, shares[topic], after[topic]) for topic in shares]
    head = f"# Topic shares of mix.web by `tokenmill topics update --alpha {alpha:g}` from the losses in {made.ref}\n"
    return head + yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120), changes


def _losses(made: Artifact, name: str) -> tuple[float, float]:
    found = made.facts["heldout_loss"].get(name)
    if found is None or not all(math.isfinite(found[key]) for key in ("first", "last")):
        have = ", ".join(sorted(made.facts["heldout_loss"])) or "none"
        raise DataError(f"{made.reference.uri} measured no held-out loss of {name} (it has {have})")
    return found["first"], found["last"]
