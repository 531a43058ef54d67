"""What the page of synthesize shows: pairs by discipline, and what they cost."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Bar, Bars, Section, Table
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """report.html."""
    facts = ctx.facts
    bars = [
        Bar(name, {"kept": found["kept"], "removed": found["removed"], "quarantined": found["quarantined"]})
        for name, found in facts["disciplines"].items()
    ]
    note = (
        "Green are pairs, the others answers that were wrong, for no suitable passage, or no answer at all."
    )
    kept = counts.total.kept.documents
    rows = [
        ["requests drawn", facts["requests"]],
        ["answered", facts["answered"]],
        ["pairs kept", kept],
        ["prompt tokens", facts["prompt_tokens"]],
        ["answer tokens", facts["answer_tokens"]],
        ["tokens per pair", round((facts["prompt_tokens"] + facts["answer_tokens"]) / max(kept, 1))],
        ["cost", facts["cost"]],
        ["ended by", facts["stopped"] or "its last request"],
    ]
    sections = [
        Section("By discipline", [Bars("", bars)], note=note),
        Section("Asked and spent", [Table("", ["", ""], [list(row) for row in rows])]),
    ]
    return stage_report(ctx, counts, sections)
