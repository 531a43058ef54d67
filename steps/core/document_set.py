"""The document-set digest: the identity of exactly one set of documents, which verdicts are bound to (CONTRACT §3)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from steps.core.corpus import Corpus
from steps.core.document import DIGEST_BYTES

BATCH_ROWS = 4_000_000  # documents whose digests are sorted at once: 128 MB


def corpus_documents(corpus: Corpus, scratch: Path) -> str:
    """The document-set digest of a corpus's kept rows, from the side files; memory is bounded by one prefix group."""
    rows = sum(shard.rows for shard in corpus.shards)
    if rows <= BATCH_ROWS:
        return document_set_digest(_runs([shard.kept_text_digests() for shard in corpus.shards], range(256)))
    groups = -(-rows // BATCH_ROWS)
    spilled = _spill(corpus, scratch, groups)
    return document_set_digest(
        run
        for group, prefixes in enumerate(np.array_split(np.arange(256), groups))
        for run in _runs([np.fromfile(spilled[group], np.uint8).reshape(-1, DIGEST_BYTES)], prefixes)
    )


def _spill(corpus: Corpus, scratch: Path, groups: int) -> list[Path]:
    """One pass over the side files into one local file per group of first bytes."""
    group_of = np.empty(256, np.int64)
    for group, prefixes in enumerate(np.array_split(np.arange(256), groups)):
        group_of[prefixes] = group
    paths = [scratch / f"documents-{group}.bin" for group in range(groups)]
    for shard in corpus.shards:
        digests = shard.kept_text_digests()
        owner = group_of[digests[:, 0]]
        for group, path in enumerate(paths):
            with path.open("ab") as file:
                file.write(digests[owner == group].tobytes())
    return paths


def _runs(blocks: list[np.ndarray], prefixes: Sequence[int] | np.ndarray) -> Iterator[bytes]:
    digests = sort_digests(np.concatenate([np.empty((0, DIGEST_BYTES), np.uint8), *blocks]))
    bounds = np.searchsorted(digests[:, 0], np.arange(257))
    for prefix in prefixes:
        yield digests[bounds[prefix] : bounds[prefix + 1]].tobytes()


def document_set_digest(runs: Iterable[bytes]) -> str:
    """The document-set digest: sha256 over the sha256 of each of 256 sorted runs, one per first digest byte.

    Each run is the concatenation of the sorted 32-byte text digests that start with that byte, with multiplicity,
    so that any grouping of the work gives the same digest (CONTRACT §3).
    """
    outer = hashlib.sha256()
    count = 0
    for run in runs:
        outer.update(hashlib.sha256(run).digest())
        count += 1
    if count != 256:
        raise ValueError(f"a document-set digest has 256 runs, not {count}")
    return outer.hexdigest()


def sort_digests(digests: np.ndarray) -> np.ndarray:
    """(n, 32) uint8 digests in lexicographic order."""
    flat = np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").ravel()
    return digests[np.argsort(flat, kind="stable")]
