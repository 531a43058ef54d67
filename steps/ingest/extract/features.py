"""What the model sees of a block: its text, its place in the tree, its neighbours, its page. Arrays in, arrays out.

`FEATURES` names the columns of the first look; `CONTEXT` those that the second look adds, which are made of the
first look's scores. There is no logarithm or power in here: the same bits come out on every machine.
"""

from __future__ import annotations

import numpy as np

from steps.ingest.extract.automaton import (
    ARIA_HIDDEN,
    ARTICLE,
    ASIDE,
    BUTTON,
    DD,
    DETAILS,
    DT,
    FIGURE,
    FOOTER,
    FORM,
    HEADER,
    HIDDEN,
    LIST,
    MAIN,
    NAV,
    QUOTE,
    SECTION,
    TABLE,
    P,
    cues,
)
from steps.ingest.extract.columns import (
    B_BOX,
    B_BREAKS,
    B_CELLS,
    B_ELEMENT,
    B_EMPHASIS,
    B_HEADING,
    B_ITEM,
    B_LINKED,
    B_LINKS,
    B_NUMBER,
    B_PRE,
    E_BLOCKS,
    E_BYTES,
    E_CUES,
    E_DEPTH,
    E_FLAGS,
    E_INHERITED,
    E_LINKED,
    E_LISTS,
    E_PARENT,
    E_PROSE,
    E_SIGNATURE,
    E_TAG,
)
from steps.ingest.extract.statistics import (
    T_BYTES,
    T_CHARACTERS,
    T_COMMAS,
    T_CUES,
    T_DIGITS,
    T_DIVIDERS,
    T_ENDERS,
    T_LAST,
    T_LINK_SHARE,
    T_PROSE,
    T_REPEATS,
    T_TITLE,
    T_UPPER,
    T_WIDE,
    T_WORDS,
)
from steps.text.jit import njit

# Columns of a group of blocks whose boxes look alike
G_BLOCKS, G_BYTES, G_LINKED = range(3)

_NAMES, _WORDS = tuple(cues()["names"]), tuple(cues()["words"])
NAMES, WORDS = len(_NAMES), len(_WORDS)
_PLACES = {
    "nav": NAV, "header": HEADER, "footer": FOOTER, "aside": ASIDE, "article": ARTICLE, "main": MAIN,
    "section": SECTION, "form": FORM, "table": TABLE, "list": LIST, "details": DETAILS,
    "aria_hidden": ARIA_HIDDEN, "button": BUTTON, "figure": FIGURE, "quote": QUOTE, "p": P, "hidden": HIDDEN,
}  # fmt: skip
PLACES = tuple(_PLACES.values())
LEVELS = 4  # boxes from the block upwards whose sums are looked at (own choice)
NEAR = 3  # elements from the box upwards whose names count as near

FEATURES = (
    *("bytes", "characters", "words", "link_share", "links", "enders", "commas", "digit_share", "upper_share"),
    *("wide_share", "dividers", "last", "breaks", "line_bytes", "emphasis_share", "in_title", "enders_per_word"),
    *("heading", "item", "number", "lists", "cells", "pre", "term", "depth"),
    *(f"says_{name}" for name in _WORDS),
    *(f"in_{name}" for name in _PLACES),
    *(f"under_{name}" for name in _NAMES),
    *(f"near_{name}" for name in _NAMES),
    *(f"{name}_{level}" for level in range(LEVELS) for name in
      ("box_bytes", "box_share", "box_link_share", "box_blocks", "box_prose_share")),
    *(f"{name}_{offset}" for offset in ("before_2", "before_1", "after_1", "after_2") for name in
      ("bytes", "link_share", "enders", "heading", "same_box")),
    *("heading_distance", "heading_level", *(f"heading_says_{name}" for name in _WORDS)),
    *("page_bytes", "page_blocks", "page_link_share", "page_prose_share", "page_article", "page_main", "page_h1"),
    *("place", "byte_place", "prose_before", "prose_after"),
    *("alike_blocks", "alike_bytes", "alike_link_share", "repeats", "behind_title"),
)  # fmt: skip
CONTEXT = (
    *("score", *(f"score_{offset}" for offset in (-3, -2, -1, 1, 2, 3)), "score_around_5", "score_around_15"),
    *(f"box_score_{level}" for level in range(LEVELS)),
    *(f"box_mass_{level}" for level in range(LEVELS)),
    *(
        "alike_score",
        "page_score",
        "page_best",
        "page_mass",
        "kept_before",
        "kept_after",
        "first_kept",
        "last_kept",
    ),
    *("section_score", "heading_score"),
)


