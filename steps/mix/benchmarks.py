"""Test items out of benchmark data sets as they lie on the Hugging Face hub: JSON, CSV or Parquet, plain or packed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.core.errors import ConfigError

LIMIT = 1 << 30  # bytes of one unpacked file; MMLU has 7 MB
DATA = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
UNREAD = (".zst", ".xz", ".bz2", ".lz4", ".tar", ".tgz", ".7z", ".rar", ".arrow", ".gz")
HELD_OUT = {"test", "val", "valid", "validation", "dev", "eval", "heldout"}


def data_set(key: str, source: str) -> str:
    """The data set that an object belongs to: its repository's name, or its folder's, or else the source's."""
    return "/".join(PurePosixPath(key).parts[:-1][:2]) or source


def is_training_split(key: str) -> bool:
    """Whether a file's name says that it holds a training split; whatever does not may be measured on."""
    words = set(re.split(r"[/_.-]", key.lower()))
    return bool(words & {"train", "training"}) and not words & HELD_OUT


def is_data(key: str) -> bool:
    """Whether a file is data by its name, of whatever split."""
    return key.lower().removesuffix(".gz").endswith((*DATA, ".zip"))


def read_items(path: Path, key: str, fields: Iterable[str]) -> list[str]:
    """The items of one object of a benchmark source, in order; none of what is no data or a training split.

    ``fields`` names where an item may stand, the first that a record has. Raises ConfigError for a file of data that
    has none of them, or whose format is not read.
    """
    name = key.lower()
    if name.endswith(".zip"):
        return _read_packed(path, key, tuple(fields))
    if is_training_split(key):
        return []
    plain = name.removesuffix(".gz")
    if not plain.endswith(DATA):
        if name.endswith(UNREAD):
            raise ConfigError(f"benchmarks: {key} cannot be looked into; unpack it to {', '.join(DATA)}")
        return []  # a card, a task file, or its code
    try:
        with gzip.open(path) if name.endswith(".gz") else path.open("rb") as file:
            data = _bounded(file, key)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ConfigError(f"benchmarks: {key} cannot be unpacked ({error}); copy it again") from None
    return _items(data, key, plain, tuple(fields))


def _read_packed(path: Path, key: str, fields: tuple[str, ...]) -> list[str]:
    """The items of a zip archive's members (CMMLU and C-Eval come as one)."""
    found: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for member in sorted(archive.namelist()):
                inner = f"{key}/{member}"
                if member.lower().endswith(DATA) and not is_training_split(inner):
                    with archive.open(member) as file:
                        found += _items(_bounded(file, inner), inner, member.lower(), fields)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise ConfigError(f"benchmarks: {key} is no archive that can be read ({error})") from None
    return found


def _bounded(file: Any, key: str) -> bytes:
    data: bytes = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise _too_large(key)
    return data


def _too_large(key: str) -> ConfigError:
    return ConfigError(f"benchmarks: {key} has more than {LIMIT >> 20} MiB unpacked, too much for test items")


def _items(data: bytes, key: str, name: str, fields: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    records, first = 0, None
    try:
        for record in _records(data, key, name, fields):
            records, first = records + 1, first if records else record
            if item := _item(record, fields):
                found.append(item)
    except (ValueError, csv.Error, pa.ArrowException, OSError, RecursionError) as error:
        raise ConfigError(f"benchmarks: {key} cannot be read ({error})") from None
    if records and not found:
        if name.endswith(".json") and records == 1:
            return []  # a description, such as dataset_infos.json
        known = ", ".join(sorted(map(str, first))[:20]) if isinstance(first, dict) else "none"
        raise ConfigError(
            f"benchmarks: no record of {key} has one of the fields {', '.join(fields)}; it has {known}: name the one "
            "that holds the question in mix.decontamination.fields"
        )
    return found


def _records(data: bytes, key: str, name: str, fields: tuple[str, ...]) -> Iterator[Any]:
    if name.endswith(".parquet"):
        yield from _rows(pq.ParquetFile(pa.BufferReader(data)), key, fields)
        return
    text = data.decode("utf-8-sig")
    if name.endswith((".csv", ".tsv")):
        csv.field_size_limit(LIMIT)
        delimiter = "\t" if name.endswith(".tsv") else ","
        yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        return
    if name.endswith(".json"):
        try:
            whole = json.loads(text)
        except ValueError:
            pass  # an object per line, as many sets name it
        else:
            yield from _listed(whole)
            return
    yield from (json.loads(line) for line in text.split("\n") if line.strip())


def _rows(file: pq.ParquetFile, key: str, fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The rows with those of ``fields`` that are there, all columns by name where none is; a batch at a time.

    A page of Parquet may unpack to a thousand times its size.
    """
    names = file.schema_arrow.names
    columns = [name for name in names if name in fields]
    if file.metadata.num_rows and not columns:
        yield dict.fromkeys(names)
        return
    size = 0
    for batch in file.iter_batches(1000, columns=columns, use_threads=False):
        size += batch.nbytes
        if size > LIMIT:
            raise _too_large(key)
        yield from batch.to_pylist()


def _listed(whole: Any) -> list[Any]:
    """The records of a JSON file: its list, those in the lists of its one object ({"examples": [...]}), or that."""
    if isinstance(whole, list):
        return whole
    lists = [value for value in whole.values() if isinstance(value, list)] if isinstance(whole, dict) else []
    return [record for value in lists for record in value if isinstance(record, dict)] or [whole]


def _item(record: Any, fields: tuple[str, ...]) -> str:
    if not isinstance(record, dict):
        return ""
    for field in fields:
        if isinstance(found := record.get(field), str) and found.strip():
            return found
    return ""
