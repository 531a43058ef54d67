"""The verdict: what policy, sample and labels say of exactly one set of documents (CONTRACT §5). A pure function."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from steps.core import anytime, statistics
from steps.core.digest import json_digest
from steps.core.errors import DataError
from steps.core.labels import Label, is_bad, is_found
from steps.core.policy import Policy, Reader

SCHEMA_VERSION = 1
POOLED = "other"  # the stratum that small strata are checked in
EXAMPLES = 5


class Stratum(BaseModel):
    """Documents of one source and language, how many of them are in the sample, and how many extra."""

    documents: int
    sampled: int
    extra: int = 0


class SampleFacts(BaseModel):
    """What the sample artifact says about itself (facts ``sample``)."""

    documents: str
    population: int
    policy: Policy
    policy_digest: str
    look: int
    dump: str
    seed: str
    strata: dict[str, Stratum]
    planned: int | None
    seeded: int


@dataclass(frozen=True)
class Drawn:
    """One document of the sample: a real one, or a seeded defect."""

    sample_id: str
    stratum: str
    doc_sha256: str
    counted: bool  # in the pooled rate, or extra for its stratum only
    defect: str | None  # the class that was seeded into it
    doc_id: str = ""


@dataclass(frozen=True)
class Sample:
    """Everything about a sample that the decision needs; no text."""

    facts: SampleFacts
    drawn: tuple[Drawn, ...]


class StratumVerdict(BaseModel):
    """Where one stratum stands."""

    documents: int
    read: int
    defective: int
    bound: int
    bound_rate: float


class Example(BaseModel):
    """A document that readers called defective; its text is in the sample."""

    sample_id: str
    doc_id: str
    stratum: str
    defects: tuple[str, ...]


class Need(BaseModel):
    """What a further look needs to be able to pass."""

    unread: int = 0
    look: int | None = None
    documents: int | None = None
    seeded: int | None = None


class Verdict(BaseModel):
    """The gate's decision and all that it rests on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = SCHEMA_VERSION
    status: Literal["pass", "fail", "need_more"]
    reasons: tuple[str, ...]
    documents: str = Field(description="document-set digest")
    sample: str = Field(description="content digest of the sample artifact")
    labels: str = Field(description="content digest of the labels artifact")
    policy: Policy
    policy_digest: str
    veto: str = ""
    dump: str
    look: int
    alpha: float
    alpha_sensitivity: float
    readers: tuple[Reader, ...]
    guideline_versions: tuple[str, ...]
    population: int
    read: int
    defective: int
    rate: float
    seeded: int
    seeded_found: int
    sensitivity: float
    bound: int
    bound_rate: float
    strata: dict[str, StratumVerdict]
    defects: dict[str, int]
    seeded_missed: dict[str, int]
    examples: tuple[Example, ...]
    need: Need

    @property
    def digest(self) -> str:
        return json_digest(self.model_dump(mode="json"))


def arithmetic(policy: Policy) -> ModuleType:
    """The module whose `defect_bound`, `plan_sample` and `sensitivity_lower_bound` the policy's test asks for."""
    return anytime if policy.test == "anytime" else statistics


def plan_seeded(policy: Policy, population: int, look: int) -> int:
    """Fewest seeded defects, all found, with which a census without a defect can pass (capped at 100,000)."""
    test, (alpha, alpha_sensitivity) = arithmetic(policy), policy.alphas(look)
    low, high = 1, 100_000
    while low < high:
        middle = (low + high) // 2
        sensitivity = test.sensitivity_lower_bound(middle, middle, alpha_sensitivity)
        if test.plan_sample(population, policy.limit, sensitivity, alpha) is None:
            low = middle + 1
        else:
            high = middle
    return low


def seen_of(sample: Sample, answers: Mapping[str, Sequence[Label]]) -> tuple[Drawn, ...]:
    """What counts as read: everything drawn, or, where reading may stop at any moment, up to the first gap.

    The sample's order is random and says nothing; what somebody reads out of turn may be chosen.
    """
    if sample.facts.policy.test == "fixed":
        return sample.drawn
    return tuple(itertools.takewhile(lambda drawn: drawn.sample_id in answers, sample.drawn))


def answers_of(sample: Sample, labels: Sequence[Label], readers: Sequence[Reader]) -> dict[str, list[Label]]:
    """Labels that count, by sample id. Raises DataError for a label on a text that is not the sample's."""
    texts = {drawn.sample_id: drawn.doc_sha256 for drawn in sample.drawn}
    answers: dict[str, list[Label]] = {}
    for label in labels:
        if label.sample_id not in texts:
            raise DataError(f"labels name {label.sample_id}, which is not in the sample")
        if label.doc_sha256 != texts[label.sample_id]:
            raise DataError(f"the label of {label.annotator} on {label.sample_id} was given to another text")
        if label.reader in readers:
            answers.setdefault(label.sample_id, []).append(label)
    return answers


