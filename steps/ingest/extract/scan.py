"""One pass over serialised HTML: its elements, and its text in blocks. Bytes in, arrays out.

The input is what an HTML parser writes (``str(HTMLTree)``): every element closed, names in lower case, attribute
values in double quotes, ``&``, ``<`` and ``>`` of texts escaped. Other bytes give some other arrays, never an
error or an endless loop. A *block* is the text between two boundaries of block-level elements.
"""

from __future__ import annotations

import numpy as np

from steps.ingest.extract.automaton import (
    ANNOTATION,
    ARIA,
    ARIA_HIDDEN,
    BLOCK,
    BODY,
    BR,
    CLASS,
    ENCODING,
    H1,
    H6,
    HIDDEN,
    HIDDEN_ATTRIBUTE,
    HTML,
    LI,
    LIST,
    MATH,
    OL,
    OPEN,
    PRE,
    RAW,
    SKIP,
    STYLE,
    TD,
    TH,
    TR,
    UL,
    VOID,
)
from steps.ingest.extract.columns import (
    B_PRE,
    BLOCK_COLUMNS,
    E_BOX,
    E_CELL,
    E_COUNT,
    E_CUES,
    E_DEPTH,
    E_FLAGS,
    E_HASH,
    E_HEADING,
    E_INHERITED,
    E_LISTS,
    E_PARENT,
    E_ROW,
    E_SIGNATURE,
    E_TAG,
    ELEMENT_COLUMNS,
    S_BLOCKS,
    S_CURRENT,
    S_ELEMENTS,
    S_HIDDEN,
    S_ITEM,
    S_NUMBER,
    S_OPEN,
    S_OUT,
    STATES,
)
from steps.ingest.extract.names import is_space, lookup, match_cues, skip_to
from steps.ingest.extract.text_blocks import (
    MAX_CLIMB,
    add_text,
    end_formula,
    flush,
    line_break,
    note_formula,
    start_formula,
)
from steps.text.jit import njit


@njit
def _style_hides(data, start, end):
    """Whether a style has display:none or visibility:hidden, whatever its case and spaces."""
    none, hidden = b"display:none", b"visibility:hidden"
    at_none, at_hidden = 0, 0
    for position in range(start, end):
        byte = data[position]
        if is_space(byte):
            continue
        if 65 <= byte <= 90:
            byte += 32
        at_none = at_none + 1 if byte == none[at_none] else int(byte == none[0])
        at_hidden = at_hidden + 1 if byte == hidden[at_hidden] else int(byte == hidden[0])
        if at_none == len(none) or at_hidden == len(hidden):
            return True
    return False


@njit
def _attributes(data, position, found, attribute_table, classes, names, goto, bits):
    """Read attributes up to the tag's end. Gives the position after ">".

    found: [cues, flags, hash of the class, whether there is an ``open``, whether the encoding ends in tex].
    """
    size = len(data)
    found[:] = 0
    while position < size:
        while position < size and is_space(data[position]):
            position += 1
        if position >= size or data[position] == 62:
            break
        key = np.int64(0x811C9DC5)
        while (
            position < size and data[position] != 61 and data[position] != 62 and not is_space(data[position])
        ):
            key = ((key ^ data[position]) * 0x01000193) & 0x7FFFFFFF
            position += 1
        start = position
        if position + 1 < size and data[position] == 61 and data[position + 1] == 34:
            start = position + 2
            position = start
            while position < size and data[position] != 34:
                position += 1
        end = position
        position = position + 1 if position < size and data[position] != 62 else position
        row = lookup(attribute_table, key)
        if row >= 0:
            _attribute(data, start, end, attribute_table[row, 1], found, classes, names, goto, bits)
    return min(position + 1, size)


@njit
def _class_flags(data, start, end, classes):
    """What the words of a class mean for all that lies in the element."""
    flags = np.int64(0)
    key, length = np.int64(0x811C9DC5), 0
    for position in range(start, end + 1):
        if position < end and not is_space(data[position]):
            key = ((key ^ data[position]) * 0x01000193) & 0x7FFFFFFF
            length += 1
            continue
        row = lookup(classes, key) if length else -1
        if row >= 0:
            flags |= classes[row, 3]
        key, length = np.int64(0x811C9DC5), 0
    return flags


