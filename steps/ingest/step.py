"""ingest: raw objects to the first corpus."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from steps.core.document import SCHEMA, SUPERVISED_SCHEMA, doc_id
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.source import SourceListing, SourceObject, SourceSettings, fetch_object
from steps.core.step import Input, Step, StepContext
from steps.core.takedown import Takedowns
from steps.ingest.archive import HTML_TYPES, read_archive
from steps.ingest.config import Config
from steps.ingest.html import TooDeep, decode, extract
from steps.ingest.records import RawRecord, Skipped
from steps.ingest.tables import read_json, read_jsonl, read_parquet
from steps.report.page import stage_report

UNDETERMINED = "und"
SHARDS_PER_TASK = 10_000  # shard numbers that a task may use


def run(context: StepContext) -> None:
    """Read every object of the plan, several small ones or one large one per task."""
    listing = SourceListing.of(context.inputs["source"])
    if not listing.objects:
        names = ", ".join(source.name for source in listing.sources) or "the recipe"
        raise DataError(f"dump {listing.dump}: source {names} has no objects; check the source's uri")
    tasks = [
        {"first": first, "last": last}
        for first, last in group_objects(listing.objects, context.config.task_bytes)
    ]
    results = context.map("read", read_objects, tasks, unit="tasks")
    documents: Counter[str] = Counter()
    facts: dict[str, Counter[str]] = {"auxiliary_records": Counter(), "encodings": Counter()}
    for result in results:
        documents.update(result.result["documents"])
        for name, counter in facts.items():
            counter.update(result.result[name])
    check_not_empty(listing, documents)
    for name, counter in facts.items():
        context.set(name, dict(sorted(counter.items())))


def group_objects(objects: list[SourceObject], size: int) -> list[tuple[int, int]]:
    """Ranges [first, last) of neighbouring objects that together have at most ``size`` bytes, or one
    object.
    """
    groups: list[tuple[int, int]] = []
    start, total = 0, 0
    for number, item in enumerate(objects):
        if number > start and total + item.bytes > size:
            groups.append((start, number))
            start, total = number, 0
        total += item.bytes
    return [*groups, (start, len(objects))] if objects else groups


def check_not_empty(listing: SourceListing, documents: Counter[str]) -> None:
    """Raise DataError naming every source that gave no document at all."""
    empty = [source.name for source in listing.sources if not documents[source.name]]
    if empty:
        raise DataError(
            f"dump {listing.dump}: source {', '.join(empty)} has no document in "
            f"{sum(item.source in empty for item in listing.objects)} objects; check its uri, format and fields"
        )


def read_objects(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """One task: the objects [first, last) to shards. Gives documents per source, and what was met on the
    way.
    """
    listing = SourceListing.of(part.inputs["source"])
    config: Config = part.config
    shards = Shards(part, task["first"] * SHARDS_PER_TASK)
    takedowns = Takedowns(config.takedowns)
    documents: Counter[str] = Counter()
    encodings: Counter[str] = Counter()
    skipped = Skipped()
    for item in listing.objects[task["first"] : task["last"]]:
        settings = listing.settings(item.source)
        path = fetch_object(item, part.locations, part.scratch)
        for record in read_object(path, item, settings, config, skipped):
            document = Entry(record, item, settings, listing.dump).document(config, takedowns, encodings)
            shards.account(document)
            documents[item.source] += document.row is not None
        path.unlink()
    shards.close()
    return {
        "documents": dict(documents),
        "encodings": dict(encodings),
        "auxiliary_records": {"skipped": skipped.auxiliary},
    }


def read_object(
    path: Path, item: SourceObject, settings: SourceSettings, config: Config, skipped: Skipped
) -> Iterator[RawRecord]:
    """The records of one object by the source's format, or by the object's name where it is ``auto``."""
    form = settings.format if settings.format != "auto" else format_of(item.key)
    if form == "parquet":
        return read_parquet(path, settings, config.max_record_bytes)
    if form == "json":
        return read_json(path, settings, config.max_record_bytes)
    if form == "jsonl":
        return read_jsonl(path, settings, config.max_record_bytes)
    return read_archive(path, config.max_record_bytes, skipped)


def format_of(key: str) -> str:
    """The format that an object's name says: jsonl, json, parquet, else an archive (WARC and WET read
    alike).
    """
    name = Path(key).name.lower()
    for suffix in (".gz", ".zst", ".lz4"):
        name = name.removesuffix(suffix)
    for suffix, form in (
        (".jsonl", "jsonl"),
        (".ndjson", "jsonl"),
        (".json", "json"),
        (".parquet", "parquet"),
    ):
        if name.endswith(suffix):
            return form
    return "warc"


class Entry:
    """A raw record on its way: it ends as a document row, or with a reason to remove or quarantine it."""

    def __init__(self, record: RawRecord, item: SourceObject, settings: SourceSettings, dump: str) -> None:
        self.record, self.item, self.settings, self.dump = record, item, settings, dump
        self.language = record.language or settings.language or UNDETERMINED
        self.row: dict[str, Any] | None = None

    def document(self, config: Config, takedowns: Takedowns, encodings: Counter[str]) -> Entry:
        """Decode and extract the record's text, if there is any, and fill ``row``."""
        record = self.record
        if record.broken or record.removed:
            return self
        if record.payload is not None:
            self._extract(record.payload, config, encodings)
            record.payload = None
        if record.broken is None and not (record.text or "").strip():
            record.removed = "no_text"
        if record.broken or record.removed or record.text is None:
            return self
        record.text = record.text.encode("utf-8", "replace").decode()  # lone surrogates of JSON escapes
        identifier = doc_id(record.url, record.text)
        if takedowns.match(identifier, record.url):
            record.removed, record.detail = "takedown", identifier
            return self
        self.row = self._row(identifier)
        return self

    def _extract(self, payload: bytes, config: Config, encodings: Counter[str]) -> None:
        record = self.record
        try:
            decoded = decode(payload, record.charset)
            encodings[f"{decoded.encoding} ({decoded.chosen_by})"] += 1
            if record.content_type in HTML_TYPES:
                page = extract(decoded.text, config.max_html_depth)
                record.text = page.text
                if page.title:
                    record.metadata["title"] = page.title
            else:
                record.text = decoded.text
            record.metadata["encoding"] = decoded.encoding
        except TooDeep as error:
            record.broken, record.detail, record.raw = "html_too_deep", str(error), payload
        except (ValueError, RuntimeError, RecursionError, MemoryError) as error:
            record.broken, record.raw = "extraction_failed", payload
            record.detail = f"{type(error).__name__}: {error}"[:200]

    def _row(self, identifier: str) -> dict[str, Any]:
        record = self.record
        row: dict[str, Any] = {
            "doc_id": identifier,
            "url": record.url,
            "source": self.settings.name,
            "dump": self.dump,
            "fetched_at": record.fetched_at,
            "licence": self.settings.licence,
            "language": self.language,
            "text": record.text,
            "metadata": json.dumps(
                {**record.metadata, "kind": self.settings.kind}, ensure_ascii=True, sort_keys=True
            ),
            "origin": {"shard": self.item.sha256, "row": record.row},
        }
        if record.supervised:
            row.update(zip(("prompt", "response", "task"), record.supervised, strict=True))
        return row


