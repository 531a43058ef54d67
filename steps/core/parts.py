"""Parts: finished pieces of a step's work, each committed by one create-only marker (CONTRACT §2).

A part's files are uploaded under their content's name first and its marker last; a restarted step takes every
part that has a marker and does the rest.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field

from steps.core.artifact import Artifact
from steps.core.config import Runtime, StepConfig
from steps.core.corpus import CorpusShard
from steps.core.counts import Counts
from steps.core.digest import bytes_digest, canonical_json, file_digest, json_digest
from steps.core.document import check_pairs, text_digests
from steps.core.errors import DataError
from steps.core.ledger import LedgerWriter
from steps.core.manifest import FileEntry, Reference
from steps.core.store import ObjectMissing, Store, open_store

ROW_GROUP_ROWS = 16_384
QUARANTINE_RAW_LIMIT = 65_536


class PartMarker(BaseModel):
    """``parts/<phase>-<n>.json``: its existence makes the part complete."""

    phase: str
    number: int
    task: str  # digest of the task
    result: Any = None
    files: list[FileEntry] = Field(default_factory=list)
    temporary: list[FileEntry] = Field(default_factory=list)
    views: list[FileEntry] = Field(default_factory=list)
    counts: Counts = Field(default_factory=Counts)

    def encode(self) -> bytes:
        return canonical_json(self.model_dump())


PartResult = PartMarker
PartFunction = Callable[[dict[str, Any], "PartWriter"], Any]


@dataclass(frozen=True)
class PartWork:
    """Everything a worker process needs to do one part; picklable, without credentials."""

    store_uri: str
    folder: str
    step: str
    config: StepConfig
    inputs: Mapping[str, str]
    scratch: Path | None  # None: the scratch place of the machine that does it
    phase: str
    number: int
    function: PartFunction
    task: dict[str, Any]
    locations: Mapping[str, str] = field(default_factory=dict)


class PartWriter:
    """What the function of a part writes with: files, counts, ledger rows, quarantine."""

    def __init__(self, work: PartWork, store: Store, scratch: Path) -> None:
        self.config: Any = work.config
        self.task, self.scratch, self.store = work.task, scratch, store
        self.locations = dict(work.locations)
        self.count = Counts()
        self.ledger = LedgerWriter(work.step)
        self._work = work
        self._files: list[FileEntry] = []
        self._temporary: list[FileEntry] = []
        self._views: list[FileEntry] = []
        self._quarantine = LedgerWriter(work.step)
        self._raw: list[bytes | None] = []

    @property
    def inputs(self) -> dict[str, Artifact]:
        return {name: open_artifact(ref) for name, ref in self._work.inputs.items()}

    def input_list(self, name: str) -> dict[str, Artifact]:
        """The inputs ``name.<key>`` of an input that takes many, by key."""
        return select_inputs(self.inputs, name)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        kind: str,
        *,
        rows: int | None = None,
        temporary: bool = False,
        **meta: Any,
    ) -> FileEntry:
        """Upload ``data``; it becomes a file of the artifact under ``key`` (temporary: of later phases only)."""
        entry = FileEntry(
            key=key, kind=kind, rows=rows, bytes=len(data), sha256=bytes_digest(data), meta=meta
        )
        self.store.put(f"{self._work.folder}/{entry.object_name}", data)
        (self._temporary if temporary else self._files).append(entry)
        return entry

    def put_file(
        self,
        key: str,
        path: Path,
        kind: str,
        *,
        rows: int | None = None,
        temporary: bool = False,
        move: bool = False,
        **meta: Any,
    ) -> FileEntry:
        """`put_bytes` of the file at ``path``, streamed; with ``move`` it is gone from there."""
        entry = FileEntry(
            key=key, kind=kind, rows=rows, bytes=path.stat().st_size, sha256=file_digest(path), meta=meta
        )
        put = self.store.move_file if move else self.store.put_file
        put(f"{self._work.folder}/{entry.object_name}", path)
        (self._temporary if temporary else self._files).append(entry)
        return entry

    def put_view(self, key: str, data: bytes) -> FileEntry:
        """Upload something for people (a report page); it does not enter the content digest."""
        entry = FileEntry(key=key, kind="view", bytes=len(data), sha256=bytes_digest(data))
        self.store.put(f"{self._work.folder}/{entry.object_name}", data)
        self._views.append(entry)
        return entry

    def put_table(
        self, key: str, table: pa.Table, kind: str, *, temporary: bool = False, **meta: Any
    ) -> FileEntry:
        """Upload an Arrow table as Parquet (zstd), byte for byte the same for the same table."""
        return self.put_bytes(
            key, parquet_bytes(table), kind, rows=table.num_rows, temporary=temporary, **meta
        )

    def put_shard(self, number: int, table: pa.Table, signals: pa.Table | None = None) -> FileEntry:
        """Upload base shard ``number`` (a schema of document.py) with its text digests and signal columns.

        Raises DataError where a prompt and its response are not the document's text.
        """
        check_pairs(table)
        entry = self.put_table(f"shards/{number:05d}.parquet", table.combine_chunks(), "shard")
        digests = text_digests(table["text"].to_pylist())
        self.put_bytes(
            f"text_digests/{number:05d}.bin",
            digests.tobytes(),
            "text_digests",
            rows=table.num_rows,
            shard=entry.sha256,
            shard_key=entry.key,
        )
        if signals is not None and signals.num_columns:
            self._put_signals(entry.key, entry.sha256, table.num_rows, signals)
        return entry

    def put_signals(self, shard: CorpusShard, signals: pa.Table) -> FileEntry:
        """Lay signal columns, one value per base row, over ``shard``."""
        return self._put_signals(shard.entry.key, shard.sha256, shard.rows, signals)

    def _put_signals(self, shard_key: str, sha256: str, rows: int, signals: pa.Table) -> FileEntry:
        if signals.num_rows != rows:
            raise ValueError(f"{signals.num_rows} signal rows for a shard of {rows}")
        return self.put_table(
            f"signals/{Path(shard_key).name}",
            signals.combine_chunks(),
            "signals",
            shard=sha256,
            shard_key=shard_key,
            columns=signals.column_names,
        )

    def put_keep(self, shard: CorpusShard, keep: np.ndarray) -> FileEntry:
        """Lay a keep-mask, one bool per base row, over ``shard``."""
        if keep.shape != (shard.rows,):
            raise ValueError(f"a mask of shape {keep.shape} for a shard of {shard.rows}")
        table = pa.table({"keep": pa.array(keep.astype(bool))})
        return self.put_table(
            f"keep_{self._work.step}/{Path(shard.entry.key).name}",
            table,
            "keep",
            shard=shard.sha256,
            shard_key=shard.entry.key,
        )

    def quarantine(
        self,
        *,
        reason: str,
        shard: str,
        row: int,
        bytes: int,
        source: str,
        language: str,
        doc_id: str | None = None,
        detail: str | None = None,
        raw: bytes | None = None,
    ) -> None:
        """Set a document aside that a kernel could not handle; counted, with up to 64 KiB of it kept."""
        self._quarantine.add(
            rule=reason,
            shard=shard,
            row=row,
            bytes=bytes,
            source=source,
            language=language,
            doc_id=doc_id,
            detail=detail,
            action="quarantined",
        )
        self._raw.append(None if raw is None else raw[:QUARANTINE_RAW_LIMIT])
        self.count.add_quarantined(reason, source, language, 1, bytes)

    def remember(self, name: str, value: Any) -> Any:
        """Keep what this attempt met outside (a kill by clock or memory, an answer) for every later attempt at the
        part; gives the value that was kept first.
        """
        key = f"{self._memory()}{name}.json"
        if self.store.create(key, canonical_json(value)):
            return value
        return json.loads(self.store.get(key))

    def remembered(self) -> dict[str, Any]:
        """What attempts at this part remembered, by name."""
        prefix = self._memory()
        return {
            info.key.removeprefix(prefix).removesuffix(".json"): json.loads(self.store.get(info.key))
            for info in self.store.list(prefix)
        }

    def _memory(self) -> str:
        return f"{marker_key(self._work.folder, self._work.phase, self._work.number).removesuffix('.json')}/"

    def finish(self, result: Any) -> PartMarker:
        """Upload ledger and quarantine and return the part's marker."""
        work = self._work
        name = f"{work.phase}-{work.number:05d}.parquet"
        if len(self.ledger):
            self.put_table(f"ledger/{name}", self.ledger.table(), "ledger")
        if len(self._quarantine):
            table = self._quarantine.table().append_column("raw", pa.array(self._raw, pa.binary()))
            self.put_table(f"quarantine/{name}", table, "quarantine")
        return PartMarker(
            phase=work.phase,
            number=work.number,
            task=json_digest(work.task),
            result=result,
            files=self._files,
            temporary=self._temporary,
            views=self._views,
            counts=self.count,
        )


