"""Coherence and readability of a corpus, from the labels that its verdict counted."""

from __future__ import annotations

from collections.abc import Sequence, Set

from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.labels import Label
from steps.core.verdict import Sample, answers_of, defective_documents
from steps.core.verification import load_labels, load_sample

# Ziya2 Figure 8. Coherence: advertisements, navigation, other meaningless text, unrelated pieces. Readability: broken
# sentences, wrong punctuation or characters. Toxic and private text is neither, nor is what readers call `other`.
COHERENCE = frozenset(
    ("coherence", "advertising", "promotion", "web_residue", "navigation", "repetition", "incoherent")
)
READABILITY = frozenset(("readability", "truncated", "mojibake", "foreign_language"))


def attributes(corpus: Artifact) -> tuple[float, float, int]:
    """(coherence, readability, documents read): shares of the documents read that have no such defect.

    The labels are the gate's: a document is bad if any reader says so and no adjudicator otherwise; the defect classes
    that they name decide of which kind. Seeded defects are left out. Raises DataError where nobody read anything.
    """
    found = shares(load_sample(corpus.input("sample")), load_labels(corpus.input("labels")))
    if not found[2]:
        raise DataError(f"{corpus.reference.uri}: nobody has read a document of its sample")
    return found


def shares(sample: Sample, labels: Sequence[Label]) -> tuple[float, float, int]:
    """`attributes` of a sample and its labels."""
    answers = answers_of(sample, labels, sample.facts.policy.readers)
    read = [
        drawn
        for drawn in sample.drawn
        if drawn.defect is None and drawn.counted and drawn.sample_id in answers
    ]
    bad = defective_documents(sample, labels)

    def fine(kinds: Set[str]) -> float:
        return 1 - sum(not kinds.isdisjoint(bad.get(drawn.sample_id, ())) for drawn in read) / max(
            1, len(read)
        )

    return fine(COHERENCE), fine(READABILITY), len(read)
