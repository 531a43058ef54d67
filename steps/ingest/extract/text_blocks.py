"""Kernels that write the blocks' text while `scan` walks through a page. State in, arrays changed in place."""

from steps.ingest.extract.automaton import EMPHASIS, HIDDEN, LINK, PRE, SKIP
from steps.ingest.extract.columns import (
    B_BOX,
    B_BREAKS,
    B_CELL,
    B_CELLS,
    B_ELEMENT,
    B_EMPHASIS,
    B_END,
    B_HEADING,
    B_ITEM,
    B_LINKED,
    B_LINKS,
    B_NUMBER,
    B_PRE,
    B_ROW,
    B_START,
    E_BOX,
    E_CELL,
    E_FLAGS,
    E_HEADING,
    E_ROW,
    S_BLOCKS,
    S_CURRENT,
    S_FORMULA,
    S_ITEM,
    S_LINK,
    S_NUMBER,
    S_OPEN,
    S_OUT,
    S_SPACE,
)
from steps.ingest.extract.names import is_space
from steps.text.jit import njit

IN_FORMULA = (
    -2
)  # of S_FORMULA, which else is where the letters of a formula begin, or -1 for the block's start
GAP = 1  # bytes between two blocks in the text
NO_BREAK = 0x1A0  # stands for a no-break space among bytes
ROW_CELL_BYTES = 200  # a cell with more text is a block of its own: layout tables hold whole columns in cells
MAX_CLIMB = 256  # open elements that an end tag may look back over: serialised pages need one


@njit
def flush(state, blocks, text):
    """End the open block, if there is one."""
    if state[S_OPEN]:
        block = blocks[state[S_BLOCKS]]
        out = state[S_OUT]
        while out > block[B_START] and is_space(text[out - 1]):
            out -= 1
        if out > block[B_START]:
            block[B_END] = out
            state[S_BLOCKS] += 1
            text[out] = 10
            state[S_OUT] = out + GAP
    state[S_OPEN] = 0
    state[S_SPACE] = 0


@njit
def _open_block(state, elements, blocks):
    element = state[S_CURRENT]
    block = blocks[state[S_BLOCKS]]
    block[:] = 0
    block[B_START] = state[S_OUT]
    block[B_ELEMENT] = element
    block[B_BOX] = elements[element, E_BOX]
    block[B_ROW] = elements[element, E_ROW]
    block[B_CELL] = elements[element, E_CELL]
    block[B_CELLS] = 1
    block[B_HEADING] = elements[element, E_HEADING]
    block[B_PRE] = (elements[element, E_FLAGS] & PRE) != 0
    block[B_ITEM] = -1
    if state[S_ITEM] >= 0:
        block[B_ITEM] = state[S_ITEM]
        block[B_NUMBER] = state[S_NUMBER]
        state[S_ITEM] = -1
    state[S_OPEN] = 1
    state[S_SPACE] = 0
    state[S_LINK] = -1


@njit
def line_break(state, blocks, text):
    """<br>: a new line, and the second one in a row ends the block."""
    if not state[S_OPEN]:
        return
    out = state[S_OUT]
    block = blocks[state[S_BLOCKS]]
    if text[out - 1] == 10 and not block[B_PRE]:
        flush(state, blocks, text)
        return
    text[out] = 10
    state[S_OUT] = out + 1
    block[B_BREAKS] += 1
    state[S_SPACE] = 0


@njit
def note_formula(state, text):
    """<math>: remember where its letters begin, behind the space before it."""
    state[S_FORMULA] = -1
    if state[S_OPEN]:
        if state[S_SPACE] and text[state[S_OUT] - 1] != 10:
            text[state[S_OUT]] = 32
            state[S_OUT] += 1
        state[S_SPACE] = 0
        state[S_FORMULA] = state[S_OUT]


@njit
def start_formula(state, blocks, text, flags):
    """The TeX of a formula begins: it takes the place of the letters that were written since <math>, between "$"."""
    if flags & (SKIP | HIDDEN) or not state[S_OPEN]:
        return
    out = max(state[S_FORMULA], blocks[state[S_BLOCKS], B_START])
    if out < state[S_OUT]:
        text[out] = 36
        state[S_OUT] = out + 1
        state[S_SPACE] = 0
        state[S_FORMULA] = IN_FORMULA


@njit
def end_formula(state, text):
    """The TeX of a formula ends."""
    if state[S_FORMULA] == IN_FORMULA and state[S_OPEN]:
        text[state[S_OUT]] = 36
        state[S_OUT] += 1
        state[S_SPACE] = 0
    state[S_FORMULA] = -1


