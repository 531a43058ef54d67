"""Compressed files: what opens them, and where their frames begin and end.

zstd and lz4 frames say the length of each block, so that their ends are found without decompressing: formats after
RFC 8878 §3.1.1 and the LZ4 Frame Format Description 1.6.
"""

from __future__ import annotations

import gzip
import io
import mmap
import re
import zlib
from pathlib import Path
from typing import BinaryIO

import zstandard

GZIP, ZSTD, LZ4 = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"
MAGICS = (GZIP[:2], ZSTD, LZ4)
# at most 8 MiB of history by RFC 8878's advice, 128 MiB by zstd's own default; a frame may ask for 2 GiB
MAX_ZSTD_WINDOW = 128 << 20
# what reading a damaged file raises, by library
READ_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError, ValueError, RuntimeError)
_PEEK = 1 << 16
_LZ4_BLOCK = 4 << 20
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18(?P<size>[\s\S]{4})")


class _Lz4:
    """An lz4 file; FastWARC's reader gives no bytes at an empty frame, as if it were the end."""

    def __init__(self, path: Path) -> None:
        from fastwarc.stream_io import Lz4Reader

        self._empty = empty_lz4_frames(path)
        self._file = path.open("rb")
        self._reader = Lz4Reader(self._file)

    def __enter__(self) -> _Lz4:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end of the file only."""
        while not (found := self._reader.read(size)) and self._empty:
            self._empty -= 1
        return bytes(found)


def first_frame(data: mmap.mmap | bytes) -> int:
    """Where the first frame begins that holds data: pzstd puts a skippable one before each, others their tables."""
    at = 0
    while (end := _skippable_end(data, at)) is not None and end < len(data):
        at = end
    return at


def magic_of(path: Path) -> bytes:
    """The bytes that say how a file is compressed, behind skippable frames."""
    if not path.stat().st_size:
        return b""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = first_frame(data)
        return data[at : at + 4]


def open_compressed(path: Path) -> BinaryIO:
    """The decompressed stream of a file, by its first bytes: gzip, zstd, lz4 or plain."""
    magic = magic_of(path)
    if magic.startswith(GZIP[:2]):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if magic == ZSTD:
        return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
    if magic == LZ4:
        return _Lz4(path)  # type: ignore[return-value]
    return path.open("rb")


def ends_early(path: Path) -> bool:
    """Whether a zstd or lz4 file ends in the middle of a frame, which their readers pass over in silence."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = first_frame(data)
        return data[at : at + 4] in (ZSTD, LZ4) and cut_frame(data, at) is not None


def empty_lz4_frames(path: Path) -> int:
    """How many frames of an lz4 file hold nothing."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at: int | None = 0
        count = 0
        while at is not None and data[at : at + 4] == LZ4:
            count += is_empty_lz4(data, at)
            at = lz4_end(data, at)
        return count


def cut_frame(data: mmap.mmap | bytes, at: int) -> int | None:
    """Where the zstd or lz4 frame begins that the end of ``data`` cuts off; None where there is none.

    ``at`` is the start of a frame. What follows the last frame and is none (padding) is not looked at.
    """
    magic = data[at : at + 4]
    while at < len(data):
        found = data[at : at + 4]
        if (end := _skippable_end(data, at)) is not None:
            at = end
            continue
        if not found or not magic.startswith(found):
            return None
        end = _zstd_end(data, at) if magic == ZSTD else lz4_end(data, at)
        if end is None or end > len(data):
            return at
        at = end
    return None


def begins_record(data: mmap.mmap, at: int) -> bool:
    """Whether a WARC record begins here, in the open or as the first thing of a gzip, zstd or lz4 member."""
    head = data[at : at + _PEEK]
    try:
        if head.startswith(GZIP):
            head = zlib.decompressobj(31).decompress(head, 16)
        elif head.startswith(ZSTD):
            decoder = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
            # a short frame ends inside of the peek and its reader must not go on to the next
            head = decoder.stream_reader(io.BytesIO(head), read_across_frames=False).read(16)
        elif head.startswith(LZ4):
            from fastwarc.stream_io import Lz4Reader

            blocks = _lz4_blocks(data, at) or len(data)  # a block is read as a whole, and has up to 4 MiB
            size = int.from_bytes(data[blocks : blocks + 4], "little") & 0x7FFFFFFF
            head = Lz4Reader(io.BytesIO(data[at : blocks + 8 + min(size, _LZ4_BLOCK)])).read(16)
    except READ_ERRORS:
        return False
    return head.startswith(b"WARC/")


def is_empty_lz4(data: mmap.mmap | bytes, at: int) -> bool:
    """Whether the lz4 frame that begins here holds nothing."""
    blocks = _lz4_blocks(data, at)
    return blocks is not None and data[blocks : blocks + 4] == bytes(4)


def _skippable_end(data: mmap.mmap | bytes, at: int) -> int | None:
    """Where a skippable frame (of zstd and lz4 alike) ends; None where none begins."""
    header = _SKIPPABLE.match(data, at)
    return header.end() + int.from_bytes(header["size"], "little") if header else None


def _zstd_end(data: mmap.mmap | bytes, at: int) -> int | None:
    if at + 5 > len(data):
        return None
    descriptor = data[at + 4]
    single, content_flag = descriptor >> 5 & 1, descriptor >> 6
    place = at + 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + (single, 2, 4, 8)[content_flag]
    last = False
    while not last:
        if place + 3 > len(data):
            return None
        header = int.from_bytes(data[place : place + 3], "little")
        last = bool(header & 1)
        place += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
    return place + (4 if descriptor >> 2 & 1 else 0)


def _lz4_blocks(data: mmap.mmap | bytes, at: int) -> int | None:
    """Where the blocks of an lz4 frame begin; None where the end of ``data`` cuts its header off."""
    if at + 6 > len(data):
        return None
    flags = data[at + 4]
    return at + 7 + (8 if flags >> 3 & 1 else 0) + (4 if flags & 1 else 0)


def lz4_end(data: mmap.mmap | bytes, at: int) -> int | None:
    """Where the lz4 frame ends that begins here; None where the end of ``data`` cuts it off."""
    place = _lz4_blocks(data, at)
    if place is None:
        return None
    flags = data[at + 4]
    while True:
        if place + 4 > len(data):
            return None
        size = int.from_bytes(data[place : place + 4], "little") & 0x7FFFFFFF
        place += 4
        if size == 0:
            return place + (4 if flags >> 2 & 1 else 0)
        place += size + (4 if flags >> 4 & 1 else 0)
