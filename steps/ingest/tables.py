"""Reads records with fields: JSONL (plain, gz, zst, lz4), JSON arrays and Parquet, by the recipe's field
mapping.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steps.core.source import SourceSettings
from steps.ingest.compressed import READ_ERRORS, ends_early, open_compressed
from steps.ingest.fields import FieldMapping
from steps.ingest.json_array import Element, array_elements, begins_array
from steps.ingest.records import RawRecord

CHUNK = 1 << 20
PARQUET_ROWS = 1_000
PARQUET_BATCH_BYTES = 32 << 20


def read_jsonl(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """One record per line, split on ``\\n`` only: U+2028 and U+0085 are legal inside JSON strings.

    A record's row is its line, from 0; blank lines are no records.
    """
    fields = FieldMapping(settings)
    for row, line, size, problem in _lines(path, limit):
        if problem:
            reason, detail = problem
            yield RawRecord(row, size, broken=reason, detail=detail, raw=line)
            continue
        try:
            value = json.loads(line)
        except (
            ValueError,
            RecursionError,
        ) as error:  # ValueError: also invalid UTF-8, and integers of 4,300 digits
            yield RawRecord(row, size, broken="malformed_json", detail=str(error)[:200], raw=line)
            continue
        yield fields.record(row, size, value, line)


def _lines(path: Path, limit: int) -> Iterator[tuple[int, bytes, int, tuple[str, str] | None]]:
    """Non-blank lines with number and size; one longer than ``limit`` is skipped to its end without being held."""
    row = dropped = 0
    pending: list[bytes] = []  # an unfinished line: joined once, however many chunks it takes
    held = 0
    with open_compressed(path) as stream:
        # read1 hands out what was decompressed before a break; read would lose up to a whole chunk
        read = getattr(stream, "read1", stream.read)
        while True:
            try:
                chunk = read(CHUNK)
                if not chunk and ends_early(path):
                    raise EOFError("the file ends in the middle of a compressed frame")
            except READ_ERRORS as error:
                detail = f"after what could be read: {str(error).strip() or type(error).__name__}"
                yield row, b"".join(pending), held + dropped, ("truncated_object", detail)
                return
            *lines, rest = chunk.split(b"\n")
            if not chunk and not pending and not dropped:
                return
            if not chunk:
                lines = [b""]  # the last line has no newline
            for line in lines:
                if pending:
                    line = b"".join([*pending, line])
                    pending, held = [], 0
                size, dropped = len(line) + dropped, 0
                if size > limit:
                    yield row, line[:CHUNK], size, ("oversized_record", f"{size} bytes, more than {limit}")
                elif line.strip():
                    yield row, line, size, None
                row += 1
            if not chunk:
                return
            if rest:
                pending.append(rest)
                held += len(rest)
            if held > limit:
                dropped, held, pending = dropped + held, 0, []


def read_json(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """The elements of one JSON array, read one after the other; a file that is neither that nor JSONL is one
    broken record.
    """
    if not begins_array(path):  # many sets call their JSONL .json
        yield from read_jsonl(path, settings, limit)
        return
    fields = FieldMapping(settings)
    row = 0
    try:
        for element in array_elements(path, limit):
            yield _element(fields, row, element, limit)
            row += 1
    except READ_ERRORS as error:
        detail = f"after what could be read: {str(error).strip() or type(error).__name__}"
        yield RawRecord(row, 0, broken="malformed_json", detail=detail[:200])


def _element(fields: FieldMapping, row: int, element: Element, limit: int) -> RawRecord:
    if element.raw is None:
        detail = f"{element.size} bytes, more than {limit}"
        return RawRecord(row, element.size, broken="oversized_record", detail=detail)
    try:
        value = json.loads(element.raw)
    except (ValueError, RecursionError) as error:
        return RawRecord(row, element.size, broken="malformed_json", detail=str(error)[:200], raw=element.raw)
    return fields.record(row, element.size, value, element.raw)


def read_parquet(path: Path, settings: SourceSettings, limit: int) -> Iterator[RawRecord]:
    """The rows of a Parquet file. Only mapped columns are read; ``size`` is the UTF-8 length of their
    texts.

    Texts come as dictionaries where the file has them so, and in batches of bounded size: a small file can
    repeat one large value any number of times.
    """
    fields = FieldMapping(settings)
    row = 0
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        columns = [name for name in file.schema_arrow.names if name in fields.names]
        texts = [f.name for f in file.schema_arrow if f.name in columns and _is_text(f.type)]
        deltas = _delta_columns(file)
        foldable = [name for name in texts if name not in deltas]
        file = pq.ParquetFile(path, read_dictionary=foldable, page_checksum_verification=True)
        for batch in file.iter_batches(_batch_rows(file), columns=columns, use_threads=False):
            sizes = _text_sizes(batch)
            for number in range(batch.num_rows):
                yield _parquet_row(fields, row, batch, number, int(sizes[number]), limit)
                row += 1
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: a text that is not UTF-8
        detail = f"after row {row}: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        yield RawRecord(
            row, 0 if row else path.stat().st_size, broken="unreadable_parquet", detail=detail[:200]
        )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _delta_columns(file: pq.ParquetFile) -> set[str]:
    """Columns with delta-encoded pages (version 2 of DuckDB's, Spark's and others' writers), which Arrow cannot read
    as dictionaries.
    """
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    columns = (group.column(number) for group in groups for number in range(group.num_columns))
    return {
        column.path_in_schema
        for column in columns
        if any(encoding.startswith("DELTA") for encoding in column.encodings)
    }


def _batch_rows(file: pq.ParquetFile) -> int:
    """Rows that hold about PARQUET_BATCH_BYTES, by what the file says of its row groups."""
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    widest = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=1.0)
    return max(1, min(PARQUET_ROWS, int(PARQUET_BATCH_BYTES / max(widest, 1.0))))


def _text_sizes(batch: pa.RecordBatch) -> np.ndarray:
    """UTF-8 length of each row's text columns, without making a text of any."""
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column = pc.binary_length(column.dictionary).take(column.indices)
        elif _is_text(column.type):
            column = pc.binary_length(column.cast(pa.large_string()))
        else:
            continue
        sizes += pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return sizes


def _parquet_row(
    fields: FieldMapping, row: int, batch: pa.RecordBatch, number: int, size: int, limit: int
) -> RawRecord:
    """One row; ``size`` is that of its text columns, to which nested texts are added."""
    if size <= limit:
        value = {
            name: column[number].as_py()
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        size += sum(text_size(inner) for inner in value.values() if not isinstance(inner, str))
    if size > limit:
        return RawRecord(row, size, broken="oversized_record", detail=f"{size} bytes, more than {limit}")
    return fields.record(row, size, value, None)


def text_size(value: Any) -> int:
    """UTF-8 length of all texts in a nested value."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(map(text_size, value.values()))
    return sum(map(text_size, value)) if isinstance(value, list) else 0
