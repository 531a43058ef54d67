"""What ingest's page shows beside the funnel: encodings, and how they were found."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Bar, Bars, Section
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of an ingest."""
    found = sorted(ctx.facts.get("encodings", {}).items(), key=lambda item: (-item[1], item[0]))
    bars = [Bar(name, {"plain": documents}, f"{documents:,} records") for name, documents in found]
    note = "Encoding of decoded pages, and what it was taken from."
    return stage_report(ctx, counts, [Section("Encodings", [Bars("", bars, note=note)])] if bars else [])
