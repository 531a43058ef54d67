"""Finds out whether an archive ends in the middle of something that its reader passed over in silence.

FastWARC ends without an error where the file ends inside a record's header lines, or inside a record that is
skipped; what was lost there has to be counted all the same.
"""

from __future__ import annotations

import mmap
import re
import zlib

from steps.ingest.compressed import GZIP, LZ4, ZSTD, cut_frame

_CHUNK = 4096  # packed bytes at once: at most 4 MiB come out of them
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})", re.I | re.M)
_BLANK = b"\r\n \t\0"


def lost_end(data: mmap.mmap, start: int, last: int) -> int | None:
    """Where the frame or record starts that the end of the file cuts off; None where the file ends as it should.

    ``start`` is where reading began, ``last`` where the last record that was read begins. Time: gzip takes one more
    pass over the last record, or over a file that is one single member.
    """
    for magic in (GZIP, ZSTD, LZ4):
        if _begins(data, start, magic):
            at = last if _begins(data, last, magic) else start
            return _in_members(data, at) if magic == GZIP else cut_frame(data, at)
    return _in_plain(data, last)


def _begins(data: mmap.mmap, at: int, magic: bytes) -> bool:
    """Whether a frame begins here, if only its first byte or two are left."""
    found = data[at : at + len(magic)]
    return bool(found) and magic.startswith(found)


def _in_members(data: mmap.mmap, at: int) -> int | None:
    while at < len(data):
        if not _begins(data, at, GZIP):
            return None  # padding, or something foreign after the last member
        member, place = zlib.decompressobj(31), at
        try:
            while not member.eof and place < len(data):
                chunk = data[place : place + _CHUNK]
                member.decompress(chunk)
                place += len(chunk)
        except zlib.error:
            return at
        if not member.eof:
            return at
        at = place - len(member.unused_data)
    return None


def _in_plain(data: mmap.mmap, last: int) -> int | None:
    header = _HEADER_END.search(data, last)
    length = _LENGTH.search(data, last, header.start()) if header else None
    if header is None or length is None:
        return last
    at = header.end() + int(length[1])
    if at > len(data):
        return last
    while at < len(data) and data[at] in _BLANK:
        at += 1
    return at if at < len(data) else None
