"""``tokenmill corpus import`` and ``tokenmill corpus export``."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.core.arguments import pairs
from steps.core.artifact import Artifact
from steps.core.corpus import ROW, Corpus
from steps.core.digest import file_digest
from steps.core.errors import DataError, UsageError
from steps.core.source import SourceObject, SourceSettings
from steps.core.step import run_step
from steps.core.store import open_store
from steps.core.task import result_of

_DATA = re.compile(r"\.(?:jsonl|ndjson)(?:\.gz|\.zst)?$|\.parquet$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("action", choices=("import", "export"))
    parser.add_argument(
        "what", help="import: a JSONL or Parquet file, or a folder of them; export: a corpus reference"
    )
    parser.add_argument("target", nargs="?", type=Path, help="export: the folder to write")
    parser.add_argument("--name", default="imported", help="import: name of the source (default: imported)")
    parser.add_argument(
        "--dump", help="import: dump that looks are numbered under (default: from the content)"
    )
    parser.add_argument("--language", default="", help="import: language of the documents, zh or en")
    parser.add_argument("--licence", default="", help="import: licence of the documents")
    parser.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="COLUMN=FIELD",
        help="import: text=content, url=link, …",
    )
    parser.add_argument(
        "--format", choices=("jsonl", "parquet"), default="jsonl", help="export (default: jsonl)"
    )


def execute(arguments: argparse.Namespace, root: str) -> dict[str, Any] | None:
    """Import and hand back the corpus, or export one."""
    if arguments.action == "import":
        return import_corpus(arguments, root)
    if arguments.target is None:
        raise UsageError("corpus export needs the folder to write")
    artifact = Artifact.open(arguments.what, open_store(root))
    total = export_corpus(artifact, arguments.target, arguments.format)
    print(f"{total} documents in {arguments.target}")
    return None


def import_corpus(arguments: argparse.Namespace, root: str) -> dict[str, Any]:
    """Files cleaned elsewhere as a corpus artifact, ready for evaluate → review → gate → publish.

    A Hugging Face data set folder is a folder of Parquet files. Nothing is filtered: malformed records are removed by
    ingest and reported, all others are kept as they are.
    """
    place = Path(arguments.what).resolve()
    folder = place if place.is_dir() else place.parent
    paths = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
    paths = [p for p in paths if _DATA.search(p.name) and p.is_file()]
    if not paths:
        raise UsageError(f"{arguments.what}: no .jsonl, .jsonl.gz, .jsonl.zst or .parquet file there")
    settings = SourceSettings(
        name=arguments.name,
        kind="reference",
        licence=arguments.licence,
        language=arguments.language,
        fields=pairs(arguments.field, "COLUMN=FIELD"),
    )
    objects = [
        SourceObject(
            source=arguments.name,
            key=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=file_digest(path),
        )
        for path in paths
    ]
    dump = arguments.dump or f"{arguments.name}-{objects[0].sha256[:12]}"
    config = {
        "dump": dump,
        "sources": [settings.model_dump()],
        "objects": [item.model_dump() for item in objects],
    }
    locations = {arguments.name: f"file://{folder}"}
    source = run_step("plan", config=config, inputs={}, root=root, locations=locations)
    made = run_step("ingest", config={}, inputs={"source": source.ref}, root=root, locations=locations)
    return result_of(made, "ingest").model_dump()


def export_corpus(artifact: Artifact, folder: Path, form: str) -> int:
    """Write a corpus's kept documents, one file per shard; returns how many.

    jsonl: UTF-8, one record per line, gzip without a clock in it. parquet: a folder that Hugging Face datasets loads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; export writes into an empty or new folder")
    total = 0
    for table, number in _tables(artifact):
        if form == "parquet":
            pq.write_table(table, folder / f"train-{number:05d}.parquet", compression="zstd")
        else:
            _write_jsonl(table, folder / f"train-{number:05d}.jsonl.gz")
        total += table.num_rows
    if total == 0:
        raise DataError(f"{artifact.reference.uri} holds no documents")
    return total


def _tables(artifact: Artifact) -> Iterator[tuple[pa.Table, int]]:
    for shard in Corpus.open(artifact).shards:
        table = shard.read().drop_columns([ROW])
        if table.num_rows:
            yield table, shard.index


def _write_jsonl(table: pa.Table, path: Path) -> None:
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
        for batch in table.to_batches(max_chunksize=1000):
            lines = [json.dumps(record, ensure_ascii=False) for record in batch.to_pylist()]
            file.write(("\n".join(lines) + "\n").encode())
