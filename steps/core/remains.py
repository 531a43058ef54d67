"""Whether a verdict holds for what is left of its documents: repeats of another dump went, or were taken down.

The bound is the verdict's own, K defective documents among N, and is not computed anew from the part of the sample that
is left: K holds for what is left whatever went, while that part of the sample says something only where nobody chose
what went by what was read (CONTRACT §6). The plain rates are taken over the part that is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from steps.core.labels import Label
from steps.core.statistics import allowed_defects
from steps.core.verdict import Sample, Verdict, answers_of, defective_documents, homes_of, seen_of


@dataclass(frozen=True)
class Remains:
    """How many documents are left, in all and by stratum, and which of the sample's texts (sha256, hex): ``whole`` are
    there as often as before, ``some`` at least once."""

    documents: int
    strata: Mapping[str, int]
    whole: Set[str]
    some: Set[str]


def after_removals(
    verdict: Verdict, sample: Sample, labels: Sequence[Label], left: Remains
) -> tuple[str, ...]:
    """Why the verdict does not hold any more; empty if it does. A pure function.

    Of a text that several documents had, nobody knows which of them went: a clean one that was read counts as gone, a
    defective one as left.
    """
    policy = verdict.policy
    answers = answers_of(sample, labels, policy.readers)
    bad = set(defective_documents(sample, labels))
    read = {drawn.sample_id for drawn in seen_of(sample, answers)} & set(answers)
    there = [
        drawn
        for drawn in sample.drawn
        if drawn.defect is None
        and drawn.doc_sha256 in (left.some if drawn.sample_id in bad else left.whole)
        and drawn.sample_id in read | bad
    ]
    problems = []
    found = sum(drawn.counted and drawn.sample_id in bad for drawn in there)
    size = sum(drawn.counted for drawn in there)
    if not size:
        problems.append("none of the documents that were read is left")
    elif found / (size if policy.test == "fixed" else left.documents) >= policy.limit:
        problems.append(f"{found} of the {size} documents that were read and are left are defective")
    if policy.bound == "exact":
        if verdict.bound > allowed_defects(left.documents, policy.limit):
            problems.append(
                f"up to {verdict.bound} of them may be defective ({verdict.bound / max(left.documents, 1):.4%}, the "
                f"limit is {policy.limit:.4%})"
            )
        if policy.stratum_ceiling is not None:
            problems += _strata(verdict, sample, left, policy.stratum_ceiling)
    return tuple(problems)


def _strata(verdict: Verdict, sample: Sample, left: Remains, ceiling: float) -> list[str]:
    homes = homes_of(sample.facts)
    sizes: Counter[str] = Counter()
    for name, documents in left.strata.items():
        sizes[homes.get(name, name)] += documents
    return [
        f"{name}: up to {stratum.bound} of {sizes[name]} documents may be defective (the ceiling is {ceiling:.2%})"
        for name, stratum in verdict.strata.items()
        if min(stratum.bound, sizes[name]) > max(0, allowed_defects(sizes[name], ceiling))
    ]
