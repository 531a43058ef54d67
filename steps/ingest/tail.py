"""Finds out whether an archive ends in the middle of something that its reader passed over in silence.

FastWARC ends without an error where the file ends inside a record's header lines, or inside a record that is
skipped; what was lost there has to be counted all the same.
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Callable
from typing import Any

import zstandard

_CHUNK = 4096  # packed bytes at once: at most 128 MiB come out of them (zstd: 128 KiB per block of 4 bytes)
_DECODERS: dict[bytes, Callable[[], Any]] = {
    b"\x1f\x8b\x08": lambda: zlib.decompressobj(31),
    b"\x28\xb5\x2f\xfd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_LZ4 = b"\x04\x22\x4d\x18"  # no decoder here that tells a whole frame from a part of one
_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,18})", re.I | re.M)
_BLANK = b"\r\n \t\0"


def lost_end(data: mmap.mmap, start: int, last: int) -> int | None:
    """Where the frame or record starts that the end of the file cuts off; None where the file ends as it should.

    ``start`` is where reading began, ``last`` where the last record that was read begins. Of lz4 files nothing is
    known. Time: one more pass over the last record, or over a file that is one single frame.
    """
    if data[start : start + 4] == _LZ4:
        return None
    for magic, decoder in _DECODERS.items():
        if _begins(data, start, magic):
            return _in_frames(data, last if _begins(data, last, magic) else start, magic, decoder)
    return _in_plain(data, last)


def _begins(data: mmap.mmap, at: int, magic: bytes) -> bool:
    """Whether a frame begins here, if only its first byte or two are left."""
    found = data[at : at + len(magic)]
    return bool(found) and magic.startswith(found)


def _in_frames(data: mmap.mmap, at: int, magic: bytes, decoder: Callable[[], Any]) -> int | None:
    while at < len(data):
        if not _begins(data, at, magic):
            return None  # padding, or something foreign after the last frame
        frame, place = decoder(), at
        try:
            while not frame.eof and place < len(data):
                chunk = data[place : place + _CHUNK]
                frame.decompress(chunk)
                place += len(chunk)
        except (zlib.error, zstandard.ZstdError):
            return at
        if not frame.eof:
            return at
        at = place - len(frame.unused_data)
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