@njit
def sum_up(elements, blocks, texts):
    """Fill bytes, linked bytes, blocks and bytes of prose of every element, from its blocks and its children."""
    for index in range(len(blocks)):
        row = elements[blocks[index, B_BOX]]
        row[E_BYTES] += texts[index, T_BYTES]
        row[E_LINKED] += blocks[index, B_LINKED]
        row[E_BLOCKS] += 1
        row[E_PROSE] += texts[index, T_BYTES] * texts[index, T_PROSE]
    for element in range(len(elements) - 1, 0, -1):
        parent = elements[element, E_PARENT]
        for column in (E_BYTES, E_LINKED, E_BLOCKS, E_PROSE):
            elements[parent, column] += elements[element, column]


@njit
def group_alike(elements, blocks, texts):
    """(group of each block, float64[groups, 3]): blocks whose box has the same tag and class, in a parent alike."""
    slots = 64
    while slots < 2 * len(blocks):
        slots *= 2
    keys = np.full(slots, -1, dtype=np.int64)
    numbers = np.zeros(slots, dtype=np.int64)
    groups = np.zeros(len(blocks), dtype=np.int64)
    sums = np.zeros((len(blocks) + 1, 3))
    count = 0
    for index in range(len(blocks)):
        box = blocks[index, B_BOX]
        parent = elements[box, E_PARENT]
        key = np.int64(elements[box, E_SIGNATURE]) * 0x1F123BB5 + elements[parent, E_SIGNATURE]
        slot = (key ^ (key >> 29)) & (slots - 1)
        while keys[slot] != -1 and keys[slot] != key:
            slot = (slot + 1) & (slots - 1)
        if keys[slot] == -1:
            keys[slot] = key
            numbers[slot] = count
            count += 1
        group = numbers[slot]
        groups[index] = group
        sums[group, G_BLOCKS] += 1
        sums[group, G_BYTES] += texts[index, T_BYTES]
        sums[group, G_LINKED] += blocks[index, B_LINKED]
    return groups, sums[:count]


@njit
def first_look(elements, blocks, texts, groups, group_sums, out):
    """Fill float64[blocks, FEATURES]."""
    page = elements[0]
    headings = np.zeros(4, dtype=np.int64)  # index, level and words of the heading above; prose bytes so far
    headings[0] = -1
    behind = 0
    articles, mains, tops = _page_counts(elements, blocks)
    titled = _titled_block(blocks, texts)
    for index in range(len(blocks)):
        row, block = out[index], blocks[index]
        at = _own(row, 0, block, texts[index], elements)
        at = _tree(row, at, block, elements, page)
        at = _neighbours(row, at, index, blocks, texts, elements)
        at = _heading(row, at, index, block, texts, headings)
        row[at] = page[E_BYTES]
        row[at + 1] = len(blocks)
        row[at + 2] = page[E_LINKED] / max(page[E_BYTES], 1)
        row[at + 3] = page[E_PROSE] / max(page[E_BYTES], 1)
        row[at + 4] = articles
        row[at + 5] = mains
        row[at + 6] = tops
        row[at + 7] = index / len(blocks)
        row[at + 8] = behind / max(page[E_BYTES], 1)
        row[at + 9] = headings[3] / max(page[E_PROSE], 1)
        prose = texts[index, T_BYTES] * texts[index, T_PROSE]
        headings[3] += np.int64(prose)
        row[at + 10] = (page[E_PROSE] - headings[3]) / max(page[E_PROSE], 1)
        behind += texts[index, T_BYTES]
        group = group_sums[groups[index]]
        row[at + 11] = group[G_BLOCKS]
        row[at + 12] = group[G_BYTES] / group[G_BLOCKS]
        row[at + 13] = group[G_LINKED] / max(group[G_BYTES], 1)
        row[at + 14] = texts[index, T_REPEATS]
        row[at + 15] = index - titled


