"""Counts over the text of each block. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from steps.ingest.extract.columns import B_END, B_LINKED, B_START
from steps.ingest.extract.names import match_cues
from steps.text.jit import njit

# Columns of a text's statistics
T_BYTES, T_CHARACTERS, T_WORDS, T_ENDERS, T_COMMAS, T_DIGITS, T_UPPER, T_WIDE, T_DIVIDERS, T_LAST, T_CUES = (
    range(11)
)
T_TITLE, T_LINK_SHARE, T_PROSE, T_REPEATS = range(11, 15)
TEXT_COLUMNS = 15


@njit
def text_statistics(text, blocks, title, symbols, goto, bits):
    """float64[blocks, TEXT_COLUMNS]. ``last``: 0 other, 1 end of a sentence, 2 colon."""
    result = np.zeros((len(blocks), TEXT_COLUMNS))
    for index in range(len(blocks)):
        start, end = blocks[index, B_START], blocks[index, B_END]
        row = result[index]
        _count(text, start, end, row)
        row[T_BYTES] = end - start
        row[T_CUES] = match_cues(text, start, end, symbols, goto, bits, False)
        row[T_LINK_SHARE] = min(blocks[index, B_LINKED] / row[T_BYTES], 1.0)
        row[T_PROSE] = row[T_ENDERS] >= 1 and row[T_LINK_SHARE] < 0.3 and row[T_BYTES] >= 60
        if 2 < end - start <= len(title) and _inside(text, start, end, title):
            row[T_TITLE] = (end - start) / len(title)
    _count_repeats(text, blocks, result)
    return result


@njit
def _count_repeats(text, blocks, result):
    """How many blocks of the page have the same text: menus come twice, for wide and for narrow screens."""
    slots = 64
    while slots < 2 * len(blocks):
        slots *= 2
    keys = np.full(slots, -1, dtype=np.int64)
    counts = np.zeros(slots, dtype=np.int64)
    places = np.zeros(len(blocks), dtype=np.int64)
    for index in range(len(blocks)):
        key = np.int64(0x811C9DC5)
        for at in range(blocks[index, B_START], blocks[index, B_END]):
            key = ((key ^ text[at]) * 0x100000001B3) & 0x7FFFFFFFFFFFFFFF
        slot = (key ^ (key >> 31)) & (slots - 1)
        while keys[slot] != -1 and keys[slot] != key:
            slot = (slot + 1) & (slots - 1)
        keys[slot] = key
        counts[slot] += 1
        places[index] = slot
    for index in range(len(blocks)):
        result[index, T_REPEATS] = counts[places[index]]


@njit
def _count(text, start, end, row):
    """Characters, words, punctuation. A wide character (Chinese, Japanese, Korean) is half a word."""
    word, wide = False, 0
    for at in range(start, end):
        byte = text[at]
        if byte & 0xC0 == 0x80:
            continue
        row[T_CHARACTERS] += 1
        if byte >= 0xE3 and byte < 0xEE:
            wide += 1
            word = False
            continue
        if byte == 0xEF and at + 2 < end:  # full-width punctuation
            last = text[at + 2]
            row[T_ENDERS] += text[at + 1] == 0xBC and (last == 0x81 or last == 0x9F or last == 0x9B)
            row[T_COMMAS] += text[at + 1] == 0xBC and last == 0x8C
        letter = byte >= 0xC3 or 48 <= byte <= 57 or 97 <= byte | 32 <= 122
        if letter and not word:
            row[T_WORDS] += 1
        word = letter
        row[T_DIGITS] += 48 <= byte <= 57
        row[T_UPPER] += 65 <= byte <= 90
        if byte == 46 or byte == 33 or byte == 63:
            row[T_ENDERS] += at + 1 == end or text[at + 1] <= 34
        row[T_COMMAS] += byte == 44
        row[T_DIVIDERS] += (
            byte == 124 or byte == 47 or (byte == 0xC2 and text[min(at + 1, end - 1)] in (0xB7, 0xBB))
        )
    for at in range(start, end - 2):  # 。
        row[T_ENDERS] += text[at] == 0xE3 and text[at + 1] == 0x80 and text[at + 2] == 0x82
        row[T_COMMAS] += text[at] == 0xE3 and text[at + 1] == 0x80 and text[at + 2] == 0x81
    row[T_WIDE] = wide
    row[T_WORDS] += wide / 2
    row[T_LAST] = _last(text, start, end)


@njit
def _last(text, start, end):
    at = end - 1
    while at > start and (text[at] in (34, 39, 41, 93) or text[at] == 0x9D):  # closing quotes and brackets
        at -= 3 if text[at] == 0x9D else 1
    at = max(at, start)
    byte = text[at]
    if byte == 46 or byte == 33 or byte == 63:
        return 1
    if byte == 58 or (byte == 0x9A and at >= start + 2 and text[at - 2] == 0xEF):
        return 2
    if at >= start + 2 and text[at - 2] == 0xE3 and text[at - 1] == 0x80 and byte == 0x82:
        return 1
    if at >= start + 2 and text[at - 2] == 0xEF and (byte == 0x81 or byte == 0x9F):
        return 1
    return 0


@njit
def _inside(text, start, end, title):
    for offset in range(len(title) - (end - start) + 1):
        at = 0
        while at < end - start and title[offset + at] == text[start + at]:
            at += 1
        if at == end - start:
            return True
    return False