@njit
def _attribute(data, start, end, number, found, classes, names, goto, bits):
    if number == STYLE:
        if _style_hides(data, start, end):
            found[1] |= HIDDEN
    elif number == HIDDEN_ATTRIBUTE:
        if end - start < 5 or data[start] != 117:  # until-found
            found[1] |= HIDDEN
    elif number == ARIA:
        if end - start == 4 and data[start] == 116:
            found[1] |= ARIA_HIDDEN
    elif number == OPEN:
        found[3] = 1
    elif number == ENCODING:
        found[4] = end - start >= 3 and data[end - 3] == 116 and data[end - 2] == 101 and data[end - 1] == 120
    else:
        found[0] |= match_cues(data, start, end, names, goto, bits, True)
        if number == CLASS:
            found[1] |= _class_flags(data, start, end, classes)
            key = np.int64(0x811C9DC5)
            for position in range(start, end):
                key = ((key ^ data[position]) * 0x01000193) & 0x7FFFFFFF
            found[2] = key


@njit
def _start_tag(state, elements, blocks, text, found, key, number, kind, flags):
    """Enter an element: its row, and what its tag does to the open block. Void elements end at once."""
    parent = state[S_CURRENT]
    inherited = elements[parent, E_FLAGS]
    if number == BR:
        if not inherited & SKIP:
            line_break(state, blocks, text)
        return
    if kind & BLOCK:
        _boundary(state, blocks, text, inherited)
    if kind & VOID:
        return
    element = state[S_ELEMENTS]
    state[S_ELEMENTS] += 1
    row = elements[element]
    row[:] = elements[parent]  # what is inherited; the rest follows
    row[E_PARENT] = parent
    row[E_HASH] = key
    row[E_TAG] = number
    root = number == BODY or number == HTML  # their classes say what the page is, not where in it
    row[E_CUES] = 0 if root else found[0]
    row[E_INHERITED] = row[E_INHERITED] | row[E_CUES]
    own = (flags & ~HIDDEN if found[3] else flags) | (0 if root else found[1])
    row[E_FLAGS] = inherited | own
    if number == MATH:
        row[E_FLAGS] &= ~HIDDEN  # MediaWiki hides it behind an image of it
        note_formula(state, text)
    elif number == ANNOTATION:
        row[E_FLAGS] |= 0 if found[4] else SKIP
        start_formula(state, blocks, text, row[E_FLAGS])
    row[E_DEPTH] += 1
    row[E_SIGNATURE] = (found[2] ^ key) & 0x7FFFFFFF
    row[E_COUNT:E_LISTS] = 0
    if kind & BLOCK:
        row[E_BOX] = element
    if H1 <= number <= H6:
        row[E_HEADING] = number - H1 + 1
    if flags & LIST:
        row[E_LISTS] += 1
    if number == TR:
        row[E_ROW] = element
    elif number in (TD, TH):
        row[E_CELL] = element
    elif number == LI:
        elements[parent, E_COUNT] += 1
        state[S_ITEM] = element
        state[S_NUMBER] = elements[parent, E_COUNT] if elements[parent, E_TAG] == OL else 0
    if number in (UL, OL):
        row[E_ROW] = -1
    state[S_CURRENT] = element


@njit
def _boundary(state, blocks, text, flags):
    """The edge of a block-level element: it ends the block, and in preformatted text the line."""
    if flags & SKIP:
        return
    if flags & PRE and state[S_OPEN] and blocks[state[S_BLOCKS], B_PRE]:
        if text[state[S_OUT] - 1] != 10:
            text[state[S_OUT]] = 10
            state[S_OUT] += 1
        return
    flush(state, blocks, text)


@njit
def _end_tag(state, elements, blocks, text, key, kind):
    """Leave the innermost open element of that name; without one the tag is ignored."""
    element = state[S_CURRENT]
    climbed = 0
    while element > 0 and elements[element, E_HASH] != key and climbed < MAX_CLIMB:
        element = elements[element, E_PARENT]
        climbed += 1
    if element <= 0 or elements[element, E_HASH] != key:
        return
    parent = elements[element, E_PARENT]
    if elements[element, E_TAG] == ANNOTATION:
        end_formula(state, text)
    if kind & BLOCK:
        _boundary(state, blocks, text, elements[parent, E_FLAGS])
        if elements[element, E_TAG] == LI and state[S_ITEM] == element:
            state[S_ITEM] = -1
    state[S_CURRENT] = parent


