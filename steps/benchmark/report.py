"""The page of the benchmark stage: scores over training, against the champion and other versions, and wrong answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from steps.benchmark.champion import items_key
from steps.benchmark.config import Config
from steps.core.artifact import Files
from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import (
    Block,
    Line,
    Lines,
    Mark,
    Number,
    Numbers,
    Point,
    Sample,
    SampleGroup,
    Samples,
    Section,
    Table,
    Text,
)
from steps.report.page import stage_report

WRONG_SHOWN = 4  # answers per benchmark


def report(ctx: StepContext, counts: Counts) -> bytes:
    """``report.html`` of the stage."""
    scores = ctx.facts["scores"]
    if not scores:
        return stage_report(ctx, counts, [Section("Scores", [Text("The recipe names no benchmark.")])])
    sections = [
        Section("Scores", [last_scores(scores), *over_training(scores, ctx.facts["champion"])]),
        Section("Champion", champion_blocks(ctx.facts["champion"])),
        Section("Every score", [score_table(scores)]),
        Section("Wrong answers", [wrong_answers(ctx, scores)], folded=True),
    ]
    return stage_report(ctx, counts, sections)


def last_scores(scores: Sequence[dict[str, Any]]) -> Numbers:
    """The last model's scores with their intervals."""
    last = [row for row in scores if row["model"] == scores[-1]["model"]]
    return Numbers(
        [Number(row["benchmark"], f"{row['score']:.2%}", _interval(row)) for row in last], scores[-1]["model"]
    )


def _interval(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['items']:,} items"
    return f"{row['low']:.1%} to {row['high']:.1%}, {row['items']:,} items"


def over_training(scores: Sequence[dict[str, Any]], champion: dict[str, Any]) -> list[Block]:
    """One plot per benchmark: score over target tokens, as in Ziya2's data-efficiency figures."""
    level: dict[str, float] = next((other["scores"] for other in champion["others"] if other["champion"]), {})
    plots: list[Block] = []
    for name in dict.fromkeys(row["benchmark"] for row in scores):
        points = [
            Point(r["tokens"], r["score"], r["low"], r["high"]) for r in scores if r["benchmark"] == name
        ]
        marks = [Mark(level[name], "champion")] if name in level else []
        plots.append(Lines(name, [Line("this run", points)], marks, "target tokens"))
    return plots


def champion_blocks(found: dict[str, Any]) -> list[Block]:
    """How this model stands to the champion, and the scores of other versions."""
    if found["silent"]:
        text = f"The model registry could not be asked ({found['silent']}), so nothing was compared and no alias moves."
    elif found.get("itself"):
        text = "This model is the champion."
    elif not found["champion"]:
        text = "There is no champion yet" + ("; this model becomes it." if found["promoted"] else ".")
    else:
        text = f"The champion is version {found['champion']}. " + (
            "This model takes its place." if found["promoted"] else "It stays."
        )
    blocks: list[Block] = [Text(text)]
    if found["rows"]:
        columns = ["benchmark", "difference", "from", "to", "shared items", "verdict"]
        rows = [
            [row["benchmark"], *(_percent(row.get(end)) for end in ("value", "low", "high")), row.get("items"),
             row["says"] + (f": {row['why']}" if "why" in row else "")]
            for row in found["rows"]
        ]  # fmt: skip
        note = (
            "Paired over the items that both answered; the interval is Agresti and Min's for matched pairs."
        )
        blocks.append(Table("Difference to the champion", columns, rows, note))
    if found["others"]:
        names = sorted({name for other in found["others"] for name in other["scores"]})
        rows = [
            [f"{other['version']}{' (champion)' if other['champion'] else ''}"]
            + [_percent(other["scores"].get(name)) for name in names]
            for other in found["others"]
        ]
        blocks.append(Table("Other versions in the registry", ["version", *names], rows))
    return blocks


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:+.2%}" if value < 0 else f"{value:.2%}"


def score_table(scores: Sequence[dict[str, Any]]) -> Table:
    """Every model on every benchmark, on all items and on those that no document held."""
    columns = [
        "model",
        "target tokens",
        "benchmark",
        "score",
        "from",
        "to",
        "items",
        "found",
        "without them",
        "from ",
        "to ",
    ]
    rows = [
        [r["model"], r["tokens"], r["benchmark"], *(_percent(r[end]) for end in ("score", "low", "high")), r["items"],
         r["found"], *(_percent(r["clean"][end]) for end in ("score", "low", "high"))]
        for r in scores
    ]  # fmt: skip
    note = (
        "Found: items that stand in documents meant for training, all of which mix left out. A score that is much "
        "lower without them says that copies were trained on which mix cannot recognise."
    )
    return Table("", columns, rows, note)


def wrong_answers(ctx: StepContext, scores: Sequence[dict[str, Any]]) -> Samples:
    """The last model's first items with the lowest score, per benchmark."""
    config: Config = ctx.config
    last = scores[-1]["model"]
    files = {entry.key: entry for marker in ctx.parts for entry in marker.files}
    groups = []
    for name, benchmark in config.benchmarks.items():
        table = Files(ctx.store, ctx.folder).read_table(files[items_key(last, name)])
        samples: list[Sample] = []
        for row in table.slice(0, 1000).to_pylist():
            value = json.loads(row["scores"]).get(benchmark.metric)
            if row["filter"] == benchmark.filter and value == 0 and len(samples) < WRONG_SHOWN:
                text = f"{row['prompt'][-600:]}\n→ {row['answers'][:400]}"
                samples.append(
                    Sample(text, f"{row['task']}, item {row['item']}; wanted: {row['target'][:200]}")
                )
        groups.append(SampleGroup(name, samples))
    return Samples("", groups)
