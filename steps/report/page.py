"""``report.html`` of a stage: funnel per source and language, reasons, the step's own figures, lengths, samples."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from steps.core.counts import Counts, Group, Tally
from steps.core.progress import human_bytes
from steps.core.step import StepContext
from steps.report.blocks import (
    BARS_SHOWN,
    Block,
    Cell,
    Funnel,
    FunnelRow,
    Histogram,
    Measure,
    Number,
    Numbers,
    Panel,
    SampleGroup,
    Samples,
    Section,
    Table,
    Tone,
)
from steps.report.distribution import Distribution
from steps.report.format import share
from steps.report.look import KeptLook, RemovedLook, Stage, by_size, look_at_kept, look_at_removed
from steps.report.render import Page, render

LANGUAGES_SHOWN = 4  # of a source, the largest; the others are added up in one row
SOURCES_SHOWN = 40
REMOVED = "Removed"  # title of the section with removed samples
OUTCOMES: tuple[Tone, ...] = ("kept", "removed", "quarantined")
_FACT_CHARACTERS = 600


def stage_report(ctx: StepContext, counts: Counts, sections: Sequence[Section] = ()) -> bytes:
    """The page of a finished stage; ``sections`` are the step's own (`steps.report` says how to make them).

    One with the title of a common section (`REMOVED`) takes its place.

    It costs the same for every size of dump: the step's workers read at most `look.SHARDS_LOOKED_AT` shards and
    ledgers, one at a time each, and the page says so where there are more. Crawled text in it is escaped, and its
    policy forbids scripts.
    """
    stage = Stage.of(ctx)
    kept, removed = look_at_kept(stage), look_at_removed(stage)
    titles = {section.title for section in sections}
    common = [*length_sections(kept, removed), *sample_sections(kept, removed)]
    every = [
        *(
            [Section("What became of the documents", overview(counts))]
            if counts.total.input.documents
            else []
        ),
        *reason_sections(counts),
        *sections,
        *(section for section in common if section.title not in titles),
        Section("Facts and settings", record_tables(ctx), folded=True),
    ]
    version = f"version {ctx.step.version}"
    inputs = ", ".join(f"{name} {artifact.digest[:12]}" for name, artifact in sorted(ctx.inputs.items()))
    return render(
        Page(
            title=ctx.step.name.replace("_", " "),
            lead=purpose(ctx),
            facts=" · ".join(part for part in (version, f"inputs: {inputs}" if inputs else "") if part),
            sections=every,
            footer=f"{ctx.folder}, written by tokenmill; tokenmill show, diff and trace answer more.",
        )
    )


def purpose(ctx: StepContext) -> str:
    """What the step does: the first sentence of its module."""
    module = sys.modules.get(ctx.step.run.__module__)
    first = ((module.__doc__ if module else None) or "").strip().split("\n")[0]
    text = first.partition(": ")[2] if first.startswith(f"{ctx.step.name}: ") else first
    return text[:1].upper() + text[1:]


def overview(counts: Counts) -> list[Block]:
    """Four figures, the whole as two bars, and the same per source and language."""
    total = counts.total
    items = [Number("came in", *_tally(total.input, None), tone="plain")]
    items += [Number(tone, *_tally(getattr(total, tone), total.input), tone=tone) for tone in OUTCOMES]
    if total.written.bytes != total.kept.bytes:
        grown = total.written.bytes - total.kept.bytes
        detail = f"{'+' if grown > 0 else '−'}{share(abs(grown), total.kept.bytes)} of the kept bytes"
        items.append(Number("text written", human_bytes(total.written.bytes), detail))
    rows = [funnel_row("all documents", total, "whole"), *group_rows(counts.groups)]
    note = "Green is kept, orange removed, red quarantined (set aside because it could not be handled)."
    return [Numbers(items), Funnel("Per source and language", rows, note)]


def _tally(tally: Tally, whole: Tally | None) -> tuple[str, str]:
    size = human_bytes(tally.bytes)
    if whole is None:
        return f"{tally.documents:,}", f"documents, {size}"
    return (
        f"{tally.documents:,}",
        f"{share(tally.documents, whole.documents)} · {size}, {share(tally.bytes, whole.bytes)}",
    )


def funnel_row(name: str, group: Group, level: str = "") -> FunnelRow:
    """One group as two bars of kept, removed and quarantined."""

    def measure(unit: str, said: str) -> Measure:
        whole = getattr(group.input, unit)
        segments = {tone: float(getattr(getattr(group, tone), unit)) for tone in OUTCOMES}
        return Measure(segments, whole, share(segments["kept"], whole), said)

    return FunnelRow(
        name,
        measure("documents", f"of {group.input.documents:,}"),
        measure("bytes", f"of {human_bytes(group.input.bytes)}"),
        level,
    )


def group_rows(groups: Mapping[str, Group]) -> list[FunnelRow]:
    """Sources, largest first, with their languages; small ones added up so that the page stays short."""
    sources: dict[str, dict[str, Group]] = {}
    for name, group in groups.items():
        source, _, language = name.rpartition("|")
        sources.setdefault(source, {})[language] = group
    totals = {source: _sum(languages.values()) for source, languages in sources.items()}
    order = sorted(totals, key=lambda source: (-totals[source].input.documents, source))
    rows = []
    for source in order[:SOURCES_SHOWN]:
        languages = sources[source]
        if len(languages) == 1:
            rows.append(funnel_row(f"{source} · {next(iter(languages)) or 'und'}", totals[source]))
            continue
        rows.append(funnel_row(source, totals[source]))
        names = sorted(languages, key=lambda name: (-languages[name].input.documents, name))
        rows += [funnel_row(name or "und", languages[name], "child") for name in names[:LANGUAGES_SHOWN]]
        if rest := names[LANGUAGES_SHOWN:]:
            label = rest[0] if len(rest) == 1 else f"{len(rest)} more: {', '.join(rest)}"
            rows.append(funnel_row(label, _sum(languages[name] for name in rest), "child"))
    if rest := order[SOURCES_SHOWN:]:
        rows.append(funnel_row(f"{len(rest)} more sources", _sum(totals[source] for source in rest)))
    return rows


def _sum(groups: Any) -> Group:
    total = Group()
    for group in groups:
        for column in Group.model_fields:
            getattr(total, column).merge(getattr(group, column))
    return total


def reason_sections(counts: Counts) -> list[Section]:
    """Why documents were removed or quarantined, in documents and bytes; nothing where none was."""
    reasons: list[tuple[str, Tally, Tone]] = [(k, t, "removed") for k, t in counts.removed_by.items()]
    reasons += [(k, t, "quarantined") for k, t in counts.quarantined_by.items()]
    reasons.sort(key=lambda item: (-item[1].documents, item[0]))
    if not reasons:
        return []
    most = {unit: max(getattr(tally, unit) for _, tally, _ in reasons) for unit in ("documents", "bytes")}
    whole = counts.total.input
    rows = [
        FunnelRow(
            name,
            Measure(
                {tone: t.documents},
                most["documents"],
                f"{t.documents:,}",
                share(t.documents, whole.documents),
            ),
            Measure({tone: t.bytes}, most["bytes"], human_bytes(t.bytes), share(t.bytes, whole.bytes)),
        )
        for name, t, tone in reasons
    ]
    note = "A document counts under the first reason that holds. Red reasons are quarantine."
    return [Section("Reasons", [Funnel("", rows, note, BARS_SHOWN)])]


def length_sections(kept: KeptLook, removed: RemovedLook) -> list[Section]:
    """Document lengths of what was kept and removed, per language."""
    found: dict[str, dict[Tone, Distribution]] = {}
    for language, lengths in kept.lengths.items():
        found.setdefault(language, {})["kept"] = lengths
    for language, lengths in removed.lengths.items():
        found.setdefault(language, {})["removed"] = lengths
    panels = [Panel(name, tones) for name, tones in by_size(found)]
    if not panels:
        return []
    note = "Kept documents as written (green) and removed ones as they came in (orange). " + looked_at(
        kept, removed
    )
    plot = Histogram("", panels, unit="UTF-8 bytes of a document", log=True)
    return [Section("Document lengths", [plot], note=f"{note} Heights are square roots of counts.")]


def looked_at(kept: KeptLook, removed: RemovedLook) -> str:
    """A sentence that says how much of a large corpus the page looked at; empty where it was all."""
    parts = []
    if kept.shards < kept.of_shards:
        parts.append(f"{kept.shards} of {kept.of_shards} shards")
    if removed.ledgers < removed.of_ledgers:
        parts.append(f"{removed.ledgers} of {removed.of_ledgers} ledgers")
    return f"From {' and '.join(parts)}, evenly spaced." if parts else ""


def sample_sections(kept: KeptLook, removed: RemovedLook) -> list[Section]:
    """Removed, cut, quarantined and kept texts, drawn evenly by a fixed rule."""
    found: list[tuple[str, Sequence[SampleGroup], str]] = [
        (REMOVED, removed.removed, "Up to three documents per reason, drawn by a fixed rule, not chosen."),
        ("Cut from documents that stay", removed.edited, "The highlighted piece is gone, the rest stays."),
        ("Quarantined", removed.quarantined, "What a kernel could not handle, with the reason."),
        (
            "Kept",
            [SampleGroup("", kept.samples, "kept")] if kept.samples else [],
            "As written, drawn by a fixed rule.",
        ),
    ]
    return [Section(title, [Samples("", groups)], note=note) for title, groups, note in found if groups]


def record_tables(ctx: StepContext) -> list[Block]:
    """Facts of the artifact, and the settings that are not the default."""
    blocks: list[Block] = []
    if ctx.facts:
        blocks.append(Table("Facts", ["fact", "value"], list(flat(ctx.facts))))
    fields = type(ctx.config).model_fields
    defaults = {n: f.get_default(call_default_factory=True) for n, f in fields.items() if not f.is_required()}
    set_here = {
        name: value
        for name, value in ctx.config.model_dump(mode="json").items()
        if name not in defaults or getattr(ctx.config, name) != defaults[name]
    }
    rows = [[name, _short(value)] for name, value in sorted(set_here.items())]
    blocks.append(Table("Settings other than the default", ["setting", "value"], rows or [["none", ""]]))
    inputs = [[name, artifact.local_ref] for name, artifact in sorted(ctx.inputs.items())]
    if inputs:
        blocks.append(Table("Inputs", ["input", "reference"], inputs))
    return blocks


def flat(values: Mapping[str, Any], path: str = "") -> list[list[Cell]]:
    """Nested facts as rows of (path, value); long lists are cut."""
    rows: list[list[Cell]] = []
    for key, value in sorted(values.items()):
        where = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            rows += flat(value, where)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            rows.append([where, f"{value:,}" if isinstance(value, int) else f"{value:.6g}"])
        else:
            rows.append([where, value if isinstance(value, str) else _short(value)])
    return rows


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _FACT_CHARACTERS else f"{text[:_FACT_CHARACTERS]}…"
