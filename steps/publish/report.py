"""What publish's page shows: the verdict that the corpus rests on, and the documents."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Number, Numbers, Section
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a published corpus."""
    verdict = ctx.facts["verdict"]
    numbers = [
        Number(
            "upper bound of defects", f"{verdict['bound_rate']:.4%}", f"limit {verdict['limit']:.2%}", "kept"
        ),
        Number("found", f"{verdict['rate']:.4%}", "of the documents read"),
        Number("readers", ", ".join(verdict["readers"]) or "none", f"look {verdict['look']}"),
        Number("taken down", f"{ctx.facts['takedowns']:,}", "documents by the takedown list", "removed"),
    ]
    if "repeated_by_others" in ctx.facts:
        numbers.append(
            Number(
                "published by others meanwhile",
                f"{ctx.facts['repeated_by_others']:,}",
                "documents that repeat them, left out",
                "removed",
            )
        )
    return stage_report(ctx, counts, [Section("Verdict", [Numbers(numbers)])])