@njit
def _page_counts(elements, blocks):
    articles, mains, tops = 0, 0, 0
    for element in range(1, len(elements)):
        own = elements[element, E_FLAGS] & ~elements[elements[element, E_PARENT], E_FLAGS]
        articles += own & ARTICLE != 0
        mains += own & MAIN != 0
    for index in range(len(blocks)):
        tops += blocks[index, B_HEADING] == 1
    return articles, mains, tops


@njit
def _titled_block(blocks, texts):
    """The first block that has the largest part of the page's title, a heading of level 1 before others."""
    best, found = 0.0, 0
    for index in range(len(blocks)):
        value = texts[index, T_TITLE] + (blocks[index, B_HEADING] == 1)
        if value > best:
            best, found = value, index
    return found


@njit
def _own(row, at, block, text, elements):
    size, words = text[T_BYTES], max(text[T_WORDS], 1)
    row[at] = size
    row[at + 1] = text[T_CHARACTERS]
    row[at + 2] = text[T_WORDS]
    row[at + 3] = text[T_LINK_SHARE]
    row[at + 4] = block[B_LINKS]
    row[at + 5] = text[T_ENDERS]
    row[at + 6] = text[T_COMMAS]
    row[at + 7] = text[T_DIGITS] / size
    row[at + 8] = text[T_UPPER] / size
    row[at + 9] = text[T_WIDE] / max(text[T_CHARACTERS], 1)
    row[at + 10] = text[T_DIVIDERS]
    row[at + 11] = text[T_LAST]
    row[at + 12] = block[B_BREAKS]
    row[at + 13] = size / (block[B_BREAKS] + 1)
    row[at + 14] = min(block[B_EMPHASIS] / size, 1.0)
    row[at + 15] = text[T_TITLE]
    row[at + 16] = text[T_ENDERS] / words
    at += 17
    box = elements[block[B_BOX]]
    row[at] = block[B_HEADING]
    row[at + 1] = block[B_ITEM] >= 0
    row[at + 2] = block[B_NUMBER]
    row[at + 3] = box[E_LISTS]
    row[at + 4] = block[B_CELLS]
    row[at + 5] = block[B_PRE]
    row[at + 6] = (box[E_TAG] == DT) + 2 * (box[E_TAG] == DD)
    row[at + 7] = box[E_DEPTH]
    return _write_bits(row, at + 8, np.int64(text[T_CUES]), WORDS)


@njit
def _write_bits(row, at, bits, count):
    for bit in range(count):
        row[at + bit] = bits >> bit & 1
    return at + count


@njit
def _tree(row, at, block, elements, page):
    element = elements[block[B_ELEMENT]]
    for place in PLACES:
        row[at] = element[E_FLAGS] & place != 0
        at += 1
    near = element[E_CUES]
    climber = block[B_BOX]
    for _ in range(NEAR):
        near |= elements[climber, E_CUES]
        climber = elements[climber, E_PARENT]
    at = _write_bits(row, at, element[E_INHERITED], NAMES)
    at = _write_bits(row, at, near, NAMES)
    climber = block[B_BOX]
    for _ in range(LEVELS):
        box = elements[climber]
        size = max(box[E_BYTES], 1)
        row[at] = box[E_BYTES]
        row[at + 1] = box[E_BYTES] / max(page[E_BYTES], 1)
        row[at + 2] = box[E_LINKED] / size
        row[at + 3] = box[E_BLOCKS]
        row[at + 4] = box[E_PROSE] / size
        at += 5
        climber = box[E_PARENT]
    return at


