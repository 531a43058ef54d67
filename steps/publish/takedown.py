"""``tokenmill takedown``: documents go from what is published and stay out of what comes.

Nothing is rewritten in place. The entries join the catalog's takedown list, which every later ingest and publish obeys;
each published corpus that holds one of the documents is published anew without them, under the same verdict; and token
files, checkpoints and exports that were made with them are named, since only a person can decide what becomes of a
trained model. In the de-duplication index the documents stay as tombstones: a later re-post of the same text is removed
as a duplicate of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.corpus import Corpus
from steps.core.errors import UsageError
from steps.core.inspection import ancestry, committed
from steps.core.step import run_step
from steps.core.store import open_store
from steps.core.takedown import Takedowns, checked
from steps.publish.step import CORPORA

TAKEDOWNS = "takedowns"
_SHOWN = 10


class Hits(NamedTuple):
    """Documents of one published corpus that the entries name: (base shard's sha256, row) to doc_id."""

    corpus: Artifact
    documents: dict[tuple[str, int], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("entries", nargs="*", metavar="ENTRY", help="doc_id:ID, url:URL or domain:NAME")
    parser.add_argument("--from", dest="file", type=Path, help="a file with one entry per line")
    parser.add_argument("--reason", default="", help="why; kept in the catalog beside the entries")
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")


def execute(arguments: argparse.Namespace, root: str) -> None:
    """Take the entries down; print what is published anew, and what was made with the documents."""
    entries = wanted_entries(arguments)
    if not arguments.dry_run and not arguments.reason.strip():
        raise UsageError("takedown: give --reason; it is kept in the catalog beside the entries")
    store = open_store(root)
    catalog = Catalog(store)
    if not arguments.dry_run:
        catalog.update(TAKEDOWNS, lambda value: with_entries(value, entries, arguments.reason.strip()))
    found = [hits for corpus in committed(store, "publish") if (hits := find_hits(corpus, entries)).documents]
    current = {entry["corpus"]: (name, dump) for name, dump, entry in _published(catalog)}
    for hits in found:
        place = current.get(hits.corpus.local_ref)
        title = f"{place[0]} {place[1]}" if place else "an earlier version"
        ids = sorted(hits.documents.values())
        shown = ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
        print(f"{title}, {hits.corpus.reference.uri}: {len(ids):,} documents: {shown}")
        if place and not arguments.dry_run:
            print(
                f"  published anew as {publish_anew(catalog, *place, hits.corpus, entries, root).reference.uri}"
            )
    if not found:
        print("no published corpus holds such a document")
    for line in made_with(found, [a for step in ("pack", "train", "export") for a in committed(store, step)]):
        print(line)


def wanted_entries(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The entries of the command line and of its file. Raises UsageError naming one that is none."""
    lines = list(arguments.entries)
    if arguments.file:
        try:
            lines += arguments.file.read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise UsageError(f"{arguments.file}: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{arguments.file}: not UTF-8 from byte {error.start} on") from None
    try:
        entries = checked(tuple(line.strip() for line in lines if line.strip()))
    except ValueError as error:
        raise UsageError(f"takedown: {error}") from None
    if not entries:
        raise UsageError("takedown: no entry; give doc_id:ID, url:URL or domain:NAME, or --from a file")
    return entries


def with_entries(value: dict[str, Any], entries: Sequence[str], reason: str) -> dict[str, Any]:
    """The catalog's takedown list with more entries; an entry keeps the reason that it came with first."""
    reasons = {**dict.fromkeys(entries, reason), **value.get("reasons", {})}
    return {**value, "entries": sorted({*value.get("entries", []), *entries}), "reasons": reasons}


def _published(catalog: Catalog) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, corpus in sorted(catalog.get(CORPORA).items()):
        for dump, entry in sorted(corpus["dumps"].items()):
            yield name, dump, entry


def find_hits(corpus: Artifact, entries: Sequence[str]) -> Hits:
    """The kept documents of a published corpus that the entries name."""
    takedowns = Takedowns(entries)
    documents = {}
    for shard in Corpus.open(corpus).shards:
        table = shard.read(["doc_id", "url"])
        columns = (table[name].to_pylist() for name in ("_row", "doc_id", "url"))
        for row, doc_id, url in zip(*columns, strict=True):
            if takedowns.match(doc_id, url or ""):
                documents[shard.sha256, row] = doc_id
    return Hits(corpus, documents)


def publish_anew(
    catalog: Catalog, name: str, dump: str, old: Artifact, entries: Sequence[str], root: str
) -> Artifact:
    """The same corpus without the documents, entered in the catalog in the old one's place.

    It rests on the old one's verdict, which publish verifies again: what is left of an accepted corpus after removals
    that do not look at quality is accepted.
    """
    config = {**old.config, "takedowns": sorted({*old.config["takedowns"], *entries})}
    inputs = {given: old.input(given).ref for given in old.input_names()}
    new = run_step("publish", config=config, inputs=inputs, root=root).artifact
    kept = new.manifest.identity.counts.total.kept.documents

    def replace(corpora: dict[str, Any]) -> dict[str, Any]:
        entry = corpora[name]["dumps"][dump]
        if entry["corpus"] == old.local_ref:
            documents = new.manifest.identity.documents
            entry.update(corpus=new.local_ref, documents=documents, kept=kept)
        return corpora

    catalog.update(CORPORA, replace)
    return new


def made_with(found: Sequence[Hits], artifacts: Sequence[Artifact]) -> Iterator[str]:
    """One line per token set, checkpoint and export that holds, saw or rests on one of the documents."""
    places = {place for hits in found for place in hits.documents}
    windows: dict[
        str, np.ndarray
    ] = {}  # by digest of the token set: its training windows with such a document
    for artifact in artifacts:
        if artifact.step == "pack" and len(mine := packed_windows(artifact, places)):
            windows[artifact.digest] = mine
            yield f"token files {artifact.reference.uri}: {len(mine):,} windows hold tokens of them"
    touched: dict[str, str] = {}
    for artifact in artifacts:
        if artifact.step == "train" and (line := seen_by(artifact, windows)):
            touched[artifact.digest] = line
            yield f"checkpoint {artifact.reference.uri}: {line}"
    for artifact in artifacts:
        if artifact.step in ("train", "export") and artifact.digest not in touched:
            before = [parent for parent in ancestry(artifact)[1:] if parent.digest in touched]
            if before:
                yield f"{artifact.step} {artifact.reference.uri}: rests on {before[0].reference.uri}"


def packed_windows(artifact: Artifact, places: set[tuple[str, int]]) -> np.ndarray:
    """int64[n]: the windows of a token set's training part that hold a document at one of the places, sorted."""
    found = [np.empty(0, np.int64)]
    shards = pa.array(sorted({shard for shard, _ in places}), pa.string())
    for entry in artifact.files("segments"):
        if entry.meta["set"] != "train":
            continue
        table = artifact.read_table(entry, ["window", "shard", "row"])
        table = table.filter(pc.is_in(table["shard"], shards))
        rows = zip(*(table[name].to_pylist() for name in ("shard", "row", "window")), strict=True)
        found.append(np.array([window for shard, row, window in rows if (shard, row) in places], np.int64))
    return np.unique(np.concatenate(found))


def seen_by(train: Artifact, windows: dict[str, np.ndarray]) -> str:
    """What a stage's weights saw of the windows: step s takes the s-th ``batch_windows``; empty for nothing."""
    mine = windows.get(train.manifest.identity.payload.inputs["tokens"])
    if mine is None:
        return ""
    steps = np.unique(mine // train.config["batch_windows"]) + 1
    steps = steps[steps <= train.facts["steps"]]
    if not len(steps):
        return ""
    seen, last = len(steps), train.facts["steps"]
    return (
        f"stage {train.facts['stage']} saw them in {seen:,} of {last:,} optimizer steps, first in {steps[0]}"
    )
