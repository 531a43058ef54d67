"""Run files: one object per map task, with one Parquet segment per partition, read by range (DESIGN.md, engine).

An object is written once and holds all partitions of its task, so that the number of objects grows with tasks and
not with tasks x partitions. Its index (start, length, sha256 of each segment) is in the file entry's meta.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.core.artifact import Files
from steps.core.digest import bytes_digest
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter, parquet_bytes


def put_runs(part: PartWriter, key: str, tables: Mapping[int, pa.Table]) -> None:
    """Write one temporary object ``key`` with the non-empty ``tables``, each addressed by its partition number."""
    segments, index, at = [], {}, 0
    for partition in sorted(tables):
        if tables[partition].num_rows:
            segment = parquet_bytes(tables[partition].combine_chunks())
            index[str(partition)] = [at, len(segment), bytes_digest(segment)]
            segments.append(segment)
            at += len(segment)
    rows = sum(table.num_rows for table in tables.values())
    part.put_bytes(key, b"".join(segments), "runs", rows=rows, temporary=True, index=index)


def read_runs(files: Files, entries: Iterable[Mapping[str, Any]], partition: int) -> pa.Table | None:
    """Rows of one partition out of the run files ``entries`` (dumped file entries), in their order; None if empty.

    Raises DataError if a segment's checksum is wrong.
    """
    found = []
    for entry in map(FileEntry.model_validate, entries):
        if place := entry.meta["index"].get(str(partition)):
            start, length, digest = place
            segment = files.store.get_range(f"{files.folder}/{entry.object_name}", start, length)
            if bytes_digest(segment) != digest:
                raise DataError(
                    f"{files.where(entry)}, bytes {start}..{start + length}: the checksum is wrong; "
                    "delete the step's parts and retry"
                )
            found.append(pq.read_table(io.BytesIO(segment), use_threads=False))
    return pa.concat_tables(found) if found else None