def parquet_bytes(table: pa.Table) -> bytes:
    """Deterministic Parquet of an Arrow table."""
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=True,
    )
    return buffer.getvalue()


@lru_cache(maxsize=8)
def cached_store(uri: str) -> Store:
    """One store (and S3 client) per process and root."""
    return open_store(uri)


@lru_cache(maxsize=64)
def open_artifact(ref: str) -> Artifact:
    """One opened artifact per process and reference."""
    return Artifact.open(ref, cached_store(Reference.parse(ref).root))


def select_inputs(inputs: Mapping[str, Artifact], name: str) -> dict[str, Artifact]:
    return {key.removeprefix(f"{name}."): inputs[key] for key in sorted(inputs) if key.startswith(f"{name}.")}


def marker_key(folder: str, phase: str, number: int) -> str:
    return f"{folder}/parts/{phase}-{number:05d}.json"


def read_marker(
    store: Store, folder: str, phase: str, number: int, task: dict[str, Any]
) -> PartMarker | None:
    """The finished part of that number, or None. Raises DataError if it was made from another task."""
    key = marker_key(folder, phase, number)
    try:
        marker = PartMarker.model_validate_json(store.get(key))
    except ObjectMissing:
        return None
    except ValueError:
        raise DataError(f"part marker {store.uri}/{key} is damaged; delete it and retry") from None
    if marker.task != json_digest(task):
        raise DataError(f"part {store.uri}/{key} was made from another task: the step is not deterministic")
    return marker


def do_part(work: PartWork) -> PartMarker:
    """Run one part and commit its marker. Runs in a worker process or in the step's own."""
    store = cached_store(work.store_uri)
    # on another machine: what tasks share there (models) stays, under the step's name, until the node is gone
    place = work.scratch or Runtime.from_environment().scratch / f"tokenmill-{work.folder.replace('/', '-')}"
    place.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{work.phase}-", dir=place))
    try:
        part = PartWriter(work, store, scratch)
        marker = part.finish(work.function(work.task, part))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    key = marker_key(work.folder, work.phase, work.number)
    if not store.create(key, marker.encode()):
        # another attempt was faster, or the answer to our own write was lost
        other = store.get(key)
        if other != marker.encode():
            raise DataError(
                f"part {store.uri}/{key} exists with another content: the step is not deterministic"
            )
    return marker
