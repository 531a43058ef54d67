"""The page of a verdict: the bound against the limit, strata, and the documents that readers called defective."""

from __future__ import annotations

from collections.abc import Sequence

from steps.core.verdict import Verdict
from steps.gate.explain import DefectClass, Explanation, change, operating_characteristic, trial
from steps.gate.remedies import Remedy
from steps.report.blocks import (
    Bar,
    Bars,
    Block,
    Cell,
    Number,
    Numbers,
    Sample,
    SampleGroup,
    Samples,
    Section,
    Table,
    Tone,
)
from steps.report.render import Page, render

_TONES: dict[str, Tone] = {"pass": "kept", "fail": "quarantined", "need_more": "removed"}


def page(verdict: Verdict, explanation: Explanation) -> bytes:
    """The verdict and why it is so, for people; crawled text in it is escaped."""
    sections = [Section("Verdict", verdict_blocks(verdict)), Section("Strata", [strata(verdict)])]
    sections += [defect_section(item, explanation) for item in explanation.classes]
    if not explanation.classes:
        sections.append(Section("Defects", [], note="Readers found none in the documents that count."))
    missed: list[list[Cell]] = [
        [name, count] for name, count in sorted(verdict.seeded_missed.items()) if count
    ]
    if missed:
        note = "Known defects that the readers did not report, by class: what they miss among real ones too."
        sections.append(Section("Seeded defects missed", [Table("", ["class", "missed"], missed)], note=note))
    return render(
        Page(
            f"verdict: {verdict.status.replace('_', ' ')}",
            sections,
            lead="; ".join(verdict.reasons),
            facts=f"look {verdict.look} at dump {verdict.dump} · readers: {', '.join(verdict.readers) or 'none'}",
            footer=f"policy {verdict.policy_digest}, documents {verdict.documents}, verdict {verdict.digest}",
        )
    )


def verdict_blocks(verdict: Verdict) -> list[Block]:
    """What was found and what can hide behind it, on one scale with the limit."""
    tone = _TONES[verdict.status]
    numbers = Numbers(
        [
            Number("documents in the corpus", f"{verdict.population:,}"),
            Number("read", f"{verdict.read:,}", "documents that count"),
            Number("defective", f"{verdict.defective:,}", f"{verdict.rate:.4%} of those read", tone),
            Number("upper bound", f"{verdict.bound:,}", f"{verdict.bound_rate:.4%} of the corpus", tone),
            Number("limit", f"{verdict.policy.limit:.4%}", f"at {verdict.policy.confidence:.0%} confidence"),
            Number(
                "readers find at least",
                f"{verdict.sensitivity:.2%}",
                f"{verdict.seeded_found:,} of {verdict.seeded:,} seeded defects",
            ),
        ]
    )
    bars = [
        Bar("found", {tone: verdict.rate}, f"{verdict.rate:.4%}"),
        Bar("upper bound", {tone: verdict.bound_rate}, f"{verdict.bound_rate:.4%}"),
        Bar("limit", {"plain": verdict.policy.limit}, f"{verdict.policy.limit:.4%}"),
    ]
    note = (
        "The share of defective documents. To pass, what was found and its upper bound stay below the limit."
    )
    return [numbers, Bars("Against the limit", bars, note=note), characteristic(verdict)]


def characteristic(verdict: Verdict) -> Block:
    """The operating characteristic: what a reading like this one lets through."""
    note = "Chance to pass, by what a corpus of this size truly has; the limit and what was found are marked."
    points = operating_characteristic(verdict)
    limit, found = verdict.policy.limit, verdict.rate
    bars = []
    for number, (rate, chance) in enumerate(points):
        following = points[number + 1][0] if number + 1 < len(points) else float("inf")
        here = [name for name, at in (("limit", limit), ("found", found)) if rate <= at < following]
        tone: Tone = "kept" if rate < limit else "quarantined"
        bars.append(Bar(f"{rate:.4%}", {tone: chance, "plain": 1 - chance}, f"{chance:.1%}", ", ".join(here)))
    if not bars:
        note = (
            "This reading could let nothing pass, whatever it had found: too few documents or seeded defects."
        )
    return Bars("What such a reading lets through", bars, full=True, note=note)


def strata(verdict: Verdict) -> Table:
    """Where each source and language stands."""
    rows: list[list[Cell]] = [
        [name.replace("|", " · "), s.documents, s.read, s.defective, f"{s.bound_rate:.3%}"]
        for name, s in sorted(verdict.strata.items(), key=lambda item: (-item[1].documents, item[0]))
    ]
    return Table("", ["source · language", "documents", "read", "defective", "upper bound"], rows)


def defect_section(item: DefectClass, explanation: Explanation) -> Section:
    """One class of defects: examples, and the bounds that would have removed its documents."""
    samples = [
        Sample(
            found.excerpt,
            " · ".join(
                [found.example.stratum.replace("|", " · "), found.example.doc_id]
                + [f"{change(r)} takes it, and {r.others:,} others" for r in found.nearest[:1]]
            ),
        )
        for found in item.examples
    ]
    blocks: list[Block] = [Samples("", [SampleGroup("", samples, "quarantined")])]
    if item.moves:
        command = trial(explanation, item.moves)
        note = (
            "Bounds of score and filter at a place where they take these documents, from stored signals; cheapest "
            "first. Others are counted in the whole corpus." + (f" To see them: {command}" if command else "")
        )
        blocks.append(_changes("What would have removed them", item, item.moves, note))
    if item.ideas:
        note = (
            "Stored signals that no bound stands on yet. A few documents are extreme in something by chance."
        )
        blocks.append(_changes("What else sets them apart", item, item.ideas, note))
    if item.cut:
        rows: list[list[Cell]] = [[rule, count] for rule, count in item.cut.items()]
        blocks.append(Table("What filter had cut from them", ["rule", "documents"], rows))
    return Section(f"{item.defect}: {item.documents:,}", blocks)


def _changes(title: str, item: DefectClass, remedies: Sequence[Remedy], note: str) -> Table:
    rows: list[list[Cell]] = [
        [change(r), f"{len(r.caught):,} of {item.documents:,}", f"{r.others:,} ({r.share:.2%})"]
        for r in remedies
    ]
    return Table(title, ["bound", "defective taken", "others taken"], rows, note)