def homes_of(facts: SampleFacts) -> dict[str, str]:
    """The stratum that each stratum is checked in: itself, or the one of all small ones together."""
    least = facts.policy.stratum_minimum
    return {name: name if stratum.documents >= least else POOLED for name, stratum in facts.strata.items()}


def _stratum_verdicts(
    sample: Sample, bad: set[str], read: set[str], sensitivity: float, alpha: float
) -> dict[str, StratumVerdict]:
    """Each stratum's own bound from all its documents in the sample; small strata together."""
    policy, home = sample.facts.policy, homes_of(sample.facts)
    documents: Counter[str] = Counter()
    reads: Counter[str] = Counter()
    defective: Counter[str] = Counter()
    for name, stratum in sample.facts.strata.items():
        documents[home[name]] += stratum.documents
    for drawn in sample.drawn:
        if drawn.defect is None:
            reads[home[drawn.stratum]] += drawn.sample_id in read
            defective[home[drawn.stratum]] += drawn.sample_id in bad
    verdicts = {}
    for name in sorted(documents):
        bound = arithmetic(policy).defect_bound(
            defective[name], documents[name], max(reads[name], defective[name]), sensitivity, alpha
        )
        verdicts[name] = StratumVerdict(
            documents=documents[name],
            read=reads[name],
            defective=defective[name],
            bound=bound,
            bound_rate=bound / documents[name],
        )
    return verdicts


def _need(facts: SampleFacts, found: int, seeded_found: int, seeded: int, unread: int) -> Need:
    """What to read next in this look, or the documents and seeded defects of the next one, if things stay as good."""
    policy, test = facts.policy, arithmetic(facts.policy)

    def planned(look: int) -> int | None:
        alpha, alpha_sensitivity = policy.alphas(look)
        sensitivity = test.sensitivity_lower_bound(seeded_found, seeded, alpha_sensitivity)
        size: int | None = test.plan_sample(facts.population, policy.limit, sensitivity, alpha, found)
        return size

    if unread:
        return Need(unread=unread, documents=planned(facts.look) if policy.test == "anytime" else None)
    size, look = planned(facts.look + 1), facts.look + 1
    return Need(
        look=look,
        documents=size,
        seeded=plan_seeded(policy, facts.population, look) if size is None else None,
    )


def decide(
    sample: Sample, labels: Sequence[Label], *, sample_digest: str, labels_digest: str, veto: str = ""
) -> Verdict:
    """The verdict that policy, sample and labels give; a pure function.

    A document is defective if any reader says so and no adjudicator says otherwise; a seeded defect counts as found
    only if all who decide about it say so; a defect counts even where it was read out of turn. All err on the side of
    the corpus's users. Raises DataError for labels that belong to other documents.
    """
    facts, policy = sample.facts, sample.facts.policy
    answers = answers_of(sample, labels, policy.readers)
    named = _defective(sample, answers)
    bad = set(named)
    found = {name for name, given in answers.items() if is_found(given)}
    seen = seen_of(sample, answers)
    read = {d.sample_id for d in seen} & set(answers)
    counted = [d for d in sample.drawn if d.defect is None and d.counted]
    seeds = [d for d in seen if d.defect is not None]
    x = sum(d.sample_id in bad for d in counted)
    n = max(x, sum(d.sample_id in read for d in counted))
    m = sum(d.sample_id in read for d in seeds)
    k = sum(d.sample_id in found for d in seeds)
    alpha, alpha_sensitivity = policy.alphas(facts.look)
    sensitivity, bound = _bounds(facts, x, n, k, m)
    unread = sum(d.sample_id not in read for d in sample.drawn)
    strata = _stratum_verdicts(sample, bad, read, sensitivity, alpha) if alpha > 0 else {}
    status, reasons = _status(facts, x, n, bound, unread, strata, veto, m)
    real_bad = [d for d in sample.drawn if d.sample_id in bad]
    defects = Counter(defect for d in real_bad for defect in named[d.sample_id])
    missed = Counter(d.defect for d in seeds if d.sample_id not in found)
    return Verdict(
        status=status,
        reasons=tuple(reasons),
        documents=facts.documents,
        sample=sample_digest,
        labels=labels_digest,
        policy=policy,
        policy_digest=policy.digest,
        veto=veto,
        dump=facts.dump,
        look=facts.look,
        alpha=alpha,
        alpha_sensitivity=alpha_sensitivity,
        readers=tuple(sorted({label.reader for given in answers.values() for label in given})),
        guideline_versions=tuple(sorted({label.guideline_version for g in answers.values() for label in g})),
        population=facts.population,
        read=n,
        defective=x,
        rate=x / n if n else 1.0,
        seeded=m,
        seeded_found=k,
        sensitivity=sensitivity,
        bound=bound,
        bound_rate=bound / facts.population if facts.population else 1.0,
        strata=strata,
        defects=dict(sorted(defects.items(), key=lambda item: (-item[1], item[0]))),
        seeded_missed=dict(sorted(missed.items())),
        examples=_examples(real_bad, named),
        need=_need(facts, x, k, m, unread) if status == "need_more" else Need(),
    )


