"""``tokenmill dedup explain``: what a document is a duplicate of and how near it comes, or what repeats it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.errors import DataError, UsageError
from steps.core.inspection import committed, find_artifact
from steps.core.store import open_store
from steps.deduplicate.sources import Source, all_sources

STEP = "deduplicate"
_SHOWN = 300  # characters of each text
_WHY = {
    "duplicate_url": "same URL after canonicalisation",
    "exact_duplicate": "same text once punctuation, emoji, symbols and space are gone",
    "near_duplicate": "nearly the same text",
}
_ORDER = tuple(_WHY)  # of the stages: what a document went for may go in a later one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("explain",))
    parser.add_argument("document", metavar="DOC_ID")
    parser.add_argument("--artifact", help="a deduplicate artifact (default: every one below the root)")


def execute(arguments: argparse.Namespace, root: str) -> None:
    """Print what de-duplication found for a document.

    Raises DataError where it never took part, UsageError for another step's artifact.
    """
    document, asked = arguments.document, arguments.artifact
    artifacts: Iterable[Artifact] = (
        [_deduplicated(asked, root)] if asked else committed(open_store(root), STEP)
    )
    lines = [line for artifact in artifacts for line in explain(artifact, document)]
    if not lines:
        raise DataError(
            f"document {document} did not reach {asked or f'any de-duplication below {root}'}; "
            "`tokenmill trace DOC_ID ARTIFACT` says where it ended"
        )
    print("\n".join(lines))


def _deduplicated(asked: str, root: str) -> Artifact:
    artifact = find_artifact(asked, root)
    if artifact.manifest.identity.payload.step != STEP:
        raise UsageError(
            f"{artifact.reference.uri} is no {STEP} artifact; see `tokenmill trace DOC_ID ARTIFACT`"
        )
    return artifact


def explain(artifact: Artifact, document: str) -> Iterator[str]:
    """Lines about one document in one de-duplication; none if it did not take part."""
    inputs = {name: artifact.input(name) for name in artifact.input_names()}
    sources = all_sources(inputs)
    by_shard = {(source.shard.sha256, source.note): source for source in sources}
    removed = False
    for row in _ledger(artifact, doc_id=document):
        removed = True
        yield f"{artifact.reference.uri}: removed as {_reason(row)}"
        yield from _shown("it", by_shard[row["shard"], None], row["row"])
        while later := _later(artifact, row):
            yield from _shown("first", by_shard[row["match_shard"], None], row["match_row"])
            yield f"  which then was removed as {_reason(later)}"
            row = later
        yield from _shown("stayed", by_shard[row["match_shard"], row["detail"]], row["match_row"])
    matched = False
    for row in _ledger(artifact, match_doc_id=document):
        matched = True
        how = "before that" if removed and row["detail"] is None else "stayed;"
        yield f"{artifact.reference.uri}: {how} {row['doc_id']} went as its {row['rule']}{_measure(row)}"
        yield from _shown("went", by_shard[row["shard"], None], row["row"])
    if not (removed or matched) and any(
        _holds(source, document) for source in sources if not source.published
    ):
        yield f"{artifact.reference.uri}: stayed; nothing went for it"


def _ledger(artifact: Artifact, **values: Any) -> Iterator[dict[str, Any]]:
    """Rows of the ledger with these values."""
    for entry in artifact.files("ledger"):
        table = artifact.read_table(entry)
        for column, value in values.items():
            table = table.filter(pc.fill_null(pc.equal(table[column], value), False))
        yield from table.to_pylist()


def _later(artifact: Artifact, row: dict[str, Any]) -> dict[str, Any] | None:
    """The removal of what a document went for, by a later stage; None where that stayed."""
    if row["detail"] is not None:
        return None
    found = _ledger(artifact, shard=row["match_shard"], row=row["match_row"])
    return next((gone for gone in found if _ORDER.index(gone["rule"]) > _ORDER.index(row["rule"])), None)


def _reason(row: dict[str, Any]) -> str:
    return f"{row['rule']}, {_WHY[row['rule']]}{_measure(row)}"


def _measure(row: dict[str, Any]) -> str:
    if row["distance"] is None:
        return ""
    return f" (Hamming distance {row['distance']} of 64 bits, similarity {row['similarity']:.3f})"


def _shown(title: str, source: Source, row: int) -> Iterator[str]:
    document = source.documents(["doc_id", "url", "text"], np.array([row])).to_pylist()[0]
    place = f", {source.note}" if source.published else ""
    yield f"  {title + ':':<8}{document['doc_id']}  {document['url'] or '(no URL)'}{place}"
    text = " ".join(document["text"][: 2 * _SHOWN].split())
    yield f"          {text[:_SHOWN]}{' …' if len(text) > _SHOWN else ''}"


def _holds(source: Source, document: str) -> bool:
    return bool(pc.any(pc.equal(source.shard.read(["doc_id"])["doc_id"], pa.scalar(document))).as_py())
