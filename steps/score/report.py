"""The step's own figures: both rankings with their cut-offs per language, and the drift against the dump before."""

from __future__ import annotations

import json

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Block, Histogram, Mark, Panel, Section, Table, Text
from steps.report.distribution import Distribution
from steps.report.page import stage_report
from steps.score.distribution import DISTRIBUTION, Distributions
from steps.score.drift import Comparison, compare_with_previous

SOURCES_SHOWN = 8


def score_report(ctx: StepContext, counts: Counts) -> bytes:
    """The page with histograms per language, medians per source, and drift."""
    entry = next(e for part in ctx.parts for e in part.files if e.key == DISTRIBUTION)
    found = Distributions.from_json(json.loads(ctx.files().read_bytes(entry)))
    sections = [Section("Quality", [*histograms(ctx, found), medians(found)])]
    sections.append(drift_section(compare_with_previous(ctx)))
    return stage_report(ctx, counts, sections)


def histograms(ctx: StepContext, found: Distributions) -> list[Block]:
    """Perplexity and quality score, a panel per language, with the cut-offs that decided drawn in."""
    blocks: list[Block] = []
    for signal, title, worse in (
        ("perplexity", "Perplexity (lower is better)", "above"),
        ("quality_score", "Quality score (higher is better)", "below"),
    ):
        panels = []
        for language, cutoffs in sorted(ctx.facts["cutoffs"].items()):
            values = found.of_language(language, signal)
            if not values.count:
                continue
            marks = []
            if cutoffs["rank_by"] == signal:
                edge = "medium" if "medium" in ctx.config.keep else "high"
                for name in ("high", "medium"):
                    if cutoffs[name] is not None:
                        removes = worse if name == edge and "low" not in ctx.config.keep else ""
                        marks.append(Mark(cutoffs[name], name, removes))  # type: ignore[arg-type]
            if signal == "perplexity" and cutoffs["lowest"] is not None:
                marks.append(Mark(cutoffs["lowest"], "unnatural", "below"))
            panels.append(Panel(language, {"plain": values}, marks))
        if panels:
            log = signal == "perplexity"
            blocks.append(Histogram(title, panels, unit="documents", log=log))
    return blocks


def medians(found: Distributions) -> Table:
    """Medians per language and source, the largest first."""
    order = sorted(found.groups.items(), key=lambda item: (-item[1]["perplexity"].count, item[0]))
    rows = [
        [
            language,
            source,
            here["perplexity"].count,
            *(_median(here[n]) for n in ("perplexity", "quality_score")),
        ]
        for (language, source), here in order[:SOURCES_SHOWN]
    ]
    columns = ("language", "source", "documents", "median perplexity", "median quality score")
    return Table("Per source", columns, rows)


def _median(values: Distribution) -> float | None:
    middle = values.quantile(0.5)
    return None if middle is None else round(middle, 3)


def drift_section(comparison: Comparison) -> Section:
    """Perplexity against the dump that was published before."""
    title = "Drift against the dump before"
    if comparison.previous is None:
        return Section(title, [Text(comparison.note)])
    rows: list[list[str | int | float | None]] = [
        [d.language, d.source, d.psi, d.ks, d.before, d.now, d.documents_before, d.documents, d.verdict]
        for d in comparison.groups
    ]
    cutoffs = comparison.previous.facts["cutoffs"]
    columns = (
        "language",
        "source",
        "PSI",
        "KS",
        "median then",
        "median now",
        "documents then",
        "now",
        "reading",
    )
    note = (
        "PSI below 0.1: no change; above 0.25: changed. Only languages scored with the same model are compared. "
        f"Cut-offs then: {json.dumps(cutoffs, sort_keys=True)}"
    )
    return Section(title, [Table(f"Compared with {comparison.previous.folder}", columns, rows, note)])
