"""Reads WARC, WET and ARC archives: plain, gzip, zstd or lz4, whole-file or per record, on FastWARC.

A broken place does not end the reading: it is reported as one broken record, and reading goes on at the next
place where a record can start. Everything is bounded: a record beyond the limit is skipped without being held
in memory, and decompressed HTTP bodies are read up to the limit only.
"""

from __future__ import annotations

import io
import mmap
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from fastwarc.stream_io import WarcReader
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from resiliparse.parse.encoding import detect_mime

from steps.ingest.arc import is_arc, read_arc
from steps.ingest.compressed import first_frame
from steps.ingest.digests import Digests, wrong_digest
from steps.ingest.http_body import decode_body
from steps.ingest.records import TEXT_TYPES, RawRecord, Skipped
from steps.ingest.tail import tail_of

AUXILIARY = WarcRecordType.warcinfo | WarcRecordType.request | WarcRecordType.metadata
PAGE_SCHEMES = ("http://", "https://", "ftp://")
MAX_RESTARTS = 1_000
TRUNCATED = "truncated_record"
# where a record can start: a gzip, zstd or lz4 frame, or the version line of an uncompressed record
_STARTS = {
    b"\x1f\x8b": re.compile(rb"\x1f\x8b\x08"),
    b"\x28\xb5": re.compile(rb"\x28\xb5\x2f\xfd"),
    b"\x04\x22": re.compile(rb"\x04\x22\x4d\x18"),
}
_PLAIN_START = re.compile(rb"(?:(?<=\n)|\A)WARC/\d")


def read_archive(
    path: Path, limit: int, skipped: Skipped, digests: Digests = "none", first_byte: int = 0
) -> Iterator[RawRecord]:
    """Records of an archive file in order; ``limit`` is the largest record in bytes, before and after
    decompression, and ``digests`` says which of a record's digests are checked. ``first_byte`` is where the file
    begins in the object that it is a piece of: messages name bytes of the object.

    Requests, metadata and warcinfo records are counted in ``skipped`` only. An empty file has no records; a
    file that is no archive is one broken record.
    """
    size = path.stat().st_size
    if size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        begin = first_frame(data)
        starts = _STARTS.get(data[begin : begin + 2], _PLAIN_START)
        offset: int | None = begin
        row = restarts = 0
        while offset is not None and offset < size:
            file.seek(offset)
            last = offset
            found = False
            error: str | None = None
            # the newest record, until it is known that the file does not end in it; whether its header is complete
            held: RawRecord | None = None
            held_whole = True
            try:
                for record in ArchiveIterator(file, parse_http=False):
                    if held is not None:
                        yield held
                    last, held, found = max(record.stream_pos, offset), None, True
                    if record.record_type & AUXILIARY:
                        skipped.add()
                    else:
                        held = _read_record(record, row, limit, digests)
                        held.offset = last
                        held_whole = record.headers.get("Content-Length") is not None
                    row += 1
            except BaseException as problem:
                error = _failure(problem)
            if error is None:
                tail = tail_of(data, offset, last, found)
                if tail.unread is None:
                    yield from _last_records(data, tail.cut, last, held, held_whole, row, first_byte)
                    return
            if held is not None:
                yield held
            if error is None:
                offset = tail.unread
                continue
            following = starts.search(data, last + 1)
            # the place that broke is the first possible start after the last good record
            broken_at = following.start() if found and following else last
            after = starts.search(data, broken_at + 1)
            if not row and is_arc(_peek(data[: 1 << 16])):
                yield from _arc_records(path, limit, skipped)
                return
            yield _broken_place(data, row, broken_at, after.start() if after else size, error, first_byte)
            row += 1
            offset, restarts = (after.start() if after else None), restarts + 1
            if restarts == MAX_RESTARTS and offset is not None:
                yield _broken_place(
                    data, row, offset, size, f"more than {MAX_RESTARTS} broken places", first_byte
                )
                return


