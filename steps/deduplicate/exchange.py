"""Run files: one object per map task, with one segment per partition, read by range (DESIGN.md, engine).

An object is written once and holds all partitions of its task, so that the number of objects grows with tasks and
not with tasks x partitions. Where its segments lie is in the file entry's meta; `index_runs` gathers that of many
objects into one, again by partition, so that a reduce task carries one entry however many map tasks there were.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.digest import bytes_digest
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter


def put_runs(
    part: PartWriter,
    key: str,
    tables: Iterable[tuple[int, pa.Table]],
    compression: Literal["zstd"] | None = None,
    *,
    kind: str = "runs",
    temporary: bool = True,
    **meta: Any,
) -> None:
    """Write one object ``key``, temporary or of the artifact, with the non-empty ``tables``, each addressed by its
    partition number.

    Tables are taken one at a time, and are on disk before the next is made. Keys are as good as random, so that only
    texts gain from ``compression``.
    """
    path = part.scratch / "runs"
    index: dict[str, list[Any]] = {}
    rows = 0
    with path.open("wb") as file:
        for partition, table in tables:
            if table.num_rows:
                segment = _encode(table, compression)
                index[str(partition)] = [file.tell(), segment.size, bytes_digest(memoryview(segment))]
                file.write(segment)
                rows += table.num_rows
    part.put_file(key, path, kind, rows=rows, temporary=temporary, move=True, index=index, **meta)


def split(table: pa.Table, owner: np.ndarray, first: int = 0) -> Iterator[tuple[int, pa.Table]]:
    """(``first`` + owner, its rows), for each value of ``owner`` (int64[n]) that occurs and is not negative."""
    if owner.min(initial=0) < 0:
        mine = owner >= 0
        table, owner = table.filter(pa.array(mine)), owner[mine]
    narrow = np.min_scalar_type(
        int(owner.max(initial=0))
    )  # 16 bits are sorted by their digits, ten times as fast
    order = np.argsort(owner.astype(narrow), kind="stable")
    table, owner = table.take(pa.array(order)), owner[order]
    present, starts = np.unique(owner, return_index=True)
    bounds = itertools.pairwise([*starts.tolist(), len(owner)])
    for number, (begin, end) in zip(present.tolist(), bounds, strict=True):
        yield first + number, table.slice(begin, end - begin)


def index_runs(task: dict[str, Any], part: PartWriter) -> None:
    """One object that says for each partition where its segments are, in the order of the run files ``entries``."""
    found: dict[int, list[tuple[str, int, int, str]]] = {}
    for entry in map(FileEntry.model_validate, task["entries"]):
        for partition, (start, length, digest) in entry.meta["index"].items():
            found.setdefault(int(partition), []).append((entry.object_name, start, length, digest))
    names = ("object", "start", "length", "sha256")
    tables = (
        (partition, pa.table(dict(zip(names, zip(*found[partition], strict=True), strict=True))))
        for partition in sorted(found)
    )
    put_runs(part, task["key"], tables, "zstd")


def only(entry: Mapping[str, Any], partition: int) -> dict[str, Any]:
    """A dumped file entry as far as one partition goes: tasks that carried all of it would grow with their number."""
    index = entry["meta"]["index"]
    mine = {name: index[name] for name in (str(partition),) if name in index}
    return {**entry, "meta": {**entry["meta"], "index": mine}}


def read_runs(files: Files, index: Mapping[str, Any], partition: int) -> pa.Table | None:
    """Rows of one partition out of all run files of an index (a dumped file entry), in their order; None if empty.

    Raises DataError if a segment's checksum is wrong.
    """
    places = read_run(files, index, partition)
    if places is None:
        return None
    tables = [_read_segment(files, **place) for place in places.to_pylist()]
    return pa.concat_tables(tables)


def read_run(files: Files, entry: Mapping[str, Any], partition: int) -> pa.Table | None:
    """Rows of one partition of one run file (a dumped file entry); None if empty."""
    file = FileEntry.model_validate(entry)
    place = file.meta["index"].get(str(partition))
    return None if place is None else _read_segment(files, file.object_name, *place)


def _encode(table: pa.Table, compression: Literal["zstd"] | None) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue()


def _read_segment(files: Files, object: str, start: int, length: int, sha256: str) -> pa.Table:
    segment = files.store.get_range(f"{files.folder}/{object}", start, length)
    if bytes_digest(segment) != sha256:
        raise DataError(
            f"{files.store.uri}/{files.folder}/{object}, bytes {start}..{start + length}: the checksum is wrong; "
            "restore it, or delete what the step wrote there and run it again"
        )
    with pa.ipc.open_stream(segment) as reader:
        return reader.read_all()
