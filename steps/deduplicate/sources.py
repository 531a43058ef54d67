"""The shards that take part: those of earlier published dumps, then those of the corpus, in one fixed order.

A document's place is one uint64: source number << 40 | row. Published sources come first, so that a place also says
whether its document is published, and sorting by place sorts by shard sha256 and row (CONTRACT §3); which index a
published dump's keys lie in makes no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact
from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.dedup_index import made_from, members
from steps.core.parts import open_artifact, select_inputs
from steps.deduplicate.config import Config
from steps.deduplicate.index import KeysAt, keys_of
from steps.deduplicate.keys import QUALITY, SCHEMA, document_keys, settings_digest

ROW_BITS = np.uint64(40)
MOST_BUCKETS = 64  # of sources, by which decisions are exchanged: metadata grows with this, not with sources


@dataclass(frozen=True)
class Source:
    """One shard of ``artifact``: the corpus, or a published dump; its keys lie at ``index`` if it has any."""

    number: int
    published: bool
    artifact: Artifact
    shard: CorpusShard
    index: KeysAt | None

    @property
    def note(self) -> str | None:
        """What the ledger says of a document that stayed here: where it was published; None in the corpus.

        With the shard's sha256 it tells sources apart: a later dump may have a shard byte for byte as it was published.
        """
        return f"published in {self.artifact.reference.folder}" if self.published else None

    def keys(self, config: Config) -> pa.Table:
        """Keys of the shard's kept documents: from the index where it was made with these settings, else from text."""
        if self.index is not None and self.index.settings == settings_digest(config):
            keys = self.index.read()
            return SCHEMA.empty_table() if keys is None else keys
        signals = [QUALITY] if QUALITY in self.shard.signal_names else []
        return document_keys(self.shard.read(["doc_id", "url", "text"], signals=signals), config)

    def documents(self, columns: list[str], rows: np.ndarray) -> pa.Table:
        """Documents at the given base rows, in that order."""
        return self.shard.read(columns, kept=False).take(pa.array(rows)).drop_columns([ROW])


@lru_cache(maxsize=4)
def _sources(corpus: str, indexes: tuple[str, ...], left_out: frozenset[str]) -> tuple[Source, ...]:
    published: dict[tuple[str, str, str], tuple[Artifact, CorpusShard, KeysAt | None]] = {}
    for ref in indexes:
        index = open_artifact(ref)
        keys = keys_of(index)
        for digest, member in members(index).items():
            if digest in left_out:
                continue
            for shard in Corpus.open(member).shards:
                key = shard.entry.key
                published[shard.sha256, key, digest] = (member, shard, keys.get((digest, key)))
    artifact = open_artifact(corpus)
    own = sorted(Corpus.open(artifact).shards, key=lambda shard: (shard.sha256, shard.entry.key))
    keys = keys_of(artifact)  # it was de-duplicated before, and others were published since
    found = [Source(n, True, *published[place]) for n, place in enumerate(sorted(published))]
    found += [
        Source(n, False, artifact, shard, keys.get((artifact.digest, shard.entry.key)))
        for n, shard in enumerate(own, len(found))
    ]
    return tuple(found)


def all_sources(inputs: Mapping[str, Artifact]) -> tuple[Source, ...]:
    """All shards of the indexes and of the corpus; the same in every process, whatever the indexes are called.

    What was published of this dump before (the input ``own``) and what was made of this very corpus are left out of
    every index: a repeated run never meets itself.
    """
    by_digest = {index.digest: index.ref for index in select_inputs(inputs, "index").values()}
    refs = tuple(by_digest[digest] for digest in sorted(by_digest))
    return _sources(inputs["corpus"].ref, refs, left_out(inputs))


def left_out(inputs: Mapping[str, Artifact]) -> frozenset[str]:
    """Digests of the members of the indexes that this run does not meet."""
    corpus, own = inputs["corpus"].digest, inputs.get("own")
    found = {corpus} | ({own.digest} if own else set())
    for index in select_inputs(inputs, "index").values():
        found |= {digest for digest, member in members(index).items() if made_from(member) == corpus}
    return frozenset(found)


def places(source: int | np.ndarray, rows: np.ndarray) -> np.ndarray:
    """uint64[n]: places of rows of one source, or of a source each."""
    return (np.asarray(source, np.uint64) << ROW_BITS) | rows.astype(np.uint64)


def source_of(place: np.ndarray) -> np.ndarray:
    """int64[n]: the source number of each place."""
    return (place >> ROW_BITS).astype(np.int64)


def row_of(place: np.ndarray) -> np.ndarray:
    """int64[n]: the row of each place."""
    return (place & ((np.uint64(1) << ROW_BITS) - np.uint64(1))).astype(np.int64)


def bucket_size(sources: int) -> int:
    """Sources whose decisions go together."""
    return max(1, -(-sources // MOST_BUCKETS))


def keeper_order(
    place: np.ndarray, quality: np.ndarray, doc_high: np.ndarray, doc_low: np.ndarray, first_new: int
) -> np.ndarray:
    """int64[n]: positions in keeper order: published first, then quality, doc_id, shard sha256, row."""
    new = source_of(place) >= first_new
    return np.lexsort((place, doc_low, doc_high, quality, new))
