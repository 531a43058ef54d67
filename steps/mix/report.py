"""What mix's page shows: the stages' data sets, what was short, benchmarks and what held their items."""

from __future__ import annotations

from typing import Any

from steps.core.counts import Counts
from steps.core.progress import human_bytes
from steps.core.step import StepContext
from steps.report.blocks import Bar, Bars, Block, Section, Table, Text
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a mix."""
    return stage_report(ctx, counts, [*stage_sections(ctx.facts), *benchmark_sections(ctx.facts)])


def stage_sections(facts: dict[str, Any]) -> list[Section]:
    """Each stage's data sets by bytes, what was asked for in vain, and what is held out."""
    blocks: list[Block] = []
    for stage in sorted({entry["stage"] for entry in facts["stages"]}):
        mine = [entry for entry in facts["stages"] if entry["stage"] == stage]
        bars = [
            Bar(
                entry["set"],
                {"other" if entry["set"].startswith("replay/") else "kept": entry["bytes"]},
                human_bytes(entry["bytes"]),
                f"{entry['documents']:,} documents{_quota(entry)}",
            )
            for entry in mine
        ]
        blocks.append(Bars(f"Stage {stage}", bars))
    note = "Green is the stage's own, grey replayed. What is asked for in tokens is planned with documents to spare."
    found = [Section("Stages", blocks, note=note)]
    if facts["shortfalls"]:
        rows = [
            [f"stage {s['stage']}", s["set"], s["unit"], s["asked"], s["supplied"]]
            for s in facts["shortfalls"]
        ]
        columns = ["stage", "data set", "unit", "asked", "supplied"]
        found.append(Section("Asked for in vain", [Table("", columns, rows, "Nothing was repeated for it.")]))
    held = [[name, h["documents"], h["bytes"]] for name, h in sorted(facts["heldout"].items())]
    found.append(
        Section(
            "Held out",
            [Table("", ["language or task", "documents", "bytes"], held)],
            note="Never trained on.",
        )
    )
    return found


def _quota(entry: dict[str, Any]) -> str:
    if "tokens" in entry:
        return f" planned for {entry['tokens']:,} tokens"
    if "multiple_of_own_tokens" in entry:
        return f" planned for {entry['multiple_of_own_tokens']:g} × the stage's own tokens"
    return ""


def benchmark_sections(facts: dict[str, Any]) -> list[Section]:
    """How many items each benchmark has, and how many documents of which source were left out for one of them."""
    title = "Benchmark items in the training data"
    if not facts["benchmarks"]:
        said = "The recipe has no source of kind benchmark, so that nothing was compared with test items."
        return [Section(title, [Text(said)])]
    rows = []
    for name, counted in sorted(facts["benchmarks"].items()):
        sources = facts["left_out"].get(name, {})
        said = ", ".join(f"{source}: {n:,}" for source, n in sorted(sources.items()))
        rows.append(
            [name, counted["items"], counted["too_short"], counted["found"], sum(sources.values()), said]
        )
    columns = [
        "benchmark",
        "items",
        "too short to look for",
        "found",
        "documents left out",
        "of which source",
    ]
    note = "The ledger names for each document the item that it holds, and how much of the item matched."
    return [Section(title, [Table("", columns, rows, note)])]
