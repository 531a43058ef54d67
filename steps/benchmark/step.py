"""The benchmark step: every model on every benchmark, one part each; then the champion."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from steps.benchmark.champion import ALIAS, SCORES, compare, items_key
from steps.benchmark.config import Config
from steps.benchmark.contamination import found_in_training
from steps.benchmark.harness import HarnessChild
from steps.benchmark.models import Model, lay_out, models_of
from steps.benchmark.needs import forecast
from steps.benchmark.report import report
from steps.benchmark.scores import clean_score, score
from steps.core.artifact import Files
from steps.core.digest import canonical_json
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.core.source import SourceListing, fetch_object
from steps.core.step import Input, Step, StepContext

ITEMS = pa.schema(
    [
        ("task", pa.string()),
        ("item", pa.int64()),
        ("item_sha256", pa.string()),
        ("filter", pa.string()),
        ("prompt", pa.large_string()),
        ("target", pa.large_string()),
        ("found", pa.bool_()),
        ("responses", pa.large_string()),
        ("answers", pa.large_string()),
        ("outcomes", pa.large_string()),
        ("scores", pa.string()),
    ]
)
AS_JSON = ("responses", "answers", "outcomes", "scores")


def run(ctx: StepContext) -> None:
    """Measure the base and every stage, one part per model and benchmark, and compare the last one with the champion.

    A recipe without benchmarks gives an artifact without scores: the pipeline has this stage either way.
    """
    config: Config = ctx.config
    export = ctx.inputs["model"]
    ctx.set("scores", [])
    if not config.benchmarks:
        ctx.log.info("benchmark: the recipe names none")
        return
    scores: list[dict[str, Any]] = []
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    models = models_of(export, config.models)
    desk = Desk(ctx)
    try:
        for model in models:
            for name in config.benchmarks:
                part = ctx.part(f"{model.name}-{name}", partial(measure, desk, model, name))
                scores.append({"model": model.name, "tokens": model.tokens, "benchmark": name, **part.result})
                entries[model.name, name] = next(e.model_dump() for e in part.files if e.kind == "items")
                ctx.log.info("benchmark: %s, %s %.4f", model.name, name, part.result["score"])
    finally:
        desk.close()
    for row in scores:
        ctx.metric(f"eval/{row['benchmark']}", row["score"], row["tokens"])
        if row["found"] and row["clean"]["score"] is not None:
            ctx.metric(f"eval/{row['benchmark']}_clean", row["clean"]["score"], row["tokens"])
    ctx.set("scores", scores)
    last = models[-1].name
    items = {name: entries[last, name] for name in config.benchmarks}
    found = ctx.part(
        "champion", partial(meet_champion, export.config["name"], export.digest, ctx.folder), items
    ).result
    ctx.set("champion", found)
    ctx.set(
        "registry", registry(export.config["name"], found, [row for row in scores if row["model"] == last])
    )


def registry(name: str, found: dict[str, Any], last: list[dict[str, Any]]) -> dict[str, Any]:
    """What lineage tells the model registry: scores as a tag, and the alias where it is won."""
    tags = {SCORES: json.dumps({row["benchmark"]: row["score"] for row in last})}
    moved = {"alias": ALIAS, "replaces": found["champion"]} if found["promoted"] else {}
    return {"name": name, "of": "model", "tags": tags, **moved}


class Desk:
    """What measuring needs, made when the first part is not there yet: data sets, a model's folder, the harness."""

    def __init__(self, ctx: StepContext) -> None:
        self._ctx, self._scratch = ctx, ctx.scratch / "desk"
        self._laid_out = ""
        self._child: HarnessChild | None = None

    def ask(self, model: Model, name: str) -> dict[str, Any]:
        """What the harness found. Raises DataError with its reason."""
        if self._child is None:
            data = self._scratch / "data"
            fetch_benchmarks(self._ctx, data)
            self._child = HarnessChild(self._ctx.config, data, self._scratch)
        folder = self._scratch / "models" / model.name
        if self._laid_out != model.name:
            lay_out(model, folder)
            self._laid_out = model.name
        return self._child.ask(name, self._ctx.config.benchmarks[name], folder)

    def close(self) -> None:
        """End the harness."""
        if self._child is not None:
            self._child.close()


def fetch_benchmarks(ctx: StepContext, folder: Path) -> None:
    """Lay the benchmark sources out below ``folder``, every object under its key and checked against the plan.

    Raises ConfigError for a key that would leave the folder.
    """
    folder.mkdir(parents=True)
    fetched = folder.with_name("fetched")
    fetched.mkdir()
    if "benchmarks" not in ctx.inputs:
        return
    for item in SourceListing.of(ctx.inputs["benchmarks"]).objects:
        parts = PurePosixPath(item.key).parts
        if not parts or ".." in parts or item.key.startswith("/"):
            raise ConfigError(
                f"sources.{item.source}: {item.key!r} is no path inside a folder; rename the object"
            )
        target = folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise ConfigError(
                f"sources.{item.source}: another benchmark source has {item.key!r} too; rename one"
            )
        fetch_object(item, ctx.locations, fetched).rename(target)


def measure(desk: Desk, model: Model, name: str, task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Score one model on one benchmark; every item's answers and the harness' own results are kept."""
    config: Config = part.config
    benchmark = config.benchmarks[name]
    found = desk.ask(model, name)
    items = found["items"]
    held = found_in_training(part.inputs["model"], [item.pop("record") for item in items])
    items = [item | {"found": seen} for item, seen in zip(items, held, strict=True)]
    got = score(name, benchmark, found, config.confidence)
    clean = clean_score(benchmark, got, items, config.confidence)
    del found["items"]
    rows = [
        item | {column: json.dumps(item[column], ensure_ascii=False) for column in AS_JSON} for item in items
    ]
    part.put_table(items_key(model.name, name), pa.Table.from_pylist(rows, schema=ITEMS), "items")
    part.put_bytes(f"results/{model.name}/{name}.json", canonical_json(found), "results")
    return {
        "score": got.value,
        "low": got.low,
        "high": got.high,
        "items": got.items,
        "found": clean.found,
        "clean": {"score": clean.value, "low": clean.low, "high": clean.high},
    }


def meet_champion(
    name: str, digest: str, folder: str, task: dict[str, Any], part: PartWriter
) -> dict[str, Any]:
    """Compare the items of the last model, whose files ``task`` names by benchmark, with the champion's."""
    files = Files(part.store, folder)
    items = {}
    for benchmark, entry in task.items():
        table = files.read_table(FileEntry.model_validate(entry))
        items[benchmark] = [row | {"scores": json.loads(row["scores"])} for row in table.to_pylist()]
    return compare(part.config, part.store, name, digest, items)


STEP = Step(
    name="benchmark",
    version=4,  # 4: equal programs with different tests have an outcome each
    config=Config,
    run=run,
    inputs=(Input("model"), Input("benchmarks", optional=True)),
    libraries=("lm-eval", "transformers", "torch"),
    determinism="recorded",  # programs have a time limit, and the champion is who it is at the time
    report=report,
    forecast=forecast,
)
