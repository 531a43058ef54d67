"""Test items out of benchmark data sets as they lie on the Hugging Face hub: JSON, CSV or Parquet, plain or packed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
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
    if name.endswith(".gz"):
        with gzip.open(path) as file:
            data = _bounded(file, key)
    else:
        with path.open("rb") as file:
            data = _bounded(file, key)
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
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ConfigError(f"benchmarks: {key} is no archive that can be read ({error})") from None
    return found


def _bounded(file: Any, key: str) -> bytes:
    data: bytes = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ConfigError(
            f"benchmarks: {key} has more than {LIMIT >> 20} MiB unpacked, too much for test items"
        )
    return data


def _items(data: bytes, key: str, name: str, fields: tuple[str, ...]) -> list[str]:
    try:
        records = list(_records(data, name))
    except (ValueError, csv.Error, pa.ArrowInvalid) as error:
        raise ConfigError(f"benchmarks: {key} cannot be read ({error})") from None
    found = [item for record in records if (item := _item(record, fields))]
    if records and not found:
        if name.endswith(".json") and len(records) == 1:
            return []  # a description, such as dataset_infos.json
        known = ", ".join(sorted(map(str, records[0]))[:20]) if isinstance(records[0], dict) else "none"
        raise ConfigError(
            f"benchmarks: no record of {key} has one of the fields {', '.join(fields)}; it has {known}: name the one "
            "that holds the question in mix.decontamination.fields"
        )
    return found


def _records(data: bytes, name: str) -> Iterator[Any]:
    if name.endswith(".parquet"):
        yield from pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False).to_pylist()
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
            yield from whole if isinstance(whole, list) else [whole]
            return
    yield from (json.loads(line) for line in text.split("\n") if line.strip())


def _item(record: Any, fields: tuple[str, ...]) -> str:
    if not isinstance(record, dict):
        return ""
    for field in fields:
        if isinstance(found := record.get(field), str) and found.strip():
            return found
    return ""
