"""Why a verdict is what it is: worst classes, examples, and the bounds that would have removed the documents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steps.core import statistics
from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.verdict import Example, Verdict, arithmetic, defective_documents
from steps.core.verification import load_labels, load_sample
from steps.gate.remedies import Remedy, remedies

EXCERPT = 240
RATES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)  # of the limit: true rates whose chance to pass is told


@dataclass(frozen=True)
class Found:
    """A defective document: its text around the finding, and the bounds nearest to removing it."""

    example: Example
    excerpt: str
    nearest: Sequence[Remedy]


@dataclass(frozen=True)
class DefectClass:
    """One class of defects, with what would have removed its documents; see `Remedies`."""

    defect: str
    documents: int
    examples: Sequence[Found]
    moves: Sequence[Remedy]
    ideas: Sequence[Remedy]
    cut: Mapping[str, int]


@dataclass(frozen=True)
class Explanation:
    """Classes, worst first, and the filter artifact as commands take it ("" if there is none)."""

    classes: Sequence[DefectClass]
    filter: str = ""


def explain(verdict: Verdict, sample: Artifact, labels: Artifact, corpus: Artifact) -> Explanation:
    """Per defect class, worst first: how many, examples with the place of the finding, ranked remedies."""
    columns = ["sample_id", "shard", "row", "text"]
    table = sample.read_table(sample.file("sample.parquet"), columns)
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    spans = {
        row["sample_id"]: (row["start"] or 0)
        for row in sample.read_table(sample.file("automatic.parquet"), ["sample_id", "start"]).to_pylist()
    }
    defective = defective_documents(load_sample(sample), load_labels(labels))
    addresses = {name: (rows[name]["shard"], rows[name]["row"]) for name in defective}
    found = remedies(corpus, {addresses[name]: classes for name, classes in defective.items()})

    def shown(example: Example) -> Found:
        start = max(0, spans[example.sample_id] - 40)
        excerpt = rows[example.sample_id]["text"][start : start + EXCERPT]
        return Found(example, excerpt, found.nearest.get(addresses[example.sample_id], ()))

    classes = [
        DefectClass(
            defect,
            documents,
            [shown(example) for example in verdict.examples if defect in example.defects],
            found.moves.get(defect, ()),
            found.ideas.get(defect, ()),
            found.cut.get(defect, {}),
        )
        for defect, documents in verdict.defects.items()
    ]
    return Explanation(classes, found.filter)


def change(remedy: Remedy) -> str:
    """The change as a person makes it: ``d01_min_length_v1: characters min 50 → 81``; a signal without a rule alone."""
    bound, signal = remedy.bound, remedy.bound.signal.removeprefix("rule_")
    side = "max" if bound.above else "min"
    if bound.at is None:
        return f"{signal} {side} {remedy.at:g}"
    language = (
        "" if bound.language == "any" or bound.setting.endswith(bound.language) else f" ({bound.language})"
    )
    return f"{bound.setting}{language}: {signal} {side} {bound.at:g} → {remedy.at:g}"


def trial(explanation: Explanation, remedies: Sequence[Remedy]) -> str:
    """The command that shows what the first of ``remedies`` that is a rule would do; "" if none is."""
    rule = next((r for r in remedies if not r.bound.setting.startswith("score.")), None)
    if rule is None or not explanation.filter:
        return ""
    side = "max" if rule.bound.above else "min"
    return f"tokenmill rules try {explanation.filter} --set {rule.bound.setting}.{side}={rule.at:g}"


def operating_characteristic(verdict: Verdict) -> list[tuple[float, float]]:
    """(true defect rate, chance to pass) for corpora of this size that the same readers read as far as this one.

    Rates are shares of the limit, in whole documents. Empty where this reading can let nothing pass, whatever it finds.
    """
    policy, size = verdict.policy, verdict.population
    ceiling = statistics.allowed_defects(size, policy.limit)
    bound = arithmetic(policy).defect_bound
    most = -1
    while (
        most < verdict.read
        and bound(most + 1, size, verdict.read, verdict.sensitivity, verdict.alpha) <= ceiling
    ):
        most += 1
    if most < 0 or not verdict.seeded:
        return []
    found = verdict.seeded_found / verdict.seeded
    counts = sorted({math.ceil(share * policy.limit * size - 1e-9) for share in RATES})
    return [
        (count / size, statistics.probability_at_most(most, size, count, verdict.read, found))
        for count in counts
        if count <= size
    ]


def as_text(verdict: Verdict, explanation: Explanation) -> str:
    """The explanation for a terminal."""
    lines = [f"verdict: {verdict.status}", *(f"  {reason}" for reason in verdict.reasons)]
    lines.append(
        f"  read {verdict.read} of {verdict.population}, defective {verdict.defective} ({verdict.rate:.4%}), "
        f"upper bound {verdict.bound_rate:.4%}, limit {verdict.policy.limit:.4%}"
    )
    lines.append(
        f"  readers {', '.join(verdict.readers) or 'none'}; found {verdict.seeded_found} of {verdict.seeded} seeded "
        f"defects, sensitivity at least {verdict.sensitivity:.2%}"
    )
    chances = ", ".join(f"{rate:.4%}: {chance:.1%}" for rate, chance in operating_characteristic(verdict))
    lines.append(f"  chance to pass by true defect rate: {chances or 'none, whatever is found'}")
    for item in explanation.classes:
        lines += ["", f"{item.defect}: {item.documents} documents", *_remedy_lines(item, explanation)]
        for found in item.examples:
            excerpt = " ".join(found.excerpt.split())
            printable = "".join(c if c.isprintable() else "\ufffd" for c in excerpt)
            lines.append(f"  {found.example.doc_id} ({found.example.stratum}): {printable[:160]}")
            lines += [f"    {change(r)} takes it, and {r.others:,} others" for r in found.nearest]
    return "\n".join(lines)


def _remedy_lines(item: DefectClass, explanation: Explanation) -> list[str]:
    lines = []
    groups = (
        ("bounds that would have removed them:", item.moves),
        ("signals that no bound stands on:", item.ideas),
    )
    for title, found in groups:
        if found:
            lines.append(f"  {title}")
        lines += [
            f"    {change(r)} takes {len(r.caught)} of {item.documents}, and {r.others:,} others ({r.share:.2%})"
            for r in found
        ]
    if command := trial(explanation, item.moves):
        lines.append(f"    see what goes: {command}")
    if not item.moves:
        lines.append("  no bound of score or filter comes near them at a bearable price")
    if item.cut:
        rules = ", ".join(f"{rule} ({count})" for rule, count in item.cut.items())
        lines.append(f"  filter had cut from them by {rules}")
    return lines


def explain_artifact(gate: Artifact, verdict: Verdict) -> str:
    """The explanation of a committed verdict. Raises DataError if its inputs cannot be read."""
    if not gate.has_input("sample"):
        raise DataError(f"{gate.reference.uri} is not a verdict")
    return as_text(
        verdict, explain(verdict, gate.input("sample"), gate.input("labels"), gate.input("corpus"))
    )
