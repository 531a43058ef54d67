"""The shards that take part: those of earlier published dumps, then those of the corpus, in one fixed order.

A document's place is one uint64: source number << 40 | row. Published sources come first, so that a place also says
whether its document is published, and sorting by place sorts by shard sha256 and row (CONTRACT §3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact
from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.manifest import FileEntry
from steps.core.parts import open_artifact, select_inputs
from steps.deduplicate.config import Config
from steps.deduplicate.keys import QUALITY, document_keys, settings_digest

ROW_BITS = np.uint64(40)
INDEX = "dedup_index"
MOST_BUCKETS = 256  # of sources, by which decisions are exchanged: metadata grows with this, not with sources


@dataclass(frozen=True)
class Source:
    """One shard: of the corpus, or of an earlier dump (``published``), with that dump's index file of it, if any."""

    number: int
    published: bool
    artifact: Artifact
    shard: CorpusShard
    index: FileEntry | None

    def keys(self, config: Config) -> pa.Table:
        """Keys of the shard's kept documents: from the index where it was made with these settings, else from text."""
        if self.index is not None and self.index.meta["settings"] == settings_digest(config):
            return self.artifact.read_table(self.index)
        signals = [QUALITY] if QUALITY in self.shard.signal_names else []
        return document_keys(self.shard.read(["doc_id", "url", "text"], signals=signals), config)

    def documents(self, columns: list[str], rows: np.ndarray) -> pa.Table:
        """Documents at the given base rows, in that order."""
        return self.shard.read(columns, kept=False).take(pa.array(rows)).drop_columns([ROW])


@lru_cache(maxsize=4)
def _sources(corpus: str, indexes: tuple[str, ...]) -> tuple[Source, ...]:
    found: list[Source] = []
    for ref in (*indexes, corpus):
        artifact = open_artifact(ref)
        files = {entry.meta["shard_key"]: entry for entry in artifact.files(INDEX)}
        for shard in sorted(Corpus.open(artifact).shards, key=lambda shard: (shard.sha256, shard.entry.key)):
            published = ref != corpus
            index = files.get(shard.entry.key) if published else None
            found.append(Source(len(found), published, artifact, shard, index))
    return tuple(found)


def all_sources(inputs: Mapping[str, Artifact]) -> tuple[Source, ...]:
    """All shards of the indexes and of the corpus; the same in every process, whatever the indexes are called.

    An index that was made of this very corpus is left out: a repeated run never meets itself.
    """
    corpus = inputs["corpus"]
    by_digest = {
        artifact.digest: artifact.ref
        for artifact in select_inputs(inputs, "index").values()
        if artifact.digest != corpus.digest and made_from(artifact) != corpus.digest
    }
    return _sources(corpus.ref, tuple(by_digest[digest] for digest in sorted(by_digest)))


def made_from(artifact: Artifact) -> str | None:
    """Digest of the corpus that an index was made from."""
    return artifact.manifest.identity.payload.inputs.get("corpus")


def places(source: int, rows: np.ndarray) -> np.ndarray:
    """uint64[n]: places of rows of one source."""
    return (np.uint64(source) << ROW_BITS) | rows.astype(np.uint64)


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