@njit
def _entity(data, position, end):
    """(bytes read, byte or NO_BREAK) of a reference that a serialiser writes; (1, "&") for what is none."""
    if position + 3 < end and data[position + 3] == 59 and data[position + 2] == 116:
        if data[position + 1] == 108:
            return 4, 60
        if data[position + 1] == 103:
            return 4, 62
    if position + 4 < end and data[position + 4] == 59 and data[position + 1] == 97:
        return 5, 38
    if position + 5 < end and data[position + 5] == 59:
        if data[position + 1] == 110 and data[position + 2] == 98:
            return 6, NO_BREAK
        if data[position + 1] == 113 and data[position + 2] == 117:
            return 6, 34
    return 1, 38


@njit
def _may_be_mojibake(text, out):
    """Whether a no-break space here may be the byte A0 of a character: behind one that is neither ASCII nor CJK.

    preprocess puts such text right, and makes an ordinary space of every other one.
    """
    return out > 1 and text[out - 1] >= 0x80 and not (out > 2 and 0xE3 <= text[out - 3] <= 0xEF)


@njit
def add_text(data, position, end, state, elements, blocks, text, raw):
    """Append data[position:end] to the open block; spaces are collapsed but in <pre>."""
    element = state[S_CURRENT]
    flags = elements[element, E_FLAGS]
    keep = (flags & PRE) != 0
    out = state[S_OUT]
    began = out
    space = state[S_SPACE]
    while position < end:
        byte, step = data[position], 1
        if byte == 38 and not raw:
            step, byte = _entity(data, position, end)
        elif byte == 0xC2 and position + 1 < end and data[position + 1] == 0xA0:
            step, byte = 2, NO_BREAK
        position += step
        if byte == NO_BREAK:
            byte = 32
            if state[S_OPEN] and not space and _may_be_mojibake(text, out):
                text[out], text[out + 1] = 0xC2, 0xA0
                out += 2
                continue
        if is_space(byte) and not keep:
            space = 1
            continue
        if not state[S_OPEN]:
            if is_space(byte):
                if byte == 10:
                    continue
                space = 1
                continue
            _open_block(state, elements, blocks)
            if not keep:
                space = 0
            began = out
            indent = position - step
            while keep and indent > 0 and (data[indent - 1] == 32 or data[indent - 1] == 9):
                indent -= 1
            while keep and indent < position - step:
                text[out] = data[indent]
                out += 1
                indent += 1
            space = 0
        if space:
            if text[out - 1] != 10:
                text[out] = 32
                out += 1
            space = 0
        text[out] = byte
        out += 1
    state[S_OUT] = out
    state[S_SPACE] = space
    if state[S_OPEN] and out > began:
        block = blocks[state[S_BLOCKS]]
        if flags & LINK:
            block[B_LINKED] += out - began
            if state[S_LINK] != element:
                block[B_LINKS] += 1
                state[S_LINK] = element
        if flags & EMPHASIS:
            block[B_EMPHASIS] += out - began


@njit
def join_cells(text, blocks):
    """Make one block of a table row whose cells are short and hold one block each. Gives the blocks' number.

    Cells are joined by a tab. ``text`` and ``blocks`` are changed in place.
    """
    count = 0
    first = 0
    total = len(blocks)
    while first < total:
        last = first + 1
        row = blocks[first, B_ROW]
        simple = row >= 0 and _is_short_cell(blocks[first])
        while row >= 0 and last < total and blocks[last, B_ROW] == row:
            simple = simple and _is_short_cell(blocks[last])
            simple = simple and blocks[last, B_CELL] != blocks[last - 1, B_CELL]
            last += 1
        if simple and last > first + 1:
            blocks[count] = blocks[first]
            for index in range(first + 1, last):
                text[blocks[index, B_START] - 1] = 9
                blocks[count, B_END] = blocks[index, B_END]
                blocks[count, B_LINKED] += blocks[index, B_LINKED]
                blocks[count, B_LINKS] += blocks[index, B_LINKS]
                blocks[count, B_EMPHASIS] += blocks[index, B_EMPHASIS]
            blocks[count, B_BOX] = row
            blocks[count, B_CELLS] = last - first
            count += 1
        else:
            for index in range(first, last):
                blocks[count] = blocks[index]
                count += 1
        first = last
    return count


@njit(inline="always")
def _is_short_cell(block):
    return block[B_END] - block[B_START] <= ROW_CELL_BYTES and block[B_BREAKS] == 0 and not block[B_PRE]
