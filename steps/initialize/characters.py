"""Counts Chinese characters. Arrays in, arrays out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

# Unicode 16 blocks: CJK symbols and punctuation, extension A, unified ideographs, compatibility ideographs,
# full-width forms, extensions B to H.
BLOCKS = (
    (0x3000, 0x303F),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF01, 0xFF65),
    (0x20000, 0x323AF),
)
_SPACE = 0x110000


def count_characters(texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(code points, counts) of the Chinese characters in ``texts``, by code point."""
    total = np.zeros(_SPACE, np.int64)
    for chunk in texts.cast(pa.large_string()).chunks:
        bounds = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        data = memoryview(chunk.buffers()[2] or b"")[bounds[0] : bounds[-1]]
        # the codec is C code; a decoder of our own in NumPy would be slower
        points = np.frombuffer(str(data, "utf-8").encode("utf-32-le"), np.uint32)
        total += np.bincount(points[is_chinese(points)], minlength=_SPACE)
    found = np.flatnonzero(total)
    return found, total[found]


def is_chinese(points: np.ndarray) -> np.ndarray:
    """Whether each code point lies in one of `BLOCKS`."""
    mask = np.zeros(len(points), bool)
    for first, last in BLOCKS:
        mask |= (points >= first) & (points <= last)
    return mask


class Candidate(NamedTuple):
    """A character that may be added: how often it occurs, and the pieces that encode it until now."""

    character: str
    occurrences: int
    pieces: int


def most_useful(candidates: list[Candidate], wanted: int) -> list[str]:
    """The ``wanted`` characters that save most tokens, ``occurrences × (pieces - 1)``; equal ones by code point.

    Those that are one piece already save none and are never chosen.
    """
    saving = [c for c in candidates if c.pieces > 1]
    saving.sort(key=lambda c: (-c.occurrences * (c.pieces - 1), c.character))
    return [c.character for c in saving[:wanted]]
