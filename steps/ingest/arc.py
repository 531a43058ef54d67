"""Reads ARC 1 archives (Internet Archive, 1996 to 2008), plain or gzip: the format that came before WARC.

A record is one line ``URL IP date media length`` and ``length`` bytes, then a newline. The lines are the only
structure, so reading ends at the first one that is broken.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from steps.ingest.records import RawRecord, Skipped

# URLs with spaces occur; version 2 has four more fields before the length
_HEADER = re.compile(
    rb"^(?P<url>\S.*?) (?P<ip>[\d.:a-fA-F]+) (?P<date>\d{8,14}) (?P<media>\S*)(?: .*)? (?P<length>\d{1,15})\s*$"
)
_LINE_LIMIT = 1 << 16
_CHUNK = 1 << 20


def is_arc(start: bytes) -> bool:
    """Whether decompressed first bytes are an ARC file's."""
    return start.lstrip().startswith(b"filedesc://") or bool(
        _HEADER.match(start.lstrip().partition(b"\n")[0])
    )


def read_arc(path: Path, limit: int, skipped: Skipped) -> Iterator[RawRecord]:
    """Records of an ARC file, with the block in ``payload`` and the declared media type in ``content_type``.

    The first record describes the file and is counted in ``skipped``. A block above ``limit`` is passed over.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path, "rb") if packed else path.open("rb") as stream:
        row = 0
        while True:
            try:
                record = _next(stream, row, limit)  # type: ignore[arg-type]
            except (OSError, EOFError, zlib.error) as error:
                yield RawRecord(
                    row, 0, broken="truncated_object", detail=f"after what could be read: {error}"
                )
                return
            if record is None:
                return
            if record.url.startswith("filedesc:"):
                skipped.add()
            else:
                yield record
            if record.broken in ("broken_record", "truncated_record"):
                return
            row += 1


def _next(stream: BinaryIO, row: int, limit: int) -> RawRecord | None:
    line = b"\n"
    while line in (b"\n", b"\r\n"):
        line = stream.readline(_LINE_LIMIT)
    if not line:
        return None
    header = _HEADER.match(line)
    if header is None:
        return RawRecord(row, len(line), broken="broken_record", detail="not an ARC header line", raw=line)
    length, date = int(header["length"]), header["date"].decode().ljust(14, "0")
    record = RawRecord(
        row,
        length,
        url=header["url"].decode("utf-8", "replace"),
        fetched_at=f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z",
        content_type=header["media"].decode("ascii", "replace"),
    )
    if length > limit:
        record.broken, record.detail = "oversized_record", f"{length} bytes, more than {limit}"
        _pass_over(stream, length)
        return record
    block = stream.read(length)
    if len(block) < length:
        record.detail = f"{len(block)} of {length} bytes"
        record.broken, record.size, record.raw = "truncated_record", len(block), block
    else:
        record.payload = block
    return record


def _pass_over(stream: BinaryIO, length: int) -> None:
    while length > 0 and (chunk := stream.read(min(length, _CHUNK))):
        length -= len(chunk)