@njit
def _neighbours(row, at, index, blocks, texts, elements):
    parent = elements[blocks[index, B_BOX], E_PARENT]
    for offset in (-2, -1, 1, 2):
        other = index + offset
        if 0 <= other < len(blocks):
            row[at] = texts[other, T_BYTES]
            row[at + 1] = texts[other, T_LINK_SHARE]
            row[at + 2] = texts[other, T_ENDERS]
            row[at + 3] = blocks[other, B_HEADING]
            row[at + 4] = elements[blocks[other, B_BOX], E_PARENT] == parent
        else:
            row[at : at + 5] = -1
        at += 5
    return at


@njit
def _heading(row, at, index, block, texts, headings):
    if block[B_HEADING]:
        headings[0], headings[1] = index, block[B_HEADING]
        headings[2] = np.int64(texts[index, T_CUES])
    row[at] = index - headings[0] if headings[0] >= 0 else -1
    row[at + 1] = headings[1]
    return _write_bits(row, at + 2, headings[2], WORDS)


@njit
def second_look(elements, blocks, texts, groups, scores, at, out):
    """Fill the columns CONTEXT of out, from column ``at`` on, from the first look's scores (0 to 1)."""
    total = len(blocks)
    mass = np.zeros(len(elements))
    group_mass = np.zeros((total, 2))
    before = np.zeros(total + 1)
    weights = np.zeros(total + 1)
    best, first, last = 0.0, -1, -1
    for index in range(total):
        size, score = texts[index, T_BYTES], scores[index]
        mass[blocks[index, B_BOX]] += size * score
        group_mass[groups[index], 0] += size * score
        group_mass[groups[index], 1] += size
        before[index + 1] = before[index] + size * score
        weights[index + 1] = weights[index] + size
        best = max(best, score)
        if score > 0.5:
            first = index if first < 0 else first
            last = index
    for element in range(len(elements) - 1, 0, -1):
        mass[elements[element, E_PARENT]] += mass[element]
    sections = _section_scores(blocks, before, weights)
    for index in range(total):
        row = out[index]
        column = _scores_around(row, at, index, scores, before, weights)
        climber = blocks[index, B_BOX]
        for level in range(LEVELS):
            row[column + level] = mass[climber] / max(elements[climber, E_BYTES], 1)
            row[column + LEVELS + level] = mass[climber] / max(mass[0], 1e-9)
            climber = elements[climber, E_PARENT]
        column += 2 * LEVELS
        group = group_mass[groups[index]]
        row[column] = group[0] / group[1]
        row[column + 1] = before[total] / max(weights[total], 1)
        row[column + 2] = best
        row[column + 3] = before[total]
        row[column + 4] = before[index] / max(before[total], 1e-9)
        row[column + 5] = (before[total] - before[index + 1]) / max(before[total], 1e-9)
        row[column + 6] = index - first if first >= 0 else -1e6
        row[column + 7] = last - index if last >= 0 else -1e6
        row[column + 8] = sections[index, 0]
        row[column + 9] = scores[np.int64(sections[index, 1])]


@njit
def _scores_around(row, at, index, scores, before, weights):
    total = len(scores)
    row[at] = scores[index]
    at += 1
    for offset in (-3, -2, -1, 1, 2, 3):
        row[at] = scores[index + offset] if 0 <= index + offset < total else -1.0
        at += 1
    for reach in (5, 15):
        low, high = max(index - reach, 0), min(index + reach + 1, total)
        row[at] = (before[high] - before[low]) / max(weights[high] - weights[low], 1)
        at += 1
    return at


@njit
def _section_scores(blocks, before, weights):
    """(mean score of the blocks under the same heading, index of that heading or of the block itself)."""
    total = len(blocks)
    result = np.zeros((total, 2))
    start = 0
    while start < total:
        end = start + 1
        while end < total and not blocks[end, B_HEADING]:
            end += 1
        inner = start + 1 if blocks[start, B_HEADING] and end > start + 1 else start
        mean = (before[end] - before[inner]) / max(weights[end] - weights[inner], 1)
        for index in range(start, end):
            result[index, 0] = mean
            result[index, 1] = start
        start = end
    return result
