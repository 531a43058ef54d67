"""Where a line stands in its page. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from steps.text.jit import njit

SHORT = 15  # tokens: a label, a link, a name
COMMAS = (b",", "，".encode(), "、".encode(), b";", "；".encode())


def ends_in_comma(data: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """bool[lines]: the last bytes are a comma or semicolon; data uint8[], start and end int64[lines]."""
    found = np.zeros(len(end), dtype=bool)
    for mark in COMMAS:
        long = end - start >= len(mark)
        same = long.copy()
        for i, byte in enumerate(mark):
            same[long] &= data[end[long] - len(mark) + i] == byte
        found |= same
    return found


def tail_run(parent: np.ndarray, tokens: np.ndarray, ends: np.ndarray, comma: np.ndarray) -> np.ndarray:
    """float64[lines]: lines in the run of short lines that do not end a sentence, at the end of the document; else 0.

    parent int64[lines], ascending; tokens float64[lines]; ends and comma bool[lines], the line ends in a mark that is
    none or one of COMMAS. The footer and the buttons of a page are such a run. A document of nothing else has none,
    nor has a poem whose last mark is a comma.
    """
    loose = (tokens <= SHORT) & ~ends & ~comma
    index = np.arange(len(parent))
    # behind the last line that is not loose
    last = np.full(int(parent[-1]) + 1 if len(parent) else 0, -1, dtype=np.int64)
    np.maximum.at(last, parent[~loose], index[~loose])
    inside = (last[parent] >= 0) & (index > last[parent])
    inside &= ~comma[last[parent]]
    count = np.bincount(parent[inside], minlength=len(last))
    return np.where(inside, count[parent], 0).astype(np.float64) if len(parent) else np.zeros(0)


@njit
def wide_gaps(data, start, end):
    """int64[lines]: single spaces between two characters of three bytes or more (ideographs, mostly).

    Chinese prose has none; lists of links that a page shows side by side do. data uint8[]; start, end int64[lines].
    """
    gaps = np.zeros(len(start), np.int64)
    for line in range(len(start)):
        text, found = data[start[line] : end[line]], np.int32(0)  # small integers: 16 bytes at once
        for at in range(1, len(text) - 1):
            # the byte before ends a wide character (a continuation byte), the byte behind begins one
            found += np.int32((text[at] == 0x20) & (text[at - 1] >= 0x80) & (text[at + 1] >= 0xE3))
        gaps[line] = found
    return gaps
