"""Reads records with fields: JSONL (plain, gz, zst, lz4), JSON arrays and Parquet, by the recipe's field
mapping.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from steps.core.errors import DataError
from steps.core.source import SourceSettings
from steps.ingest.records import RawRecord

CHUNK = 1 << 20
MAX_JSON_BYTES = 1 << 30  # a JSON array is parsed as one value; larger sets belong into JSONL
PARQUET_BATCH = 1_000
DEFAULT_FIELDS = {name: name for name in ("text", "url", "title", "prompt", "response", "task", "language")}
_READ_ERRORS = (OSError, EOFError, zlib.error, ValueError, RuntimeError)


def open_compressed(path: Path) -> BinaryIO:
    """The decompressed stream of a file, by its first bytes: gzip, zstd, lz4 or plain."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
    if magic == b"\x04\x22\x4d\x18":
        from fastwarc.stream_io import Lz4Reader

        return Lz4Reader(path.open("rb"))  # type: ignore[return-value]
    return path.open("rb")


def read_jsonl(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """One record per line, split on ``\\n`` only: U+2028 and U+0085 are legal inside JSON strings."""
    for row, (line, size, problem) in enumerate(_lines(path, limit)):
        if problem:
            reason, detail = problem
            yield RawRecord(row, size, broken=reason, detail=detail, raw=line)
            continue
        try:
            value = json.loads(line)
        except ValueError as error:  # also invalid UTF-8
            yield RawRecord(row, size, broken="malformed_json", detail=str(error)[:200], raw=line)
            continue
        yield _record(row, size, value, settings, line)


def _lines(path: Path, limit: int) -> Iterator[tuple[bytes, int, tuple[str, str] | None]]:
    """Non-empty lines with their size; one longer than ``limit`` is skipped to its end without being held."""
    rest, dropped = b"", 0
    with open_compressed(path) as stream:
        # read1 hands out what was decompressed before a break; read would lose up to a whole chunk
        read = getattr(stream, "read1", stream.read)
        while True:
            try:
                chunk = read(CHUNK)
            except _READ_ERRORS as error:
                detail = str(error).strip() or type(error).__name__
                yield rest, len(rest) + dropped, ("truncated_object", f"after what could be read: {detail}")
                return
            *lines, rest = (rest + chunk).split(b"\n")
            if not chunk and rest:
                lines, rest = [*lines, rest], b""
            for line in lines:
                size, dropped = len(line) + dropped, 0
                if size > limit:
                    yield line[:CHUNK], size, ("oversized_record", f"{size} bytes, more than {limit}")
                elif line.strip():
                    yield line, size, None
            if not chunk:
                return
            if len(rest) > limit:
                dropped, rest = dropped + len(rest), b""


def read_json(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """The records of one JSON array; a file that is no array of objects is one broken record."""
    with open_compressed(path) as stream:
        try:
            data = stream.read(MAX_JSON_BYTES + 1)
            if data.lstrip()[:1] == b"{":  # many sets call their JSONL .json
                yield from read_jsonl(path, settings, limit)
                return
            if len(data) > MAX_JSON_BYTES:
                raise ValueError(f"more than {MAX_JSON_BYTES} bytes; use JSONL")
            values = json.loads(data)
            if not isinstance(values, list):
                raise ValueError("not an array of objects")
        except _READ_ERRORS as error:
            yield RawRecord(0, path.stat().st_size, broken="malformed_json", detail=str(error)[:200])
            return
    for row, value in enumerate(values):
        raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if len(raw) > limit:
            detail = f"{len(raw)} bytes, more than {limit}"
            yield RawRecord(row, len(raw), broken="oversized_record", detail=detail)
        else:
            yield _record(row, len(raw), value, settings, raw)


def read_parquet(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """The rows of a Parquet file. Only mapped columns are read; ``size`` is the UTF-8 length of their
    texts.
    """
    try:
        file = pq.ParquetFile(path)
        wanted = {part.partition(".")[0] for name in _fields(settings).values() for part in name.split("+")}
        columns = [name for name in file.schema_arrow.names if name in wanted]
        batches = file.iter_batches(batch_size=PARQUET_BATCH, columns=columns, use_threads=False)
        row = 0
        for batch in batches:
            for value in batch.to_pylist():
                size = sum(
                    len(v.encode("utf-8", "surrogatepass")) for v in value.values() if isinstance(v, str)
                )
                if size > limit:
                    detail = f"{size} bytes, more than {limit}"
                    yield RawRecord(row, size, broken="oversized_record", detail=detail)
                else:
                    yield _record(row, size, value, settings, None)
                row += 1
    except (pa.ArrowException, OSError) as error:
        yield RawRecord(
            0, path.stat().st_size, broken="unreadable_parquet", detail=str(error).splitlines()[0][:200]
        )


def _fields(settings: SourceSettings) -> Mapping[str, str]:
    """Record fields by document column; without a mapping, fields are looked for under the columns' own
    names.
    """
    unknown = sorted(set(settings.fields) - set(DEFAULT_FIELDS))
    if unknown:
        known = ", ".join(DEFAULT_FIELDS)
        raise DataError(
            f"source {settings.name}: fields maps unknown columns {', '.join(unknown)}; known: {known}"
        )
    return {**DEFAULT_FIELDS, **settings.fields}


def _record(row: int, size: int, value: Any, settings: SourceSettings, raw: bytes | None) -> RawRecord:
    record = RawRecord(row, size)
    if not isinstance(value, dict):
        record.broken, record.detail, record.raw = "malformed_record", "not an object", raw
        return record
    fields = _fields(settings)
    found = {column: _value(value, name) for column, name in fields.items()}
    record.url = found["url"] or ""
    record.language = found["language"] or ""
    record.metadata = {"title": found["title"]} if found["title"] else {}
    if settings.kind == "supervised":
        prompt, response = found["prompt"], found["response"]
        if not prompt or not response:
            missing = "prompt" if not prompt else "response"
            record.broken, record.raw = "malformed_record", raw
            record.detail = f"field {fields[missing]!r} ({missing}) is missing, empty or not a text"
            return record
        task = found["task"] or settings.task
        record.text, record.supervised = f"{prompt}\n{response}", (prompt, response, task)
    elif found["text"] is None:
        record.broken, record.raw = "malformed_record", raw
        record.detail = f"field {fields['text']!r} (text) is missing or not a text"
    else:
        record.text = found["text"]
    return record


def _value(value: Mapping[str, Any], name: str) -> str | None:
    """The text at ``name``: a field, a path with dots, or several joined by "+" (``instruction+input``)."""
    if "+" in name and name not in value:
        parts = [part for field in name.split("+") if (part := _value(value, field))]
        return "\n".join(parts) or None
    current: Any = value
    if name in value:
        current = value[name]
    else:
        for key in name.split("."):
            current = current.get(key) if isinstance(current, Mapping) else None
    return current if isinstance(current, str) else None