@njit
def _name(data, position):
    """(hash, position behind) of the tag name at ``position``."""
    key = np.int64(0x811C9DC5)
    while position < len(data):
        byte = data[position]
        if is_space(byte) or byte == 62 or byte == 47:
            break
        key = ((key ^ byte) * 0x01000193) & 0x7FFFFFFF
        position += 1
    return key, position


@njit
def _raw_end(data, position, start, end):
    """Position of "</name" behind ``position``, the name being data[start:end]; the end of data without one."""
    size = len(data)
    length = end - start
    while position < size - length - 1:
        if data[position] == 60 and data[position + 1] == 47:
            same = True
            for index in range(length):
                if data[position + 2 + index] != data[start + index]:
                    same = False
                    break
            if same:
                return position
        position += 1
    return size


@njit
def _declaration(data, position):
    """The position behind a comment or declaration that begins at ``position``."""
    size = len(data)
    if position + 3 < size and data[position + 2] == 45 and data[position + 3] == 45:
        at = position + 4
        while at + 2 < size and not (data[at] == 45 and data[at + 1] == 45 and data[at + 2] == 62):
            at += 1
        return min(at + 3, size)
    return min(skip_to(data, position, 62) + 1, size)


@njit
def scan(data, tags, attributes, classes, symbols, goto, bits, keep_hidden):
    """(text uint8[], elements int32[n, ELEMENT_COLUMNS], blocks int32[m, BLOCK_COLUMNS], hidden bytes).

    ``data`` is serialised HTML in UTF-8. Text in elements that are not displayed is left out and counted, or
    with ``keep_hidden`` kept.
    """
    size = len(data)
    opened = bounds = 2
    for position in range(size - 1):
        if data[position] == 60:
            bounds += 1
            opened += 97 <= data[position + 1] | 32 <= 122
    text = np.empty(size + 64, dtype=np.uint8)
    elements = np.zeros((opened, ELEMENT_COLUMNS), dtype=np.int32)
    blocks = np.zeros((min(bounds, size // 2 + 2), BLOCK_COLUMNS), dtype=np.int32)
    state = np.zeros(STATES, dtype=np.int64)
    state[S_ITEM] = -1
    state[S_ELEMENTS] = 1
    elements[0, E_ROW] = elements[0, E_CELL] = -1
    found = np.zeros(5, dtype=np.int64)
    position = 0
    while position < size:
        if data[position] != 60:
            end = skip_to(data, position, 60)
            _content(data, position, end, state, elements, blocks, text, keep_hidden, False)
            position = end
            continue
        byte = data[position + 1] if position + 1 < size else 0
        if byte == 33 or byte == 63:
            position = _declaration(data, position)
        elif byte == 47:
            key, end = _name(data, position + 2)
            row = lookup(tags, key)
            _end_tag(state, elements, blocks, text, key, tags[row, 2] if row >= 0 else 0)
            position = min(skip_to(data, end, 62) + 1, size)
        elif 97 <= (byte | 32) <= 122:
            key, end = _name(data, position + 1)
            row = lookup(tags, key)
            number, kind, flags = 0, 0, 0
            if row >= 0:
                number, kind, flags = tags[row, 1], tags[row, 2], tags[row, 3]
            behind = _attributes(data, end, found, attributes, classes, symbols, goto, bits)
            _start_tag(state, elements, blocks, text, found, key, number, kind, flags)
            if kind & RAW:
                last = _raw_end(data, behind, position + 1, end)
                _content(data, behind, last, state, elements, blocks, text, keep_hidden, True)
                behind = last
            position = behind
        else:
            _content(data, position, position + 1, state, elements, blocks, text, keep_hidden, True)
            position += 1
    flush(state, blocks, text)
    return (
        text[: state[S_OUT]],
        elements[: state[S_ELEMENTS]],
        blocks[: state[S_BLOCKS]],
        state[S_HIDDEN],
    )


@njit
def _content(data, start, end, state, elements, blocks, text, keep_hidden, raw):
    flags = elements[state[S_CURRENT], E_FLAGS]
    if flags & SKIP:
        return
    if flags & HIDDEN and not keep_hidden:
        state[S_HIDDEN] += end - start
        return
    add_text(data, start, end, state, elements, blocks, text, raw)
