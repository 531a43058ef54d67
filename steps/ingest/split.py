"""Finds where one big file can be cut, so that all workers read it; what is read does not depend on the cuts.

A cut is a place where reading can begin anew: after a newline of uncompressed JSONL, at a record of an
uncompressed WARC, at the first byte of a gzip, zstd or lz4 member that holds a record. Files of one single
member, ARC archives, JSON arrays and Parquet files have none.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path

from steps.ingest.archive import read_archive
from steps.ingest.compressed import MAGICS, begins_record, magic_of
from steps.ingest.config import Config
from steps.ingest.records import Skipped

_BLOCK = 8 << 20


def cut_places(
    path: Path, form: str, size: int, config: Config, tick: Callable[[], None]
) -> list[tuple[int, int]]:
    """``(byte, row)`` of the first record of every piece of about ``size`` bytes; the first is ``(0, 0)``.

    ``tick`` is called while it works. Time: one pass over the file.
    """
    if form == "jsonl":
        return _lines(path, size, tick)
    return _members(path, size, config, tick) if form == "warc" else [(0, 0)]


def _lines(path: Path, size: int, tick: Callable[[], None]) -> list[tuple[int, int]]:
    places = [(0, 0)]
    position = row = 0
    if magic_of(path).startswith(MAGICS):
        return places
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            tick()
            target = places[-1][0] + size
            while position + len(block) > target:
                newline = block.find(b"\n", max(target - position - 1, 0))
                if newline < 0:
                    break
                place = position + newline + 1
                places.append((place, row + block.count(b"\n", 0, newline + 1)))
                target = place + size
            position, row = position + len(block), row + block.count(b"\n")
    return [place for place in places if place[0] < position or not place[0]]


def _members(path: Path, size: int, config: Config, tick: Callable[[], None]) -> list[tuple[int, int]]:
    places = [(0, 0)]
    if not path.stat().st_size:
        return places
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for record in read_archive(path, config.max_record_bytes, Skipped(tick), "none"):
            tick()
            place = record.offset
            if place is not None and place >= places[-1][0] + size and begins_record(data, place):
                places.append((place, record.row))
    return places
