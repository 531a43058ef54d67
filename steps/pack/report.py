"""The step's own figures: how full the windows are, per task and held-out set, and what lies in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.pack.blocks import HELD_OUT_SETS, TRAIN
from steps.report.blocks import Block, Cell, Histogram, Number, Numbers, Panel, Section, Table
from steps.report.distribution import Distribution
from steps.report.page import stage_report

PLAIN = "plain text"
FIGURES = {  # of the parts' results: title of the plot, unit, whether the axis is logarithmic
    "fill": ("How full windows are", "share of a window that holds documents", False),
    "together": ("Documents in a window", "documents, or pieces of them", True),
    "lengths": ("Length of documents", "tokens, with <eos>", True),
}
Summary = dict[str, dict[str, Any]]  # by task: documents, windows, tokens, and the distributions of `FIGURES`


def summed(results: Iterable[Mapping[str, Any]]) -> Summary:
    """The figures of several blocks as one, with their distributions read."""
    total: Summary = {}
    for result in results:
        for task, found in result.items():
            here = total.setdefault(task, {name: Distribution() for name in FIGURES})
            for name in FIGURES:
                here[name].merge(Distribution.from_json(found[name]))
            for name in ("documents", "windows", "tokens"):
                here[name] = here.get(name, 0) + found[name]
    return dict(sorted(total.items()))


def totals(summary: Summary, size: int) -> dict[str, Any]:
    """Documents, windows, tokens and fill over all tasks."""
    found: dict[str, Any] = {
        name: sum(task[name] for task in summary.values()) for name in ("documents", "windows", "tokens")
    }
    return found | {"fill": round(found["tokens"] / max(1, found["windows"] * size), 6)}


def pack_report(ctx: StepContext, counts: Counts) -> bytes:
    """The page: fill per task, distributions, and the held-out sets."""
    size = ctx.config.sequence_length
    laid: dict[str, list[Any]] = {}
    for part in ctx.parts:
        if part.phase == "layout":
            laid.setdefault(part.result["set"], []).append(part.result["tasks"])
    train = summed(laid.pop(TRAIN, []))
    whole = totals(train, size)
    head = Numbers(
        [
            Number("windows", f"{whole['windows']:,}", f"of {size:,} tokens"),
            Number("tokens", f"{whole['tokens']:,}", f"in {whole['documents']:,} documents"),
            Number("fill", f"{whole['fill']:.2%}", "of all places hold a document's token", "kept"),
        ]
    )
    blocks: list[Block] = [head, table("Per task", train, size), *(plots(train) if train else [])]
    sections = [Section("Windows", blocks)]
    held = {
        name.removeprefix(HELD_OUT_SETS): totals(summed(results), size)
        for name, results in sorted(laid.items())
    }
    if held:
        rows: list[list[Cell]] = [[name, *found.values()] for name, found in held.items()]
        note = "Documents that no stage is trained on; the trainer measures its held-out loss on them."
        columns = ("set", "documents", "windows", "tokens", "fill")
        sections.append(Section("Held out", [Table("", columns, rows, note)]))
    return stage_report(ctx, counts, sections)


def table(title: str, summary: Summary, size: int) -> Table:
    """One row per task."""
    rows: list[list[Cell]] = []
    for task, found in summary.items():
        total = totals({task: found}, size)
        rows.append([task or PLAIN, *total.values()])
    return Table(title, ("task", "documents", "windows", "tokens", "fill"), rows)


def plots(summary: Summary) -> list[Block]:
    """One histogram per figure, a panel per task."""
    return [
        Histogram(
            title,
            [
                Panel(task or PLAIN, {"plain": found[name]})
                for task, found in summary.items()
                if found["windows"]
            ],
            unit=unit,
            log=log,
        )
        for name, (title, unit, log) in FIGURES.items()
    ]