class Shards:
    """Collects rows into shards of bounded size, and counts what became of every record."""

    def __init__(self, part: PartWriter, first_number: int) -> None:
        self.part, self.config = part, part.config
        self.number, self.last_number = first_number, first_number + SHARDS_PER_TASK
        self.rows: list[dict[str, Any]] = []
        self.size = 0

    def account(self, entry: Entry) -> None:
        """Count one record and keep its row, or say in ledger or quarantine why there is none."""
        record, source, language = entry.record, entry.settings.name, entry.language
        where: dict[str, Any] = {"shard": entry.item.sha256, "row": record.row, "bytes": record.size}
        detail = (
            f"{entry.item.key}: {record.detail}"
            if record.detail
            else f"{entry.item.key} {record.url}".strip()
        )
        self.part.count.add_input(source, language, 1, record.size)
        if record.broken:
            self.part.quarantine(
                reason=record.broken, source=source, language=language, detail=detail, raw=record.raw, **where
            )
        elif entry.row is None:
            reason = record.removed or "no_text"
            self.part.ledger.add(
                rule=reason, source=source, language=language, value=record.value, detail=detail, **where
            )
            self.part.count.add_removed(reason, source, language, 1, record.size)
        else:
            written = len(entry.row["text"].encode())
            self.part.count.add_kept(source, language, 1, record.size, written)
            # one shard has one schema: supervised sets and plain texts do not share one
            if self.rows and ("prompt" in entry.row) != ("prompt" in self.rows[0]):
                self.close()
            self.rows.append(entry.row)
            self.size += written
            if len(self.rows) >= self.config.documents_per_shard or self.size >= self.config.shard_bytes:
                self.close()

    def close(self) -> None:
        """Write the open shard, if it has rows."""
        if not self.rows:
            return
        if self.number == self.last_number:
            raise DataError(
                f"an object has more than {SHARDS_PER_TASK} shards; raise ingest.documents_per_shard"
            )
        schema = SUPERVISED_SCHEMA if "prompt" in self.rows[0] else SCHEMA
        self.part.put_shard(self.number, pa.Table.from_pylist(self.rows, schema=schema))
        self.number, self.rows, self.size = self.number + 1, [], 0


STEP = Step(
    name="ingest",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("source"),),
    libraries=("fastwarc", "resiliparse", "zstandard"),
    makes="corpus",
    report=stage_report,
)
