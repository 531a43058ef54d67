"""What a page would cost to parse, from its bytes alone: no parser is asked before it is known to be cheap.

HTML5 parsing is not linear. A parser looks through all open elements at many tags, compares every attribute of a
tag with all others, and opens unclosed <b>, <font>, <a> ... again in each following paragraph: 20 kB of
``<b a1><b a2>...<p>x<p>x...`` take 1.2 GB (own measurement, resiliparse 2.0).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from steps.ingest.extract.automaton import RAW, RAW_TAGS, name_table
from steps.ingest.extract.names import is_space, lookup, skip_to
from steps.ingest.html import TooDeep
from steps.text.jit import njit

COUNTED, FORMAT, PARAGRAPH, ROOT, BARRIER, FOREIGN, LEAVES = (8 << bit for bit in range(7))
GROUPS = {
    RAW: RAW_TAGS,
    FORMAT: "a b big code em font i nobr s small strike strong tt u",
    PARAGRAPH: "p li td th dd dt",
    ROOT: "html body",
    BARRIER: "table caption select template object marquee applet svg math",  # end tags do not reach over them
    FOREIGN: "svg math",  # in them, and only there, <path/> has no content
    LEAVES: "body br center div dl embed h1 h2 h3 head menu p pre span table ul ol",  # and so ends svg
}
# Closed by the next one of their kind, or never open
UNCOUNTED = (
    "area base br col embed hr img input link meta source track wbr "
    "p li dd dt option td tr th thead tbody tfoot"
)
REACH = 64  # open elements that an end tag looks back over
SEEN = 4096  # slots for the tags of formatting elements that were seen
MAX_COPIES = 500_000  # elements that open again: about 0.2 GB and 0.1 s (own measurement)
MAX_COMPARISONS = 400_000_000  # of attributes: about 0.6 s (own measurement)
MAX_TAGS = 300_000  # 0.5 GB and 2 s at worst (own measurement); the largest page of crawl_mix has 12,000


def guard_table() -> np.ndarray:
    """Tag name → (0, kind, 0), for the tags that the guard counts in a way of their own."""
    groups = {kind: tags.split() for kind, tags in GROUPS.items()}
    uncounted = UNCOUNTED.split()
    kinds = {}
    for name in {name: None for tags in (*groups.values(), uncounted) for name in tags}:
        kind = sum(bit for bit, tags in groups.items() if name in tags) | COUNTED * (name not in uncounted)
        kinds[name] = (0, kind, 0)
    return name_table(kinds)


class Cost(NamedTuple):
    """Of a page: deepest nesting, elements opened again, comparisons of attributes, tags."""

    depth: int
    copies: int
    comparisons: int
    tags: int


def check_cost(data: np.ndarray, table: np.ndarray, max_depth: int) -> None:
    """Raise TooDeep, saying what is too much, for a page that must not be parsed."""
    cost = Cost(*measure(data, table, max_depth))
    limits = (max_depth, MAX_COPIES, MAX_COMPARISONS, MAX_TAGS)
    what = (
        "levels of unclosed elements",
        "unclosed elements to open again",
        "attributes to compare",
        "tags",
    )
    for value, limit, name in zip(cost, limits, what, strict=True):
        if value > limit:
            raise TooDeep(f"{value:,} {name}, more than {limit:,}")


@njit
def _tag_end(data, position, key):
    """(position behind ">", attributes, hash of the whole tag), from behind its name on."""
    size = len(data)
    start = position
    count, fresh, value = 0, False, False
    while position < size and data[position] != 62:
        byte = data[position]
        if value and (byte == 34 or byte == 39):
            position = skip_to(data, position + 1, byte)
            value, fresh = False, True
        elif byte == 61 and not fresh:
            value = True
        elif is_space(byte) or (byte == 47 and not value):
            fresh = True if not value else fresh
        else:
            count += fresh
            fresh = False
            value = False
        position += 1
    digest = key
    for at in range(start, min(position, size)):
        digest = ((digest ^ data[at]) * 0x01000193) & 0x7FFFFFFF
    return min(position + 1, size), count, digest


@njit
def _lower_name(data, position):
    """(hash, position behind) of the tag name at ``position``, in lower case."""
    key = np.int64(0x811C9DC5)
    while position < len(data):
        byte = data[position]
        if is_space(byte) or byte == 62 or byte == 47:
            break
        if 65 <= byte <= 90:
            byte += 32
        key = ((key ^ byte) * 0x01000193) & 0x7FFFFFFF
        position += 1
    return key, position


@njit
def _raw_text_end(data, position, start, end):
    """Position of "</name" behind ``position`` in any case; the end of data without one."""
    size, length = len(data), end - start
    while position < size - length - 1:
        if data[position] == 60 and data[position + 1] == 47:
            index = 0
            while index < length and data[position + 2 + index] | 32 == data[start + index] | 32:
                index += 1
            behind = data[min(position + 2 + length, size - 1)]
            if index == length and (is_space(behind) or behind == 62 or behind == 47):
                return position
        position += 1
    return size


@njit
def _comment_end(data, position):
    """The position behind a comment's end, ``position`` being behind its "<!--"."""
    size = len(data)
    while position < size:
        if data[position] == 62 and data[position - 1] == 45 and data[position - 2] == 45:
            return position + 1
        if (
            data[position] == 62
            and data[position - 1] == 33
            and data[position - 2] == 45
            and data[position - 3] == 45
        ):
            return position + 1
        position += 1
    return size


