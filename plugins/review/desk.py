"""Who reads what: the documents of one sample, claims on them, answers, corrections and adjudications.

Everything that counts is in the store. A claim is an object per document and place (CONTRACT §2, created once), so that
two people never get the same document unless it is meant, however many servers there are; an answer is an append-only
label. What is kept here in memory can be lost at any moment.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from steps.core.artifact import Artifact
from steps.core.digest import canonical_json
from steps.core.errors import DataError, UsageError
from steps.core.labels import DEFECTS, Label, given_labels, label_key, put_label, standing_labels
from steps.core.store import ObjectMissing

GUIDELINE_VERSION = "1"
CLIENT = "review page 1"
DOUBLE_SHARE = 0.1  # of the documents are read by two people, blind (airflow.md §5: at least 10 %)
CLAIM_SECONDS = 1800.0  # after which somebody else may have a document that was shown and not answered
REFRESH_SECONDS = 30.0  # how old this server's picture of what others answered may be
ADJUDICATION = "adjudication"


@dataclass(frozen=True)
class Document:
    """One document of the sample as it is shown. ``readers``: how many people read it."""

    sample_id: str
    doc_id: str
    doc_sha256: str
    stratum: str
    source: str
    language: str
    url: str
    text: str
    readers: int


class Answer(BaseModel):
    """What the page sends when somebody has decided."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_id: str = Field(max_length=64)
    doc_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    label: Literal["good", "bad"]
    defects: tuple[str, ...] = Field((), max_length=len(DEFECTS))
    start: int | None = Field(None, ge=0, description="first character of the marked passage")
    end: int | None = Field(None, ge=0, description="character after the marked passage")
    adjudicated: bool = Field(False, description="the person had seen what others said of the document")
    shown_at: str = Field("", max_length=40)
    answered_at: str = Field("", max_length=40)
    seconds: float = Field(0.0, ge=0, le=86_400, allow_inf_nan=False)


class Refused(ValueError):
    """An answer that cannot be taken; the message is for the person."""


