"""Labels: what one reader said about one document of a sample; append-only objects, and their frozen table.

People's labels are collected as ``labels/<sample digest>/<sample id>/<name>.json``, created once; a correction is a
new object that names in ``supersedes`` the one it replaces.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.core.digest import canonical_json, json_digest
from steps.core.errors import DataError, VerdictRefused
from steps.core.policy import DEFECT_CLASSES, Reader
from steps.core.signing import is_signed, signer, trusted_keys
from steps.core.store import Store

# Defect classes a reader chooses from; the last three are Ziya2's human criteria (Figure 8) where no class fits.
DEFECTS = (*DEFECT_CLASSES, "coherence", "readability", "other")
LABEL_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("doc_id", pa.string()),
        ("doc_sha256", pa.string()),
        ("stratum", pa.string()),
        ("annotator", pa.string()),
        ("reader", pa.string()),
        ("role", pa.string()),
        ("label", pa.string()),
        ("defects", pa.list_(pa.string())),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("shown_at", pa.string()),
        ("answered_at", pa.string()),
        ("seconds", pa.float64()),
        ("client", pa.string()),
        ("guideline_version", pa.string()),
    ]
)


class Label(BaseModel):
    """One reader's answer on one document. Ziya2 marks 1 = bad, 0 = good; here the words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_id: str
    doc_id: str = ""
    doc_sha256: str
    stratum: str = ""
    annotator: str
    reader: Reader = "human"
    role: Literal["reader", "adjudicator"] = Field(
        "reader", description="An adjudicator has seen what others said of the document, and decides."
    )
    label: Literal["good", "bad"]
    defects: tuple[str, ...] = ()
    start: int | None = None
    end: int | None = None
    shown_at: str | None = None
    answered_at: str | None = None
    seconds: float | None = None
    client: str = ""
    guideline_version: str = ""
    supersedes: str | None = Field(None, description="Key of the label object that this one corrects.")
    signature: str | None = None

    def said(self, sample: str) -> dict[str, Any]:
        """What a signature of the label is on: everything it says, and the sample for which it was said."""
        return {"sample": sample, "label": self.model_dump(mode="json", exclude={"signature"})}


def label_key(sample: str, label: Label) -> str:
    """Where a label lies: one object per answer, named by its content so that none can overwrite another."""
    name = json_digest(label.model_dump(mode="json", exclude={"signature"}))[:24]
    return f"labels/{sample}/{label.sample_id}/{name}.json"


def put_label(store: Store, sample: str, label: Label) -> str:
    """Create the label object; saying the same twice creates one. Signed where a key is configured. Returns its key.

    Raises ConfigError where labels must be signed and there is no key to sign with.
    """
    key = signer()
    signed = label.model_copy(update={"signature": key.sign("label", label.said(sample))}) if key else label
    where = label_key(sample, label)
    store.create(where, canonical_json(signed.model_dump(mode="json")))
    return where


def given_labels(
    store: Store, sample: str, known: Mapping[str, Label] | None = None, document: str = ""
) -> dict[str, Label]:
    """Every label that people gave to the sample with that digest, corrected ones too, by object key.

    ``known``: what an earlier call gave; these objects are created once and never change, so only others are read.
    ``document``: the sample id of the only one that is asked about.
    Raises DataError for a damaged object, VerdictRefused for one that is not signed by an accepted key.
    """
    trusted, known = trusted_keys(), known or {}
    found: dict[str, Label] = {}
    prefix = f"labels/{sample}/{document}/" if document else f"labels/{sample}/"
    for info in sorted(store.list(prefix), key=lambda info: info.key):
        if info.key in known:
            found[info.key] = known[info.key]
            continue
        try:
            label = Label.model_validate_json(store.get(info.key))
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"label {store.uri}/{info.key}: {first['loc']}: {first['msg']}") from None
        if trusted and not is_signed("label", label.said(sample), label.signature or "", trusted):
            raise VerdictRefused(
                f"label {store.uri}/{info.key} is not signed by a key that this installation accepts "
                f"({', '.join(trusted)}); remove it"
            )
        found[info.key] = label
    return found


def standing_labels(given: Mapping[str, Label]) -> list[Label]:
    """The labels of `given_labels` without those that a correction replaced."""
    replaced = {label.supersedes for label in given.values() if label.supersedes}
    return [label for name, label in sorted(given.items()) if name not in replaced]


def collect_labels(store: Store, sample: str) -> list[Label]:
    """The labels that people gave to the sample with that digest, and that stand; raises what `given_labels` does."""
    return standing_labels(given_labels(store, sample))


def is_bad(labels: Sequence[Label]) -> bool:
    """Whether a document counts as defective: by its adjudicators, or where there is none if any reader says so.

    Nobody adjudicates what they have read themselves: such a label counts as one reader more.
    """
    return any(label.label == "bad" for label in _deciding(labels))


def is_found(labels: Sequence[Label]) -> bool:
    """Whether a seeded defect counts as found: if everybody who decides about the document says that it is bad."""
    deciding = _deciding(labels)
    return bool(deciding) and all(label.label == "bad" for label in deciding)


def _deciding(labels: Sequence[Label]) -> Sequence[Label]:
    readers = {label.annotator for label in labels if label.role == "reader"}
    adjudicators = [
        label for label in labels if label.role == "adjudicator" and label.annotator not in readers
    ]
    return adjudicators or labels


def agreement(labels: Iterable[Label]) -> dict[str, float | None]:
    """How far people who read the same document agree: pairs, agreeing pairs, positive agreement, kappa and AC1.

    Positive agreement is 2·both / (one + other), the measure that says something where defects are rare; Cohen's kappa
    and Gwet's AC1 (Gwet 2008) are for information. None where a measure has nothing to divide by.
    """
    given: dict[str, dict[str, bool]] = {}
    for label in labels:
        if label.reader == "human" and label.role == "reader":
            given.setdefault(label.sample_id, {})[label.annotator] = label.label == "bad"
    pairs = [
        (answers[one], answers[other])
        for answers in given.values()
        for one, other in itertools.combinations(sorted(answers), 2)
    ]
    n = len(pairs)
    if not n:
        return {"pairs": 0, "agreeing": 0, "positive": None, "kappa": None, "ac1": None}
    same, both = sum(a == b for a, b in pairs), sum(a and b for a, b in pairs)
    first, second = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    observed, share = same / n, (first + second) / (2 * n)
    chance = (first * second + (n - first) * (n - second)) / n**2
    by_chance = 2 * share * (1 - share)
    return {
        "pairs": n,
        "agreeing": same,
        "positive": 2 * both / (first + second) if first + second else None,
        "kappa": (observed - chance) / (1 - chance) if chance < 1 else None,
        "ac1": (observed - by_chance) / (1 - by_chance),
    }


def labels_table(labels: Iterable[Label]) -> pa.Table:
    """Frozen labels as a table, ordered by sample id, annotator and content."""
    rows = [label.model_dump(mode="json", exclude={"supersedes", "signature"}) for label in labels]
    rows.sort(key=lambda row: (row["sample_id"], row["annotator"], canonical_json(row)))
    return pa.Table.from_pylist(rows, LABEL_SCHEMA)


def labels_from_table(table: pa.Table) -> list[Label]:
    """The labels of a frozen table. Raises DataError for one that does not follow the schema."""
    try:
        return [Label.model_validate(row) for row in table.to_pylist()]
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"labels table: {first['loc']}: {first['msg']}") from None
