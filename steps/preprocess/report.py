"""What preprocess's page shows: languages and how sure they are, and what was changed in the texts."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.preprocess.kernels import COUNT_COLUMNS
from steps.report.blocks import Bar, Bars, Block, Histogram, Mark, Panel, Section
from steps.report.distribution import Distribution
from steps.report.look import SignalLook, Stage, look_at_signals
from steps.report.page import stage_report

SCORE = "language_score"


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a preprocess run."""
    look = look_at_signals(Stage.of(ctx), [SCORE, *COUNT_COLUMNS])
    languages: list[Block] = [*language_bars(ctx), *score_plots(ctx, look)]
    return stage_report(ctx, counts, [Section("Languages", languages), *change_sections(look)])


def language_bars(ctx: StepContext) -> list[Block]:
    """Documents per guessed language; orange ones are not kept in this recipe."""
    seen = sorted(ctx.facts["languages_seen"].items(), key=lambda item: (-item[1], item[0]))
    kept = ctx.config.languages
    bars = [Bar(name, {"kept" if name in kept else "removed": n}, f"{n:,} documents") for name, n in seen]
    return [Bars("Documents by language", bars, note="Green languages are kept by this recipe.")]


def score_plots(ctx: StepContext, look: SignalLook) -> list[Block]:
    """How sure the classifier was of the kept documents, with the bound."""
    mark = Mark(ctx.config.min_language_score, "at least", "below")
    panels = [Panel(name, tones, [mark]) for name, tones in look.panels(SCORE)]
    return [Histogram("Language score of kept documents", panels, note=look.note)] if panels else []


def change_sections(look: SignalLook) -> list[Section]:
    """In how many of the kept documents that were looked at each change was made."""
    bars = []
    for name in COUNT_COLUMNS:
        found = Distribution.sum(d for _, tones in look.panels(name) for d in tones.values())
        values, counts = found.values()
        documents = int(counts[values > 0].sum())
        if documents:
            largest = f"{values[-1]:,.0f} or more in one" if len(values) else ""
            bars.append(
                Bar(name, {"plain": documents}, f"{documents:,} of {found.count:,} documents", largest)
            )
    bars.sort(key=lambda bar: (-bar.segments["plain"], bar.label))
    return [Section("Changes in kept documents", [Bars("", bars)], note=look.note)] if bars else []
