"""From blocks and their scores to the text of the page. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from steps.ingest.extract.automaton import DD, DT
from steps.ingest.extract.columns import (
    B_BOX,
    B_CELLS,
    B_END,
    B_HEADING,
    B_ITEM,
    B_NUMBER,
    B_PRE,
    B_START,
    E_BLOCKS,
    E_LISTS,
    E_PARENT,
    E_TAG,
)
from steps.ingest.extract.guard import PARAGRAPH
from steps.text.jit import njit

FALLBACK = 0.5  # of the page's best score: what is kept where no block reaches the threshold
# Of the threshold: enough for a heading right above kept text. Held out it finds 12 must-haves more and lets 13
# must-nots in; the pages of the demo, which no ground truth has, keep their titles.
HEADING = 0.3
MAX_INDENT = 8  # levels of lists that are indented
MARKER_BYTES = 2 * MAX_INDENT + 16


@njit
def choose(text, blocks, scores, threshold):
    """bool[blocks]: what is main text.

    Where no block reaches the threshold, the blocks near the best one's score are. A heading that nothing
    follows and a code listing's column of line numbers are not; one right above kept text needs less.
    """
    total = len(blocks)
    best = 0.0
    for index in range(total):
        best = max(best, scores[index])
    limit = threshold if best > threshold else best * FALLBACK
    keep = np.zeros(total, dtype=np.bool_)
    for index in range(total):
        keep[index] = scores[index] > limit and not (
            blocks[index, B_PRE] and _only_numbers(text, blocks[index])
        )
    for index in range(total - 2, -1, -1):
        if blocks[index, B_HEADING] and keep[index + 1] and scores[index] > HEADING * limit:
            keep[index] = True
    last = total - 1
    while last >= 0 and (blocks[last, B_HEADING] or not keep[last]):
        keep[last] = False
        last -= 1
    if last < 0:  # nothing but headings
        for index in range(total):
            keep[index] = scores[index] > limit
    return keep


@njit
def _only_numbers(text, block):
    """Whether each line is the number of its line, counted from any number on."""
    lines, number, last, digits = 0, 0, -1, 0
    for at in range(block[B_START], block[B_END] + 1):
        byte = text[at] if at < block[B_END] else 10
        if 48 <= byte <= 57 and digits < 9:
            number, digits = 10 * number + byte - 48, digits + 1
        elif byte == 10:
            if digits == 0 or (lines and number != last + 1):
                return False
            lines, last, number, digits = lines + 1, number, 0, 0
        elif byte != 32 and byte != 46:
            return False
    return lines > 1


@njit
def assemble(text, elements, blocks, keep):
    """uint8[]: the kept blocks; a blank line between paragraphs, one line per item of a list and row of a table."""
    size = 0
    for index in range(len(blocks)):
        if keep[index]:
            size += blocks[index, B_END] - blocks[index, B_START] + MARKER_BYTES
    out = np.empty(size, dtype=np.uint8)
    at = 0
    previous = -1
    for index in range(len(blocks)):
        if not keep[index]:
            continue
        if previous >= 0:
            out[at] = 10
            at += 1
            if not _same_group(elements, blocks[previous], blocks[index]):
                out[at] = 10
                at += 1
        start = blocks[index, B_START]
        if _is_item(elements, blocks[index]):
            at = _marker(elements, blocks[index], out, at)
            start = _behind_bullet(text, start, blocks[index, B_END])
        for position in range(start, blocks[index, B_END]):
            out[at] = text[position]
            at += 1
        previous = index
    return out[:at]


@njit
def _is_item(elements, block):
    """Whether the block is an item's own text: not a list that only lays out longer matter."""
    item = block[B_ITEM]
    if item < 0 or block[B_HEADING]:
        return False
    box = block[B_BOX]
    inside = elements[box, E_PARENT] == item and elements[box, E_TAG] == PARAGRAPH
    return box == item or inside or elements[item, E_BLOCKS] == 1


@njit
def _behind_bullet(text, start, end):
    """Where an item's text begins behind a bullet that its page wrote itself: ·, • or a geometric shape."""
    if start + 3 >= end:
        return start
    behind = start
    if text[start] == 0xC2 and text[start + 1] == 0xB7:
        behind = start + 2
    elif text[start] == 0xE2:
        bullet = text[start + 1] == 0x80 and text[start + 2] == 0xA2
        behind = start + 3 if bullet or text[start + 1] == 0x96 or text[start + 1] == 0x97 else start
    while behind > start and behind < end - 1 and text[behind] == 32:
        behind += 1
    return behind


@njit
def _same_group(elements, before, block):
    if _is_item(elements, before) and _is_item(elements, block):
        return True
    if before[B_CELLS] > 1 and block[B_CELLS] > 1:
        return True
    tag = elements[block[B_BOX], E_TAG]
    last = elements[before[B_BOX], E_TAG]
    return (last in (DT, DD)) and tag == DD


@njit
def _marker(elements, block, out, at):
    levels = min(max(elements[block[B_ITEM], E_LISTS] - 1, 0), MAX_INDENT)
    out[at : at + 2 * levels] = 32
    at += 2 * levels
    number = block[B_NUMBER]
    if number == 0:
        out[at] = 45
    else:
        width = 1
        while width < 10 and number >= 10**width:
            width += 1
        for digit in range(width):
            out[at + width - 1 - digit] = 48 + number % 10
            number //= 10
        at += width
        out[at] = 46
    out[at + 1] = 32
    return at + 2
