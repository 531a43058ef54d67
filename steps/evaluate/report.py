"""What evaluate's page shows: measures of the sample. No text of it, and nothing of what was seeded.

Readers must not know which documents are real and what others found; the gate's page shows texts after the verdict.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.core.verdict import SampleFacts
from steps.evaluate.drift import comparisons
from steps.evaluate.metrics import RATES
from steps.report.blocks import Bar, Bars, Block, Histogram, Number, Numbers, Panel, Section, Table, Text
from steps.report.distribution import Distribution
from steps.report.drift import reading
from steps.report.format import share
from steps.report.look import Stage
from steps.report.page import stage_report

LOGARITHMIC = ("characters", "perplexity", "sentence_length")
PLOTS = {
    "characters": "characters",
    "perplexity": "perplexity",
    "compression": "compressed bytes / bytes: low repeats itself, high is noise",
    "entropy": "bits per byte",
    "distinct": "different stretches of 12 bytes / all: low says little in many bytes",
    "sentence_length": "characters per sentence end",
    "hard": "words of 7 letters or more / words; zh: uncommon characters / Han characters",
    "digits": "digits / characters",
    "punctuation": "punctuation / characters",
}


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of an evaluation."""
    sample = SampleFacts.model_validate(ctx.facts["sample"])
    measured = ctx.facts["metrics"]
    limit = sample.policy.limit
    if sample.planned is None:
        share_found = f"{ctx.config.planned_sensitivity:.0%}"
        planned = f"all, and too few if readers find {share_found} of the seeded defects"
    else:
        planned = f"{sample.planned:,} planned"
    numbers = [
        Number("documents in the corpus", f"{sample.population:,}"),
        Number("to be read", f"{ctx.facts['sampled_documents']:,}", planned),
        Number("limit", f"{limit:.2%}", "defective documents"),
        Number("look", str(sample.look), f"at dump {sample.dump}"),
    ]
    sections = [Section("The sample", [Numbers(numbers), strata(sample)])]
    rates = [
        Bar(name.replace("_", " "), {"removed": measured[name]}, share(measured[name], 1.0))
        for name in ("any_defect_rate", *RATES)
    ]
    rates.append(Bar("limit of the gate", {"plain": limit}, share(limit, 1.0)))
    note = "Share of the read documents in which a detector found one."
    sections.append(Section("What the automatic readers found", [Bars("", rates, note=note)]))
    sections += measure_sections(Stage.of(ctx))
    sections.append(drift_section(ctx))
    for name in ("languages", "topics"):
        found = sorted(measured.get(name, {}).items(), key=lambda item: (-item[1], item[0]))
        if found:
            bars = [Bar(key, {"plain": value}, share(value, 1.0)) for key, value in found]
            sections.append(Section(name.title(), [Bars("", bars)]))
    return stage_report(ctx, counts, sections)


def drift_section(ctx: StepContext) -> Section:
    """The measures beside those of the last published corpus and of the reference texts."""
    columns = ["measure", "language", "PSI", "KS", "then", "now", "documents then", "now", "reading"]
    blocks: list[Block] = []
    for prefix, compared in comparisons(ctx).items():
        if not compared.rows:
            note = compared.note or f"Too few documents to compare with {compared.title}."
            blocks.append(
                Text(note, "Reference texts" if prefix.endswith("reference") else "Last published corpus")
            )
            continue
        rows = [[*row[:1], row.language or None, *row[2:], reading(row.psi)] for row in compared.rows]
        note = "Medians, or the most frequent value. PSI below 0.1: no change; above 0.25: changed."
        blocks.append(Table(f"Against {compared.title}", columns, rows, note))
    return Section("Drift", blocks)


def strata(sample: SampleFacts) -> Table:
    """Documents and how many are read, per stratum."""
    rows = [
        [name.replace("|", " · "), s.documents, s.sampled, s.extra or None]
        for name, s in sorted(sample.strata.items(), key=lambda item: (-item[1].documents, item[0]))
    ]
    return Table("Strata", ["source · language", "documents", "read", "extra, for their stratum only"], rows)


def measure_sections(stage: Stage) -> list[Section]:
    """A plot per measure of the read documents, by language."""
    entries = stage.of_kind("metrics")
    if not entries:
        return []
    table = stage.files.read_table(entries[0])
    languages = pc.fill_null(table["language"], "und") if "language" in table.column_names else None
    plots: list[Block] = []
    for name, unit in PLOTS.items():
        if name not in table.column_names:
            continue
        panels = [
            Panel(language, {"plain": Distribution.of(values.to_numpy(zero_copy_only=False))})
            for language, values in _by_language(table[name], languages)
        ]
        plots.append(Histogram(name.replace("_", " "), panels, unit=unit, log=name in LOGARITHMIC))
    return [Section("Measures", plots, note="Of the read documents. Heights are square roots of counts.")]


def _by_language(
    column: pa.ChunkedArray, languages: pa.ChunkedArray | None
) -> list[tuple[str, pa.ChunkedArray]]:
    numbers = pc.cast(column, pa.float64())
    if languages is None:
        return [("", numbers)]
    order = sorted(
        pc.value_counts(languages).to_pylist(), key=lambda item: (-item["counts"], item["values"])
    )[:4]
    return [(item["values"], numbers.filter(pc.equal(languages, item["values"]))) for item in order]
