"""The child that parses foreign input: no keys in its environment, its memory and its time per record limited.

``python -m steps.ingest.reader PROGRESS_FD`` reads one JSON request per line from stdin and answers on stdout with
frames: a length (8 bytes, little-endian), a letter, and the payload. ``B`` is an Arrow IPC stream of OUTCOMES,
``E`` a JSON object that ends the answer. What a record cost is known outside by the progress cell, which the child
writes before each record: where the child dies, its parent knows at which one.
"""

from __future__ import annotations

import functools
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from steps.core.child import die_with
from steps.core.errors import DataError
from steps.core.source import SourceSettings
from steps.ingest.archive import read_archive
from steps.ingest.config import Config
from steps.ingest.documents import Documents, load_extractor
from steps.ingest.protocol import CELL, FRAME, LOADING, OUT_OF_MEMORY, OUTCOMES, READING, WORKING, Request
from steps.ingest.records import HTML_TYPES, RawRecord, Skipped
from steps.ingest.split import cut_places
from steps.ingest.tables import read_json, read_jsonl, read_parquet

BATCH_BYTES = 4 << 20
BATCH_ROWS = 1_000


class Clock:
    """Tells the parent where the child is, and lets the kernel end it where one record takes too long."""

    def __init__(self, cell: mmap.mmap, seconds: int) -> None:
        self._cell, self._seconds, self._ticks = cell, seconds, 0

    def tick(self, number: int, working: bool) -> None:
        """The next piece of work begins: its time starts at zero."""
        self._ticks += 1
        CELL.pack_into(self._cell, 0, self._ticks, number, WORKING if working else READING)
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def wait(self, number: int) -> None:
        """What follows has no limit: it is ours, and no record's."""
        self.stop()
        CELL.pack_into(self._cell, 0, self._ticks, number, LOADING)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main(progress_fd: int, parent: int) -> None:
    """Answer requests until stdin ends."""
    die_with(parent)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the frames
    hello = json.loads(sys.stdin.buffer.readline())
    config = Config.model_validate(hello["config"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (hello["memory_bytes"], hello["memory_bytes"]))
    clock = Clock(mmap.mmap(progress_fd, CELL.size), config.max_record_seconds)
    for line in sys.stdin.buffer:
        try:
            request = Request(**json.loads(line))
            end = (
                _cut(request, config, clock)
                if request.piece_bytes
                else _read(request, config, clock, answers)
            )
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except DataError as error:  # the recipe asks for something that no record can give
            end = {"error": str(error)}
        clock.stop()
        _send(answers, b"E", json.dumps(end).encode())


def _read(request: Request, config: Config, clock: Clock, answers: BinaryIO) -> dict[str, Any]:
    documents = Documents(
        config,
        SourceSettings.model_validate(request.settings),
        key=request.key,
        shard=request.shard,
        dump=request.dump,
        first_row=request.first_row,
    )
    # skipped records are progress too: many of them in a row are not one record that takes long
    skipped = Skipped(lambda: clock.tick(number, False))
    lost = request.lost or {}
    rows: list[dict[str, Any]] = []
    size = number = 0
    clock.tick(0, False)
    given = records(request, documents.settings, config, skipped)
    while number != request.stop and (record := next(given, None)) is not None:
        if record.payload is not None and record.content_type in HTML_TYPES:
            clock.wait(number)  # what loading takes is not the record's time
            _load()
        clock.tick(number, True)
        if number >= request.after:
            if str(number) in lost:
                record.broken, record.removed, record.detail = lost[str(number)], None, record.url
                record.raw = record.payload or record.raw or (record.text or "").encode("utf-8", "replace")
            rows.append(documents.outcome(record, number))
            size += len(rows[-1].get("text") or "") + 200
        if size >= BATCH_BYTES or len(rows) == BATCH_ROWS:
            _send_rows(answers, rows)
            rows, size = [], 0
        number += 1
        clock.tick(number, False)
    if rows:
        _send_rows(answers, rows)
    return {"auxiliary": skipped.auxiliary, "records": number}


def _load() -> None:
    """Load the extractor. Where that fails, no record is to blame: the step ends."""
    try:
        load_extractor()
    except Exception as error:
        raise DataError(
            f"the extractor cannot be loaded ({type(error).__name__}: {error}); set up anew"
        ) from error


def records(
    request: Request, settings: SourceSettings, config: Config, skipped: Skipped
) -> Iterator[RawRecord]:
    """The records of one file by its format."""
    path, limit = Path(request.path), config.max_record_bytes
    if request.form == "parquet":
        return read_parquet(path, settings, limit)
    if request.form == "json":
        return read_json(path, settings, limit)
    if request.form == "jsonl":
        return read_jsonl(path, settings, limit)
    return read_archive(path, limit, skipped, config.verify_digests, request.first_byte)


def _cut(request: Request, config: Config, clock: Clock) -> dict[str, Any]:
    """Where the file can be cut: bytes and number of the first record of every piece."""
    tick = functools.partial(clock.tick, 0, False)
    places = cut_places(Path(request.path), request.form, request.piece_bytes or 0, config, tick)
    return {"places": places}


def _send_rows(answers: BinaryIO, rows: list[dict[str, Any]]) -> None:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(rows, schema=OUTCOMES)
    with pa.ipc.new_stream(sink, OUTCOMES) as writer:
        writer.write_table(table)
    _send(answers, b"B", sink.getvalue())


def _send(answers: BinaryIO, kind: bytes, payload: Any) -> None:
    answers.write(FRAME.pack(len(payload), kind))
    answers.write(payload)
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
