"""A document's way through artifacts: from the raw record over every corpus and ledger to token windows and weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.source import SourceListing

TRAIN = "train"


@dataclass(frozen=True)
class Span:
    """Tokens ``start`` to ``end`` of the document, in a window of a set ("train" or "heldout/…")."""

    set: str
    window: int
    start: int
    end: int


@dataclass
class Trace:
    """What is known of one document so far; artifacts are looked at oldest first."""

    document: str
    places: set[tuple[str, int]] = field(default_factory=set)  # base shard's sha256, row
    spans: dict[str, list[Span]] = field(default_factory=dict)  # by digest of the artifact with the windows

    def through(self, artifact: Artifact) -> Iterator[str]:
        """One line for each thing that this artifact says about the document."""
        where = f"{artifact.step:<14} {artifact.reference.fingerprint[:12]}  "
        for part in (self._held, self._judged, self._planned, self._packed, self._trained):
            yield from (where + line for line in part(artifact))

    def _held(self, artifact: Artifact) -> Iterator[str]:
        raw = _raw_objects(artifact)
        for entry in artifact.files("shard"):
            table = artifact.read_table(entry, ["doc_id", "url", "origin"])
            for row in np.flatnonzero(pc.equal(table["doc_id"], self.document).to_numpy()).tolist():
                self.places.add((entry.sha256, row))
                origin = table["origin"][row].as_py() or {}
                shard = raw.get(origin.get("shard"), str(origin.get("shard"))[:12])
                came = f", from {shard} row {origin.get('row')}" if origin else ""
                yield f"holds it in {entry.key} row {row}, {table['url'][row].as_py()}{came}"

    def _judged(self, artifact: Artifact) -> Iterator[str]:
        for entry in [*artifact.files("ledger"), *artifact.files("quarantine")]:
            table = artifact.read_table(entry)
            mine = pc.fill_null(pc.equal(table["doc_id"], self.document), False)
            mask = mine.to_numpy(zero_copy_only=False) | self._at(table, table["shard"])
            for row in table.filter(pa.array(mask)).to_pylist():
                match = f", matched {row['match_doc_id']}" if row["match_doc_id"] else ""
                span = f", bytes {row['start']} to {row['end']}" if row["start"] is not None else ""
                yield f"{row['action']} by {row['rule']} ({row['level']}, value {row['value']}{span}){match}"

    def _planned(self, artifact: Artifact) -> Iterator[str]:
        """Its turns in the training order of a mix, whose plans name shards by number."""
        listed = artifact.files("shards")
        if not listed:
            return
        shards = pa.array([shard["sha256"] for shard in json.loads(artifact.read_bytes(listed[0]))])
        for entry in artifact.files("plan"):
            table = artifact.read_table(entry)
            mask = self._at(table, shards.take(table["shard"].combine_chunks()))
            for row in table.filter(pa.array(mask)).to_pylist():
                replay = ", replayed" if row["replay"] else ""
                stage = entry.meta["stage"]
                yield f"stage {stage} takes it as document {row['order']}, pass {row['pass']}{replay}"

    def _packed(self, artifact: Artifact) -> Iterator[str]:
        for entry in artifact.files("segments"):
            table = artifact.read_table(entry)
            name = str(entry.meta["set"])
            for row in table.filter(pa.array(self._at(table, table["shard"]))).to_pylist():
                span = Span(name, row["window"], row["start"], row["end"])
                self.spans.setdefault(artifact.digest, []).append(span)
                stage = artifact.facts.get("stage")
                yield f"stage {stage}: its tokens {span.start} to {span.end} are in {name} window {span.window}"

    def _trained(self, artifact: Artifact) -> Iterator[str]:
        """Which optimizer steps took its windows in: step s takes the s-th ``batch_windows`` of the set train."""
        if artifact.step != TRAIN:
            return
        digest = artifact.manifest.identity.payload.inputs["tokens"]
        size, steps = artifact.config["batch_windows"], artifact.facts["steps"]
        for window in sorted({span.window for span in self.spans.get(digest, ()) if span.set == TRAIN}):
            step = window // size + 1
            stage = artifact.facts["stage"]
            if step <= steps:
                yield f"stage {stage}: its weights saw window {window} in optimizer step {step} of {steps}"
            else:
                yield f"stage {stage}: ended after {steps} steps, before window {window}"

    def _at(self, table: pa.Table, shards: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """Which rows of a table with a column ``row`` are at one of the document's places."""
        rows = table["row"].to_numpy()
        mask = np.zeros(table.num_rows, bool)
        for shard, row in self.places:
            same = pc.fill_null(pc.equal(shards, shard), False).to_numpy(zero_copy_only=False)
            mask |= same & (rows == row)
        return mask


def _raw_objects(artifact: Artifact) -> dict[str | None, str]:
    """Names of raw objects by sha256, for a corpus that was read from them."""
    if not artifact.has_input("source"):
        return {}
    # ingest lists the objects again where their sha256 was not known before they were fetched
    listing = SourceListing.of(artifact if artifact.files("objects") else artifact.input("source"))
    return {item.sha256: f"{item.source}: {item.key}" for item in listing.objects}


def oldest_first(artifact: Artifact) -> list[Artifact]:
    """Everything that the artifact was made from and the artifact, each once and after what it was made from."""
    done: dict[str, Artifact] = {}
    stack = [(artifact, False)]
    while stack:
        current, parents_done = stack.pop()
        if current.digest in done:
            continue
        if parents_done:
            done[current.digest] = current
            continue
        stack.append((current, True))
        stack.extend((current.input(name), False) for name in reversed(current.input_names()))
    return list(done.values())