def _bounds(facts: SampleFacts, x: int, n: int, k: int, m: int) -> tuple[float, int]:
    """(least sensitivity of readers who found k of m seeded defects, most defective documents of the corpus if x of n
    that were read are).
    """
    alpha, alpha_sensitivity = facts.policy.alphas(facts.look)
    # rounded down to 1e-9, so that another C library's last bits change no verdict
    test = arithmetic(facts.policy)
    sensitivity = math.floor(test.sensitivity_lower_bound(k, m, alpha_sensitivity) * 1e9) / 1e9
    bound = facts.population
    if 0.0 < alpha < 1.0:
        bound = test.defect_bound(x, facts.population, n, sensitivity, alpha)
    return sensitivity, bound


def defective_documents(sample: Sample, labels: Sequence[Label]) -> dict[str, tuple[str, ...]]:
    """Defect classes by sample id of the documents, no seeded ones, that the verdict counts as defective.

    Raises DataError for labels that belong to other documents.
    """
    return _defective(sample, answers_of(sample, labels, sample.facts.policy.readers))


def _defective(sample: Sample, answers: Mapping[str, Sequence[Label]]) -> dict[str, tuple[str, ...]]:
    return {
        d.sample_id: _defects_of(answers[d.sample_id])
        for d in sample.drawn
        if d.defect is None and d.sample_id in answers and is_bad(answers[d.sample_id])
    }


def _defects_of(labels: Sequence[Label]) -> tuple[str, ...]:
    found = {defect for label in labels if label.label == "bad" for defect in label.defects or ("other",)}
    return tuple(sorted(found))


def _examples(bad: Sequence[Drawn], named: Mapping[str, tuple[str, ...]]) -> tuple[Example, ...]:
    """Up to five examples per defect class, in the order of the sample."""
    shown: Counter[str] = Counter()
    examples = []
    for drawn in bad:
        defects = named[drawn.sample_id]
        if any(shown[defect] < EXAMPLES for defect in defects):
            shown.update(defects)
            examples.append(
                Example(
                    sample_id=drawn.sample_id, doc_id=drawn.doc_id, stratum=drawn.stratum, defects=defects
                )
            )
    return tuple(examples)


def _status(
    facts: SampleFacts,
    x: int,
    n: int,
    bound: int,
    unread: int,
    strata: Mapping[str, StratumVerdict],
    veto: str,
    seeded: int,
) -> tuple[Literal["pass", "fail", "need_more"], list[str]]:
    """pass, fail or need_more, with the reasons in words."""
    policy = facts.policy
    failures, gaps = [], []
    if facts.population == 0:
        failures.append("the corpus has no documents")
    if veto:
        failures.append(f"refused by a person: {veto}")
    # readers who may read on can still bring the rate down, but not below what all documents together allow
    if n and x / (n if policy.test == "fixed" else facts.population) >= policy.limit:
        failures.append(f"{x} of {n} documents are defective: {x / n:.4%}, the limit is {policy.limit:.4%}")
    if unread and policy.test == "fixed":
        gaps.append(f"{unread} documents of the sample have no label yet")
    if n == 0:
        gaps.append("no document was read")
    if policy.bound == "exact":
        if seeded == 0:
            gaps.append("no seeded defect was read, so that nothing is known about the readers")
        if bound > statistics.allowed_defects(facts.population, policy.limit):
            gaps.append(
                f"up to {bound} defective documents among {facts.population} cannot be ruled out "
                f"({bound / max(facts.population, 1):.4%}, the limit is {policy.limit:.4%})"
            )
        _judge_strata(policy, strata, failures, gaps)
    if failures:
        return "fail", failures + gaps
    return ("need_more", gaps) if gaps else ("pass", ["below the limit, by rate and by bound"])


def _judge_strata(
    policy: Policy, strata: Mapping[str, StratumVerdict], failures: list[str], gaps: list[str]
) -> None:
    ceiling = policy.stratum_ceiling
    if ceiling is None:
        return
    for name, stratum in strata.items():
        if stratum.read and stratum.defective / stratum.read >= ceiling:
            failures.append(f"{name}: {stratum.defective} of {stratum.read} documents are defective")
        elif stratum.bound > max(0, statistics.allowed_defects(stratum.documents, ceiling)):
            gaps.append(
                f"{name}: up to {stratum.bound} of {stratum.documents} documents may be defective "
                f"({stratum.bound_rate:.2%}, the ceiling is {ceiling:.2%})"
            )
