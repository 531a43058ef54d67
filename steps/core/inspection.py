"""Questions about artifacts: what is in one, why two differ, which documents came and went, where one comes from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc

from steps.core.artifact import MANIFEST, Artifact, load_manifest
from steps.core.corpus import Corpus
from steps.core.errors import DataError, UsageError
from steps.core.progress import human_bytes
from steps.core.store import Store, open_store
from steps.core.tracing import Trace, oldest_first

_SHOWN = 20


def find_artifact(text: str, root: str) -> Artifact:
    """An artifact by reference (with or without its root), by URI, or as ``step/<start of fingerprint>`` below root."""
    store = open_store(root)
    if "@" in text:
        return Artifact.open(text, store)
    folder = text.removeprefix(f"{root}/").strip("/")
    step, _, start = folder.partition("/")
    found = sorted(
        {
            info.key.rsplit("/", 1)[0]
            for info in store.list(f"{step}/{start}")
            if info.key.endswith("/manifest.json")
        }
    )
    if len(found) != 1:
        raise UsageError(
            f"{text!r} names {len(found)} committed artifacts below {root}; give more of the fingerprint"
        )
    manifest = load_manifest(store, found[0])
    assert manifest is not None
    return Artifact.of(store, found[0], manifest)


def committed(store: Store, step: str) -> Iterator[Artifact]:
    """Every committed artifact of a step, in the order of their fingerprints."""
    for info in store.list(f"{step}/"):
        folder, _, name = info.key.rpartition("/")
        if name == MANIFEST and (manifest := load_manifest(store, folder)) is not None:
            yield Artifact.of(store, folder, manifest)


def show(arguments: argparse.Namespace, root: str) -> None:
    """Print what an artifact holds: inputs, counts by reason, files by kind, facts."""
    artifact = find_artifact(arguments.artifact, root)
    identity = artifact.manifest.identity
    print(artifact.ref)
    print(
        f"step {identity.payload.step} v{identity.payload.version}, document set {identity.documents or '-'}"
    )
    for name in artifact.input_names():
        print(
            f"  input {name}: {identity.payload.inputs[name]}  {artifact.manifest.provenance['inputs'][name]}"
        )
    total = identity.counts.total
    for column in ("input", "kept", "removed", "quarantined", "written"):
        tally = getattr(total, column)
        print(f"  {column:<12} {tally.documents:>10,} documents {human_bytes(tally.bytes):>10}")
    for reason, tally in sorted(identity.counts.removed_by.items(), key=lambda item: -item[1].documents):
        print(f"    {reason:<40} {tally.documents:>8,} {human_bytes(tally.bytes):>10}")
    for reason, tally in sorted(identity.counts.quarantined_by.items()):
        print(f"    quarantined: {reason:<27} {tally.documents:>8,} {human_bytes(tally.bytes):>10}")
    kinds: dict[str, list[int]] = {}
    for entry in identity.files:
        kinds.setdefault(entry.kind, []).append(entry.bytes)
    for kind, sizes in sorted(kinds.items()):
        print(f"  {len(sizes)} {kind} file(s), {human_bytes(sum(sizes))}")
    for view in artifact.manifest.views:
        print(f"  {view.key}: {artifact.reference.uri}/{view.object_name}")
    for key, value in identity.facts.items():
        print(f"  {key}: {json.dumps(value, ensure_ascii=False)[:200]}")


def explain(arguments: argparse.Namespace, root: str) -> None:
    """Print what differs between the fingerprints of two artifacts of one step."""
    first, second = (
        find_artifact(text, root).manifest.identity.payload.model_dump()
        for text in (arguments.artifact, arguments.other)
    )
    differences = list(_differences(first, second, ""))
    for path, one, two in differences:
        print(f"{path}: {json.dumps(one, ensure_ascii=False)} -> {json.dumps(two, ensure_ascii=False)}")
    if not differences:
        print("nothing: both have the same fingerprint")


def _differences(one: Any, two: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted({*one, *two}):
            yield from _differences(one.get(key), two.get(key), f"{path}.{key}".lstrip("."))
    elif one != two:
        yield path, one, two


def diff(arguments: argparse.Namespace, root: str) -> None:
    """Print which documents one corpus has and the other has not, with the reason where a ledger knows it."""
    first, second = find_artifact(arguments.artifact, root), find_artifact(arguments.other, root)
    ids = [_kept_ids(Corpus.open(artifact)) for artifact in (first, second)]
    for gone, title, artifact in (
        (ids[0].keys() - ids[1].keys(), "only in the first", second),
        (ids[1].keys() - ids[0].keys(), "only in the second", first),
    ):
        print(f"{title}: {len(gone):,} documents")
        reasons = _removals(artifact, gone)
        for doc_id in sorted(gone)[:_SHOWN]:
            print(f"  {doc_id}  {reasons.get(doc_id, '-')}")
        if len(gone) > _SHOWN:
            print(f"  … and {len(gone) - _SHOWN:,} more")


def _kept_ids(corpus: Corpus) -> dict[str, int]:
    counts: dict[str, int] = {}
    for shard in corpus.shards:
        for doc_id in shard.read(["doc_id"])["doc_id"].to_pylist():
            counts[doc_id] = counts.get(doc_id, 0) + 1
    return counts


def _removals(artifact: Artifact, doc_ids: set[str]) -> dict[str, str]:
    """Step and rule that removed each document, from the ledgers of the artifact and of all it was made from."""
    found: dict[str, str] = {}
    for ancestor in ancestry(artifact):
        for entry in ancestor.files("ledger"):
            table = ancestor.read_table(entry, ["step", "rule", "level", "doc_id", "value"])
            table = table.filter(pc.equal(table["level"], "document"))
            for row in table.to_pylist():
                if row["doc_id"] in doc_ids:
                    found.setdefault(row["doc_id"], f"{row['step']}: {row['rule']} (value {row['value']})")
    return found


def ancestry(artifact: Artifact) -> list[Artifact]:
    """The artifact and every artifact that it was made from, nearest first, each once."""
    queue, seen = [artifact], {artifact.digest: artifact}
    while queue:
        current = queue.pop(0)
        for name in current.input_names():
            parent = current.input(name)
            if parent.digest not in seen:
                seen[parent.digest] = parent
                queue.append(parent)
    return list(seen.values())


def trace(arguments: argparse.Namespace, root: str) -> None:
    """Print a document's way: every artifact that holds, removed or packed it, from raw record to weights."""
    artifact, wanted = find_artifact(arguments.artifact, root), arguments.document
    found = Trace(wanted)
    lines = [line for ancestor in oldest_first(artifact) for line in found.through(ancestor)]
    if not lines:
        raise DataError(f"document {wanted} is nowhere in {artifact.reference.uri} or what it was made from")
    print("\n".join(lines))


COMMANDS: dict[str, tuple[Any, list[str], str]] = {
    "show": (show, ["artifact"], "say what an artifact holds"),
    "explain": (
        explain,
        ["artifact", "other"],
        "say why two artifacts of one step have different fingerprints",
    ),
    "diff": (diff, ["artifact", "other"], "list documents that only one of two corpora keeps, with reasons"),
    "trace": (
        trace,
        ["document", "artifact"],
        "follow a document from raw record to token windows and weights",
    ),
}