def _failure(problem: BaseException) -> str:
    """What FastWARC says is wrong with the file. Raises whatever is no complaint of a reader.

    Its panics (a wrong checksum of an lz4 frame is one) are no Exception, and their class cannot be imported.
    """
    known = (
        isinstance(problem, (OSError, ValueError, RuntimeError)) or type(problem).__name__ == "PanicException"
    )
    if not known:
        raise problem
    return str(problem).strip() or type(problem).__name__


def _last_records(
    data: mmap.mmap,
    cut: int | None,
    last: int,
    held: RawRecord | None,
    whole: bool,
    row: int,
    first_byte: int,
) -> Iterator[RawRecord]:
    """The last record ``held``, which begins at ``last``, and what the end of the file cut off at ``cut``, once.

    Of a record whose header was cut off (not ``whole``) what could be read says nothing, so it is not given.
    """
    lost = None if held is not None and held.broken == TRUNCATED else cut
    if held is not None and lost is not None:
        document = held.payload is not None or held.text is not None
        if not document and (lost == last or not whole):
            row, held = held.row, None
    if held is not None:
        yield held
    if lost is not None:
        detail = f"at byte {first_byte + lost}: the file ends in the middle of it"
        size = len(data) - lost if lost != last else 0
        yield RawRecord(row, size, broken=TRUNCATED, detail=detail, raw=data[lost : lost + (1 << 16)])


def _broken_place(data: mmap.mmap, row: int, start: int, end: int, error: str, first_byte: int) -> RawRecord:
    """One broken stretch of the file; a file that does not begin with a record gets a reason of its own."""
    raw = data[start : min(end, start + (1 << 16))]
    reason = "broken_record" if row else "not_an_archive"
    return RawRecord(
        row, end - start, broken=reason, detail=f"at byte {first_byte + start}: {error}", raw=raw
    )


def _arc_records(path: Path, limit: int, skipped: Skipped) -> Iterator[RawRecord]:
    """Records of an ARC file, their blocks read like those of a WARC file."""
    for record in read_arc(path, limit, skipped):
        block, media = record.payload, record.content_type
        record.payload, record.content_type = None, ""
        if record.broken is None and not record.url.startswith(PAGE_SCHEMES):
            record.removed, record.detail = "not_a_page", record.url.partition(":")[0]
        elif block is not None and block.startswith(b"HTTP/"):
            _read_http(record, block, limit)
        elif block is not None:
            _take(record, block, media, None)
        yield record


def _peek(raw: bytes) -> bytes:
    """The first bytes of a file, decompressed if it is gzip."""
    if raw[:2] != b"\x1f\x8b":
        return raw[:512]
    try:
        return zlib.decompressobj(31).decompress(raw, 512)
    except zlib.error:
        return b""


def _read_record(record: WarcRecord, row: int, limit: int, digests: Digests) -> RawRecord:
    headers = record.headers
    out = RawRecord(
        row,
        record.content_length,
        url=(headers.get("WARC-Target-URI") or "").strip("<> "),
        fetched_at=headers.get("WARC-Date") or "",
        metadata={"record_id": record.record_id or ""},
    )
    kind = record.record_type
    if kind == WarcRecordType.revisit:
        out.removed = "revisit"
    elif kind == WarcRecordType.continuation:
        out.removed = "continuation"
    elif kind == WarcRecordType.unknown:
        out.broken, out.detail = "unknown_record_type", headers.get("WARC-Type")
    elif not out.url.startswith(
        PAGE_SCHEMES
    ):  # wget keeps its own logs and settings as metadata:// resources
        out.removed, out.detail = "not_a_page", out.url.partition(":")[0]
    elif record.content_length > limit:
        out.broken, out.detail = "oversized_record", f"{record.content_length} bytes, more than {limit}"
    else:
        block = _read(record.reader, record.content_length)
        if len(block) < record.content_length:
            out.detail = f"{len(block)} of {record.content_length} bytes"
            out.broken, out.size, out.raw = TRUNCATED, len(block), block
        elif wrong := wrong_digest(headers, block, digests):
            out.broken, out.detail, out.raw = "digest_mismatch", wrong, block
        elif kind == WarcRecordType.response and (headers.get("Content-Type") or "").startswith(
            "application/http"
        ):
            _read_http(out, block, limit)
        else:
            _take(out, block, headers.get("Content-Type"), None)
        if languages := headers.get("WARC-Identified-Content-Language"):
            out.metadata["languages"] = languages  # Common Crawl's own detection, in ISO 639-3
        if headers.get("WARC-Truncated"):
            out.metadata["truncated"] = headers.get("WARC-Truncated")
    return out


