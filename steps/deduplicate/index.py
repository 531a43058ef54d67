"""Indexes of published dumps: keys of what was kept, and the merging that keeps the live ones few.

Every deduplicate artifact is the index of its dump: a file of keys per shard. It also takes over earlier indexes that
are no larger, as in a log-structured merge tree (O'Neil et al., 1996, https://doi.org/10.1007/s002360050048): their
keys are copied into run files, a segment per shard, and a table says for each segment which dump's artifact (a
*member*) and which shard it is about, so that texts are found where they lie. Once it is published, the catalog lists
it in their place. An index is as large as the number of dumps in it; the live ones differ in log2 of that, so that at
most log2(dumps) + 1 are live and a dump's keys are copied log2(dumps) times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import pyarrow as pa

from steps.core.artifact import Artifact
from steps.core.dedup_index import INDEX, members
from steps.core.manifest import FileEntry
from steps.core.parts import select_inputs
from steps.deduplicate.exchange import read_run

MERGED = "dedup_index_merged"  # kind of a run file with keys of members' shards
SHARDS = "dedup_index_shards"  # kind of the table of those
SHARDS_SCHEMA = pa.schema(
    [("member", pa.string()), ("shard_key", pa.string()), ("file", pa.string()), ("segment", pa.int64())]
)


class KeysAt(NamedTuple):
    """Where an index holds a shard's keys: a file of their own, or one segment of a run file; and by which settings."""

    artifact: Artifact
    file: FileEntry
    segment: int | None
    settings: str

    def read(self) -> pa.Table | None:
        """The keys, None if there are none. Raises DataError if they are damaged."""
        if self.segment is None:
            return self.artifact.read_table(self.file)
        return read_run(self.artifact, self.file.model_dump(), self.segment)


def keys_of(index: Artifact) -> dict[tuple[str, str], KeysAt]:
    """Where the keys of each (member, shard key) lie; nothing for what has no index files."""
    found = {
        (index.digest, entry.meta["shard_key"]): KeysAt(index, entry, None, entry.meta["settings"])
        for entry in index.files(INDEX)
    }
    runs = {entry.key: entry for entry in index.files(MERGED)}
    for entry in index.files(SHARDS):
        for line in index.read_table(entry).to_pylist():
            file = runs[line["file"]]
            place = KeysAt(index, file, line["segment"], file.meta["settings"])
            found[line["member"], line["shard_key"]] = place
    return found


def taken_over(inputs: Mapping[str, Artifact], left_out: Iterable[str]) -> frozenset[str]:
    """Digests of the members whose keys go into the new index.

    An index that holds a member to be left out must go, so that the rest of it is taken over. Then every index is
    whose size is not above the new one's, in powers of two: what is left lies above it and differs among itself.
    """
    left_out = set(left_out)
    sizes = {frozenset(members(index)) for index in select_inputs(inputs, "index").values()}
    mine = frozenset[str]().union(*(held for held in sizes if held & left_out)) - left_out
    others = {held for held in sizes if not held & left_out}
    while True:
        level = (1 + len(mine)).bit_length()
        small = {held for held in others if len(held).bit_length() <= level}
        if not small:
            return mine
        mine, others = mine.union(*small), others - small
