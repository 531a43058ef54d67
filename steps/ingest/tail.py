"""Finds out what an archive's reader passed over in silence, at its end or behind an empty member.

FastWARC ends without an error where the file ends inside a record's header lines, or inside a record that is
skipped; what was lost there has to be counted all the same. It also ends at a gzip member that holds nothing (bgzip
ends its files with one, and files are put together) and at several such lz4 frames; reading has to go on behind them.
"""

from __future__ import annotations

import mmap
import re
import zlib
from typing import NamedTuple

from steps.ingest.compressed import GZIP, LZ4, ZSTD, begins_record, cut_frame, is_empty_lz4, lz4_end

_CHUNK = 4096  # packed bytes at once: at most 4 MiB come out of them
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})", re.I | re.M)
_BLANK = b"\r\n \t\0"


class Tail(NamedTuple):
    """What is behind the last record that was read.

    ``cut`` is where the frame or record starts that the end of the file cuts off, ``unread`` where a record starts
    that the reader did not come to.
    """

    cut: int | None = None
    unread: int | None = None


def tail_of(data: mmap.mmap, start: int, last: int, found: bool) -> Tail:
    """What FastWARC said nothing of when it ended.

    ``start`` is where reading began, ``last`` where the last record begins that was read, if one was ``found``. Time:
    gzip takes one more pass over the last record, or over a file that is one single member.
    """
    for magic in (GZIP, ZSTD, LZ4):
        if _begins(data, start, magic):
            at = last if _begins(data, last, magic) else start
            if magic == GZIP:
                return _in_members(data, at, found)
            unread = _behind_empty_lz4(data, at, found) if magic == LZ4 else None
            return Tail(unread=unread) if unread is not None else Tail(cut_frame(data, at))
    return Tail(_in_plain(data, last))


def _begins(data: mmap.mmap, at: int, magic: bytes) -> bool:
    """Whether a frame begins here, if only its first byte or two are left."""
    found = data[at : at + len(magic)]
    return bool(found) and magic.startswith(found)


def _in_members(data: mmap.mmap, at: int, found: bool) -> Tail:
    behind_empty = False
    while at < len(data):
        if not _begins(data, at, GZIP):
            break  # padding, or something foreign after the last member
        if behind_empty and found and begins_record(data, at):
            return Tail(unread=at)
        member, place, size = zlib.decompressobj(31), at, 0
        try:
            while not member.eof and place < len(data):
                chunk = data[place : place + _CHUNK]
                size += len(member.decompress(chunk))
                place += len(chunk)
                if size and behind_empty and not found:
                    return Tail(unread=at)
        except zlib.error:
            return Tail(at)
        if not member.eof:
            return Tail(at)
        behind_empty |= not size
        at = place - len(member.unused_data)
    return Tail()


def _behind_empty_lz4(data: mmap.mmap, at: int, found: bool) -> int | None:
    behind_empty, place = False, at
    while data[place : place + len(LZ4)] == LZ4:
        empty = is_empty_lz4(data, place)
        if behind_empty and not empty and (not found or begins_record(data, place)):
            return place
        behind_empty |= empty
        end = lz4_end(data, place)
        if end is None:
            return None
        place = end
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