def _read(reader: WarcReader, limit: int) -> bytes:
    """Up to ``limit`` bytes; a reader may return less than asked for before its end."""
    chunks, missing = [], limit
    while missing > 0 and (chunk := reader.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)


def _read_http(out: RawRecord, block: bytes, limit: int) -> None:
    """Status, headers and decoded body of an HTTP response."""
    record = _http_record(block)
    try:
        record.parse_http(auto_decode="none", strict_mode=False)
        status, media = record.http_headers.status_code, record.http_headers.get("Content-Type")
    except BaseException as problem:
        out.broken, out.detail, out.raw = "broken_http", _failure(problem), block
        return
    if status is None:
        out.broken, out.detail, out.raw = "broken_http", "no status line", block
    elif status != 200:
        out.removed, out.value, out.detail = "http_status", float(status), str(status)
    else:
        body = _http_body(block, limit)
        if body is None:
            out.broken, out.detail, out.raw = (
                "broken_http",
                "its body cannot be decoded as its headers say",
                block,
            )
        elif len(body) > limit:
            out.broken, out.detail = "oversized_body", f"more than {limit} bytes after decompression"
        else:
            _take(out, body, media, _charset(media))


def _http_record(block: bytes) -> WarcRecord:
    lines_end, bare_end = block.find(b"\r\n\r\n"), block.find(b"\n\n")
    if bare_end >= 0 and (lines_end < 0 or bare_end < lines_end):  # ClueWeb09 and others: bare newlines
        block = (
            block[:bare_end].replace(b"\r", b"").replace(b"\n", b"\r\n") + b"\r\n\r\n" + block[bare_end + 2 :]
        )
    head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\nContent-Length: %d\r\n\r\n"
    # a record out of an archive is decoded as it is read; one made by set_bytes_content is decoded whole, at once
    return next(iter(ArchiveIterator(io.BytesIO(head % len(block) + block + b"\r\n\r\n"), parse_http=False)))


def _http_body(block: bytes, limit: int) -> bytes | None:
    """The body with transfer and content encoding undone; None where it is not as its headers say."""
    record = _http_record(block)
    try:
        record.parse_http(auto_decode="all", strict_mode=False)
        return _read(record.reader, limit + 1)
    except BaseException as problem:
        _failure(problem)
    record = _http_record(block)
    record.parse_http(auto_decode="none", strict_mode=False)
    headers = record.http_headers
    body = _read(record.reader, len(block))
    try:
        return decode_body(body, headers.get("Transfer-Encoding"), headers.get("Content-Encoding"), limit)
    except BaseException as problem:
        _failure(problem)
        return None


def _take(out: RawRecord, body: bytes, media: str | None, charset: str | None) -> None:
    """Set the payload, if it is a text that can become a document."""
    declared = (media or "").partition(";")[0].strip().lower()
    content_type = declared or (detect_mime(body) if body else "empty")
    if content_type not in TEXT_TYPES:
        out.removed, out.detail = "content_type", content_type
    elif not body.strip():
        out.removed = "empty_body"
    elif body.count(b"\0", 0, 1024) > 16 and not body.startswith((b"\xff\xfe", b"\xfe\xff")):
        out.removed, out.detail = "content_type", "binary content declared as text"
    else:
        out.payload, out.content_type, out.charset = body, content_type, charset or _charset(media)


def _charset(media: str | None) -> str | None:
    match = re.search(r"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{2,40})", media or "", re.IGNORECASE)
    return match[1] if match else None
