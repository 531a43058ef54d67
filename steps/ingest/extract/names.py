"""Kernels over bytes: white space, table look-up, automata."""

import numpy as np

from steps.ingest.extract.automaton import EDGE, SLOTS
from steps.text.jit import njit


@njit(inline="always")
def is_space(byte):
    return byte == 32 or (9 <= byte <= 13)


@njit
def lookup(table, key):
    """The row of a name's hash, or -1."""
    slot = key % SLOTS
    while table[slot, 1] >= 0:
        if table[slot, 0] == key:
            return slot
        slot = (slot + 1) % SLOTS
    return -1


@njit
def match_cues(data, start, end, symbols, goto, bits, camel):
    """The categories of an automaton that data[start:end] has; with ``camel``, "aB" has an edge inside."""
    state = np.int64(goto[0, EDGE])
    found, last, previous = 0, EDGE, 0
    for position in range(start, end):
        byte = data[position]
        symbol = symbols[byte]
        if camel and 65 <= byte <= 90 and 97 <= previous <= 122:
            state = np.int64(goto[state, EDGE])
            found |= bits[state]
        previous = byte
        if symbol == EDGE and last == EDGE:
            continue
        state = np.int64(goto[state, symbol])
        found |= bits[state]
        last = symbol
    if last != EDGE:
        found |= bits[goto[state, EDGE]]
    return found


@njit
def skip_to(data, position, byte):
    while position < len(data) and data[position] != byte:
        position += 1
    return position