class Desk:
    """The queue of one sample. Safe for several threads; one object per server and sample."""

    def __init__(self, sample: Artifact, clock: Callable[[], float] = time.time) -> None:
        self.sample, self.store, self.clock = sample, sample.store, clock
        table = sample.read_table(sample.file("sample.parquet"))
        columns = [name for name in Document.__dataclass_fields__ if name != "readers"]
        rows = table.select(columns).to_pylist()
        twice = read_twice(row["sample_id"] for row in rows)
        self.documents = {
            row["sample_id"]: Document(**_texts(row), readers=1 + (row["sample_id"] in twice)) for row in rows
        }
        automatic = sample.read_table(sample.file("automatic.parquet"), ["sample_id", "defects"]).to_pylist()
        self._hints = {row["sample_id"]: tuple(row["defects"] or ()) for row in automatic}
        self._lock = threading.RLock()
        self._given: dict[str, Label] = {}  # every label object read so far, by its key
        self._labels: dict[str, dict[str, Label]] = {}
        self._missing = {
            name: document.readers for name, document in self.documents.items()
        }  # readings to come
        self._contested: dict[str, Document] = {}
        self._claims: dict[tuple[str, str], tuple[str, float]] = {}  # (document, place) → who, when
        self._refreshed = float("-inf")

    # What a person sees

    def next(self, reader: str, adjudicate: bool = False) -> Document | None:
        """The document that ``reader`` shall read now, claimed for them; None where nothing is left for them.

        What they were shown and have not answered comes again. ``adjudicate``: one that readers called defective or
        differ about, and that they have not read themselves.
        """
        with self._lock:
            self._refresh()
            for name in self._contested if adjudicate else self._missing:
                document = self.documents[name]
                for place in self._open_places(document, reader, adjudicate):
                    if self._claim(document, place, reader):
                        return document
            return None

    def answer(self, reader: str, answer: Answer) -> Label:
        """Put the answer into the store; an earlier one of the same person on the document is superseded.

        The same answer twice is one label. Raises Refused, with what is wrong.
        """
        document = self.documents.get(answer.sample_id)
        if document is None or document.doc_sha256 != answer.doc_sha256:
            raise Refused("this document is not in the sample; load the page again")
        self._check(document, answer)
        with self._lock:
            self._read(document)
            mine = self._own(answer.sample_id, reader)
            role = self._role(document, reader)
            if mine is None and not answer.adjudicated:
                role = "reader"  # whose claim had run out while others read: blind, one reader more
            label = Label(
                sample_id=document.sample_id,
                doc_id=document.doc_id,
                doc_sha256=document.doc_sha256,
                stratum=document.stratum,
                annotator=reader,
                role=role,
                label=answer.label,
                defects=tuple(sorted(set(answer.defects))),
                start=answer.start,
                end=answer.end,
                shown_at=answer.shown_at,
                answered_at=answer.answered_at,
                seconds=round(answer.seconds, 3),
                client=CLIENT,
                guideline_version=GUIDELINE_VERSION,
            )
            if mine and _said(mine) == _said(label):
                return mine
            if mine:
                label = label.model_copy(update={"supersedes": label_key(self.sample.digest, mine)})
            put_label(self.store, self.sample.digest, label)
            self._labels[document.sample_id][reader] = label
            self._note(document)
            return label

    def mine(self, reader: str) -> list[Label]:
        """What the person answered, in the order in which they did."""
        with self._lock:
            self._refresh()
            found = [own for name in self._labels if (own := self._own(name, reader))]
        return sorted(found, key=lambda label: (label.answered_at or "", label.sample_id))

    def hints(self, sample_id: str, reader: str) -> tuple[str, ...] | None:
        """What the automatic readers say, once the person has answered; None before: it would steer them."""
        with self._lock:
            return self._hints.get(sample_id, ()) if self._own(sample_id, reader) else None

    def others(self, sample_id: str, reader: str) -> list[Label]:
        """What readers said of a document that ``reader`` adjudicates; empty for one that they read blind."""
        with self._lock:
            document = self.documents[sample_id]
            if self._role(document, reader) != "adjudicator":
                return []
            return [label for label in self._labels.get(sample_id, {}).values() if label.role == "reader"]

    def progress(self, reader: str) -> dict[str, Any]:
        """Readings wanted and given, the person's own, and documents that wait for an adjudicator."""
        with self._lock:
            self._refresh()
            wanted = sum(document.readers for document in self.documents.values())
            given = wanted - sum(self._missing.values())
            adjudicable = sum(not self._own(name, reader) for name in self._contested)
            own = [label for name in self._labels if (label := self._own(name, reader))]
        seconds = sorted(label.seconds for label in own if label.seconds)
        return {
            "documents": len(self.documents),
            "wanted": wanted,
            "given": given,
            "mine": len(own),
            "median_seconds": seconds[len(seconds) // 2] if seconds else None,
            "contested": len(self._contested),
            "adjudicable": adjudicable,
        }

    # Parts of the above; the lock is held

    def _refresh(self) -> None:
        """Take in what was answered through other servers."""
        if self.clock() - self._refreshed < REFRESH_SECONDS:
            return
        fresh: dict[str, dict[str, Label]] = {}
        self._given = given_labels(self.store, self.sample.digest, self._given)
        for label in standing_labels(self._given):
            fresh.setdefault(label.sample_id, {})[label.annotator] = label
        self._labels = fresh
        for name in fresh:
            if document := self.documents.get(name):
                self._note(document)
        self._refreshed = self.clock()

    def _read(self, document: Document) -> None:
        """Take in what was said of a document till now: the person may have come from another server."""
        found = given_labels(self.store, self.sample.digest, self._given, document.sample_id)
        self._given |= found
        self._labels[document.sample_id] = {label.annotator: label for label in standing_labels(found)}
        self._note(document)

    def _note(self, document: Document) -> None:
        """What is left to do for a document, after a label on it."""
        name, labels = document.sample_id, self._labels[document.sample_id].values()
        missing = document.readers - len(self._readers(name))
        if missing > 0:
            self._missing[name] = missing
            return
        self._missing.pop(name, None)
        if any(label.label == "bad" for label in labels) and all(label.role == "reader" for label in labels):
            self._contested[name] = document
        else:
            self._contested.pop(name, None)

    def _own(self, sample_id: str, reader: str) -> Label | None:
        return self._labels.get(sample_id, {}).get(reader)

    def _readers(self, sample_id: str) -> list[str]:
        return [
            label.annotator for label in self._labels.get(sample_id, {}).values() if label.role == "reader"
        ]

    def _role(self, document: Document, reader: str) -> Literal["reader", "adjudicator"]:
        if mine := self._own(document.sample_id, reader):
            return mine.role
        others = [name for name in self._readers(document.sample_id) if name != reader]
        return "adjudicator" if len(others) >= document.readers else "reader"

    def _open_places(self, document: Document, reader: str, adjudicate: bool) -> Iterator[str]:
        """Places of the document that the reader holds or may claim."""
        if self._own(document.sample_id, reader):
            return
        if adjudicate:
            yield ADJUDICATION
            return
        readers = self._readers(document.sample_id)
        free, busy = [], len(readers)
        for place in map(str, range(document.readers)):
            holder, since = self._claims.get((document.sample_id, place), ("", 0.0))
            if holder == reader:
                yield place
                return
            if holder in readers:
                continue
            if not holder or self._expired(holder, since, readers):
                free.append(place)
            else:
                busy += 1
        if busy < document.readers:
            yield from free

    def _expired(self, holder: str, since: float, readers: list[str]) -> bool:
        return holder not in readers and self.clock() - since > CLAIM_SECONDS

    def _claim(self, document: Document, place: str, reader: str) -> bool:
        """Whether the place is the reader's now: new, theirs already, or left by somebody long ago."""
        key = f"claims/{self.sample.digest}/{document.sample_id}/{place}.json"
        mine = canonical_json({"reader": reader, "at": self.clock()})
        known = (document.sample_id, place)
        if self._claims.get(known, ("", 0.0))[0] == reader:
            return True
        if self.store.create(key, mine):
            self._claims[known] = (reader, self.clock())
            return True
        try:
            data, etag = self.store.get_with_etag(key)
            claim = json.loads(data)
            holder, since = str(claim["reader"]), float(claim["at"])
        except ObjectMissing:
            return False  # somebody is at it at this moment
        except (ValueError, KeyError, TypeError):
            raise DataError(f"claim {self.store.uri}/{key} is damaged; delete it") from None
        self._claims[known] = (holder, since)
        if holder == reader:
            return True
        if self._expired(holder, since, self._readers(document.sample_id)) and self.store.replace(
            key, mine, etag
        ):
            self._claims[known] = (reader, self.clock())
            return True
        return False

    def _check(self, document: Document, answer: Answer) -> None:
        unknown = sorted(set(answer.defects) - set(DEFECTS))
        if unknown:
            raise Refused(f"unknown defects: {', '.join(unknown)}")
        if (answer.label == "bad") != bool(answer.defects):
            raise Refused("a bad document has at least one defect, a good one has none")
        if (answer.start is None) != (answer.end is None):
            raise Refused("a marked passage has a start and an end")
        start, end = answer.start or 0, answer.end or 0
        if answer.start is not None and not start < end <= len(document.text):
            raise Refused("the marked passage lies outside of the text")


def read_twice(sample_ids: Iterable[str]) -> set[str]:
    """The documents that two people read: a tenth of all, rounded up, drawn by their ids."""

    def drawn(sample_id: str) -> bytes:
        return hashlib.sha256(f"double:{sample_id}".encode()).digest()

    ordered = sorted(sample_ids, key=drawn)
    return set(ordered[: math.ceil(DOUBLE_SHARE * len(ordered))])


def open_sample(ref: str, store: Any) -> Artifact:
    """The sample that a reference below the store names. Raises UsageError for anything else."""
    relative = ref.removeprefix(f"{store.uri}/")
    if not relative.startswith("evaluate/"):
        raise UsageError(f"{ref!r} is not a sample: it was not made by evaluate")
    return Artifact.open(relative, store)


def _texts(row: dict[str, Any]) -> dict[str, str]:
    return {name: value or "" for name, value in row.items()}


def _said(label: Label) -> dict[str, Any]:
    return label.model_dump(include={"label", "defects", "start", "end"})
