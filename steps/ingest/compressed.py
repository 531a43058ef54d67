"""Compressed files: what opens them, and where their frames begin and end.

zstd and lz4 frames say the length of each block, so that their ends are found without decompressing: formats after
RFC 8878 §3.1.1 and the LZ4 Frame Format Description 1.6.
"""

from __future__ import annotations

import gzip
import io
import mmap
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


def open_compressed(path: Path) -> BinaryIO:
    """The decompressed stream of a file, by its first bytes: gzip, zstd, lz4 or plain."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic.startswith(GZIP[:2]):
        return gzip.open(path, "rb")  # type: ignore[return-value]
    if magic == ZSTD:
        return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).stream_reader(
            path.open("rb"), read_across_frames=True, closefd=True
        )
    if magic == LZ4:
        from fastwarc.stream_io import Lz4Reader

        return Lz4Reader(path.open("rb"))  # type: ignore[return-value]
    return path.open("rb")


def ends_early(path: Path) -> bool:
    """Whether a zstd or lz4 file ends in the middle of a frame, which their readers pass over in silence."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data[:4] in (ZSTD, LZ4) and cut_frame(data, 0) is not None


def cut_frame(data: mmap.mmap | bytes, at: int) -> int | None:
    """Where the zstd or lz4 frame begins that the end of ``data`` cuts off; None where there is none.

    ``at`` is the start of a frame. What follows the last frame and is none (padding) is not looked at.
    """
    magic = data[at : at + 4]
    while at < len(data):
        found = data[at : at + 4]
        if not found or not magic.startswith(found):
            return None
        end = _zstd_end(data, at) if magic == ZSTD else _lz4_end(data, at)
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

            head = Lz4Reader(io.BytesIO(head)).read(16)
    except READ_ERRORS:
        return False
    return head.startswith(b"WARC/")


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


def _lz4_end(data: mmap.mmap | bytes, at: int) -> int | None:
    if at + 6 > len(data):
        return None
    flags = data[at + 4]
    place = at + 7 + (8 if flags >> 3 & 1 else 0) + (4 if flags & 1 else 0)
    while True:
        if place + 4 > len(data):
            return None
        size = int.from_bytes(data[place : place + 4], "little") & 0x7FFFFFFF
        place += 4
        if size == 0:
            return place + (4 if flags >> 2 & 1 else 0)
        place += size + (4 if flags >> 4 & 1 else 0)
