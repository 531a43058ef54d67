"""The page of a training stage: losses, rates, what held it back, and the steps that were passed over."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Block, Cell, Line, Lines, Mark, Number, Numbers, Point, Section, Table, Text
from steps.report.page import stage_report
from steps.train.gang import OUT, PROGRESS
from steps.train.monitor import STALL, STRAGGLER

POINTS = 300  # of a line at most; more steps are taken together
MEASUREMENTS = 10  # rows of the table of held-out losses, evenly spaced
STEPS = "optimizer steps"
SCALES = ((1e9, "billion "), (1e6, "million "), (1e3, "thousand "), (1.0, ""))  # of tokens on an axis
# of the ranks' reports: title, scale, level line
SPEEDS: dict[str, tuple[str, float, Mark | None]] = {
    "tokens_per_second": ("Tokens per second", 1.0, None),
    "tflops_per_rank": ("TFLOPS per rank", 1.0, None),
    "stall_share": ("Time waiting for data, %", 100.0, Mark(100 * STALL, "1 %")),
    "straggler": ("Slowest rank's work, of the middle one's", 1.0, Mark(STRAGGLER, "straggler")),
    "memory_gib": ("Memory of the fullest rank, GiB", 1.0, None),
}
SPEED_NOTE = (
    "Measured while it trained, and no part of the artifact's identity. Level lines are where the log warns."
)


def report(ctx: StepContext, counts: Counts) -> bytes:
    """``report.html`` of the stage."""
    markers = [part for part in ctx.parts if part.phase == "final"]
    if not markers:  # passed on
        said = "The recipe gives this stage no data; the model is the one of the stage before."
        return stage_report(ctx, counts, [Section("No data", [Text(said)])])
    record: dict[str, Any] = markers[0].result
    sections = [
        Section("Losses", [head(ctx.facts), *losses(record)]),
        Section("Held-out losses", heldout(record["heldout"]), note="Mean over the tokens of each set."),
        Section("Learning rate and gradient", rates(record)),
        Section("Speed", speed(ctx.scratch / OUT / PROGRESS, record["step"]), note=SPEED_NOTE),
    ]
    if record["events"]:
        sections.append(Section("Steps passed over", [passed_over(record["events"])]))
    return stage_report(ctx, counts, sections)


def head(facts: Mapping[str, Any]) -> Numbers:
    """The stage in figures."""
    steps = f"{facts['steps']:,} steps"
    if stopped := facts.get("stopped_early"):
        sets = ", ".join(bound["set"] for bound in stopped["bounds"])
        steps = f"stopped early after {steps}: {sets}"
    items = [Number("target tokens", f"{facts['tokens']:,}", steps)]
    items += [
        Number(
            f"held-out {name}", f"{loss['last']:.4f}", f"{loss['last'] - loss['first']:+.4f} in this stage"
        )
        for name, loss in sorted(facts["heldout_loss"].items())
    ]
    passed = len(facts["passed_over"])
    return Numbers([*items, Number("passed over", f"{passed:,}", "steps", "removed" if passed else "plain")])


def losses(record: Mapping[str, Any]) -> list[Block]:
    """The training loss with the steps that were passed over."""
    moments = [Mark(event["step"], "passed over at") for event in record["events"]]
    points = thin([(entry["step"], entry["loss"]) for entry in record["train"]])
    return [Lines("Training loss", [Line("mean", points)], moments=moments, unit=STEPS)]


def heldout(entries: Sequence[Mapping[str, Any]]) -> list[Block]:
    """A plot per set over the tokens trained on, and the losses at several token counts as a table."""
    sets = sorted({entry["set"] for entry in entries})
    if not sets:
        return [Text("Nothing is held out.")]
    found = {(entry["step"], entry["set"]): entry for entry in entries}
    scale, word = next(pair for pair in SCALES if entries[-1]["tokens"] >= pair[0] or pair[0] == 1.0)
    plots: list[Block] = []
    for name in sets:
        points = [
            Point(e["tokens"] / scale, e["loss"])
            for e in entries
            if e["set"] == name and math.isfinite(e["loss"])
        ]
        plots.append(
            Lines(f"Held-out {name}", [Line(name, points)], unit=f"{word}target tokens of this stage")
        )
    steps = sorted({entry["step"] for entry in entries})
    every = max(1, math.ceil((len(steps) - 1) / MEASUREMENTS))
    shown = sorted({*steps[::every], steps[-1]})
    rows: list[list[Cell]] = []
    for step in shown:
        tokens = next(entry["tokens"] for entry in entries if entry["step"] == step)
        rows.append([step, tokens, *(f"{found[step, name]['loss']:.4f}" for name in sets)])
    return [*plots, Table("At several token counts", ["step", "target tokens", *sets], rows)]


def rates(record: Mapping[str, Any]) -> list[Block]:
    """Learning rate and gradient norm; of steps taken together the largest norm."""
    rate = thin([(entry["step"], 1e6 * entry["learning_rate"]) for entry in record["train"]])
    norm = thin([(entry["step"], entry["gradient_norm"]) for entry in record["train"]], largest=True)
    return [
        Lines("Learning rate, in millionths", [Line("rate", rate)], unit=STEPS),
        Lines("Gradient norm, before it is cut", [Line("norm", norm)], unit=STEPS),
    ]


def speed(progress: Path, steps: int) -> list[Block]:
    """How fast the steps of this attempt were, from what the ranks reported."""
    lines = map(json.loads, progress.read_text().splitlines()) if progress.exists() else ()
    taken = [line for line in lines if line["kind"] == "train"]
    if not taken:
        return [Text("An earlier attempt trained to the end; what it measured is in its log and in MLflow.")]
    plots: list[Block] = [
        Lines(
            title,
            [
                Line(
                    "", thin([(line["step"], scale * line[name]) for line in taken], largest=mark is not None)
                )
            ],
            [mark] if mark else [],
            unit=STEPS,
        )
        for name, (title, scale, mark) in SPEEDS.items()
    ]
    first = taken[0]["step"]
    if first == 1:
        return plots
    said = f"Of steps {first:,} to {steps:,}; those before were an earlier attempt's, and are in MLflow."
    return [Text(said), *plots]


def passed_over(events: Sequence[Mapping[str, Any]]) -> Table:
    """Every step that did not reach the weights."""
    rows = [
        [e["step"], e["found"].replace("_", " "), e["loss"], e["gradient_norm"], what_followed(e)]
        for e in events
    ]
    return Table("", ["step", "found", "loss", "gradient norm", "what followed"], rows)


def what_followed(event: Mapping[str, Any]) -> str:
    back = f" to step {event['back_to']:,}" if "back_to" in event else ""
    return event["action"].replace("_", " ") + back


def thin(values: Sequence[tuple[float, float]], largest: bool = False) -> list[Point]:
    """At most `POINTS` points of (x, y): neighbours become their last x and their mean, or their largest, y."""
    values = [pair for pair in values if math.isfinite(pair[1])]
    size = max(1, math.ceil(len(values) / POINTS))
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    whole = max if largest else (lambda ys: sum(ys) / len(ys))
    return [Point(group[-1][0], whole([y for _, y in group])) for group in groups]