@njit
def _close(stack, depth, key):
    """(new depth, found): the stack without the innermost element of that name, if it is near and no barrier
    lies above it.
    """
    for back in range(1, min(depth, REACH) + 1):
        if stack[depth - back] == key:
            return depth - back, True
        if stack[depth - back] < 0 and stack[depth - back] != -key:
            return depth, False
        if stack[depth - back] == -key:
            return depth - back, True
    return depth, False


@njit
def measure(data, table, max_depth):
    """(depth, copies, comparisons, tags) of a page's bytes by its tags alone; stops when deeper than max_depth.

    Formatting elements count as unclosed until their end tag comes in the same table cell; at most three alike
    can be open (the parser's own rule).
    """
    size = len(data)
    stack = np.zeros(
        max_depth + 2, dtype=np.int64
    )  # names of open elements; negative: end tags do not reach over it
    seen = np.zeros(SEEN, dtype=np.bool_)
    depth = deepest = formatting = kinds_seen = copies = comparisons = count = root_attributes = foreign = 0
    position = 0
    while position < size and depth <= max_depth:
        if data[position] != 60 or position + 1 >= size:
            position += 1
            continue
        byte = data[position + 1]
        if byte == 33 and position + 3 < size and data[position + 2] == 45 and data[position + 3] == 45:
            position = _comment_end(data, position + 4)
            continue
        closing = byte == 47
        if not closing and not 97 <= byte | 32 <= 122:
            position += 1
            continue
        start = position + 2 if closing else position + 1
        key, end = _lower_name(data, start)
        row = lookup(table, key)
        kind = table[row, 2] if row >= 0 else COUNTED
        position, attributes, digest = _tag_end(data, end, key)
        count += 1
        if closing:
            if kind & COUNTED:
                depth, found = _close(stack, depth, key)
                formatting -= found and kind & FORMAT != 0
                foreign = foreign - 1 if found and kind & FOREIGN and foreign else foreign
            continue
        foreign = 0 if kind & LEAVES else foreign + (kind & FOREIGN != 0)
        if kind & ROOT:
            root_attributes += attributes
            comparisons += attributes * root_attributes
        comparisons += attributes * attributes
        if kind & RAW:
            position = _raw_text_end(data, position, start, end)
        elif kind & COUNTED and not (foreign and data[position - 2] == 47):
            stack[depth] = -key if kind & BARRIER else key
            depth += 1
            deepest = max(deepest, depth)
        if kind & FORMAT:
            formatting += 1
            kinds_seen += not seen[digest % SEEN]
            seen[digest % SEEN] = True
        elif kind & (PARAGRAPH | COUNTED):
            copies += min(formatting, 3 * kinds_seen)
    return deepest, copies, comparisons, count
