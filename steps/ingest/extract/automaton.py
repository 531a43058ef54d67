"""Tables that the scanning kernels read: tag names, and the words of cues.yaml as one automaton each."""

from __future__ import annotations

from collections import deque
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

CUES = Path(__file__).with_name("cues.yaml")
EDGE = 0  # the symbol of everything that is no letter: patterns write it "_"
OTHER = 1  # the symbol of every letter that no pattern has

# What a tag is, once
BLOCK, VOID, RAW = 1, 2, 4
# What a tag means for all that lies in it (bits of Element.flags)
SKIP, HIDDEN, LINK, PRE, ARIA_HIDDEN, BUTTON, FORM, NAV, HEADER, FOOTER, ASIDE = (
    1 << bit for bit in range(11)
)
ARTICLE, MAIN, SECTION, TABLE, LIST, HEADING, QUOTE, FIGURE, EMPHASIS, DETAILS, P = (
    1 << bit for bit in range(11, 22)
)

BLOCK_TAGS = (
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset "
    "figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing "
    "main menu nav ol p pre section summary table tbody td tfoot th thead tr ul xmp button optgroup "
    "marquee"
)
VOID_TAGS = (
    "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
)
RAW_TAGS = "script style iframe noembed noframes plaintext xmp title textarea"
SKIPPED_TAGS = (
    "script style iframe noembed noframes template svg canvas audio video object select option "
    "datalist textarea head title map applet progress meter rp"
)
# Classes of elements that are no text of the page: formulas once more, as positioned letters (KaTeX); "[edit]"
# behind headings (MediaWiki); links of headings to themselves (Sphinx, Docusaurus, VuePress, anchor.js)
SKIPPED_CLASSES = "katex-html mw-editsection headerlink hash-link header-anchor anchorjs-link"
FLAGS = {
    "a": LINK, "pre": PRE, "listing": PRE, "xmp": PRE, "plaintext": PRE, "button": BUTTON, "label": BUTTON,
    "form": FORM, "nav": NAV, "header": HEADER, "footer": FOOTER, "aside": ASIDE, "article": ARTICLE,
    "main": MAIN, "section": SECTION, "table": TABLE, "ul": LIST, "ol": LIST, "dl": LIST, "menu": LIST,
    "dir": LIST, "blockquote": QUOTE, "figure": FIGURE, "figcaption": FIGURE, "b": EMPHASIS, "strong": EMPHASIS,
    "em": EMPHASIS, "i": EMPHASIS, "details": DETAILS, "p": P, "dialog": HIDDEN, "noscript": HIDDEN,
    **{f"h{level}": HEADING for level in range(1, 7)},
}  # fmt: skip
# Tags that the kernels ask for by number, in this order from 1
NAMED_TAGS = (
    "br li ol ul td th tr h1 h2 h3 h4 h5 h6 p body html dt dd hr math annotation dialog div span code"
)
(BR, LI, OL, UL, TD, TH, TR, H1, H2, H3, H4, H5, H6, PARAGRAPH, BODY, HTML) = range(1, 17)
(DT, DD, HR, MATH, ANNOTATION, DIALOG, DIV, SPAN, CODE) = range(17, 26)
NAMED_ATTRIBUTES = "class id style hidden role aria-hidden itemprop aria-label data-testid open encoding"
(CLASS, ID, STYLE, HIDDEN_ATTRIBUTE, ROLE, ARIA, ITEMPROP, LABEL, TESTID, OPEN, ENCODING) = range(1, 12)
SLOTS = 1024


class Automaton(NamedTuple):
    """An Aho-Corasick automaton as a table: next state by (state, symbol), and the category bits of a state."""

    symbols: np.ndarray  # uint8[256]: the symbol of a byte
    goto: np.ndarray  # int16[states, symbols]
    bits: np.ndarray  # int32[states]


class Tables(NamedTuple):
    """All that `scan` needs besides the page."""

    tags: np.ndarray  # int64[SLOTS, 4]: name hash, number, kind, flags
    attributes: np.ndarray  # int64[SLOTS, 4]: name hash, number
    classes: np.ndarray  # int64[SLOTS, 4]: name hash, 0, 0, flags
    names: Automaton
    words: Automaton


def name_hash(name: str) -> int:
    """FNV-1a, 31 bits, as `scan` computes it over a name's bytes."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0x7FFFFFFF
    return value


def name_table(rows: dict[str, tuple[int, int, int]]) -> np.ndarray:
    """Open addressing by hash: name → (number, kind, flags); a slot without a name has number -1."""
    table = np.full((SLOTS, 4), -1, dtype=np.int64)
    for name, values in rows.items():
        slot = name_hash(name) % SLOTS
        while table[slot, 1] >= 0:
            slot = (slot + 1) % SLOTS
        table[slot] = (name_hash(name), *values)
    return table


def tag_table() -> np.ndarray:
    """Number, kind and flags of every tag that means something to the extractor."""
    named, block, void, raw, skipped = (
        tags.split() for tags in (NAMED_TAGS, BLOCK_TAGS, VOID_TAGS, RAW_TAGS, SKIPPED_TAGS)
    )
    rows = {}
    for name in dict.fromkeys([*named, *block, *void, *raw, *skipped, *FLAGS]):
        number = named.index(name) + 1 if name in named else 0
        kind = BLOCK * (name in block) | VOID * (name in void) | RAW * (name in raw)
        rows[name] = (number, kind, FLAGS.get(name, 0) | SKIP * (name in skipped))
    return name_table(rows)


def automaton(categories: dict[str, list[str]]) -> Automaton:
    """Patterns by category → automaton; bit n of a state is set where a pattern of category n ends."""
    patterns = [
        (pattern.strip().lower().encode(), bit)
        for bit, group in enumerate(categories.values())
        for pattern in map(str, group)
    ]
    letters = sorted({byte for pattern, _ in patterns for byte in pattern} - {ord("_")})
    symbols = np.zeros(256, dtype=np.uint8)
    symbols[[byte for byte in range(256) if byte >= 128 or chr(byte).isalpha()]] = OTHER
    for number, byte in enumerate(letters, OTHER + 1):
        symbols[byte] = number
    upper = np.arange(ord("A"), ord("Z") + 1)
    symbols[upper] = symbols[upper + 32]
    goto = [[0] * (len(letters) + 2)]
    bits = [0]
    for pattern, bit in patterns:
        state = 0
        for byte in pattern:
            symbol = int(symbols[byte])
            if not goto[state][symbol]:
                goto.append([0] * (len(letters) + 2))
                bits.append(0)
                goto[state][symbol] = len(goto) - 1
            state = goto[state][symbol]
        bits[state] |= 1 << bit
    return Automaton(symbols, *_complete(np.array(goto, dtype=np.int16), np.array(bits, dtype=np.int32)))


def _complete(goto: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fill missing transitions by those of the longest suffix that is a state, breadth first."""
    queue = deque((int(state), 0) for state in goto[0] if state)
    while queue:
        state, suffix = queue.popleft()
        bits[state] |= bits[suffix]
        for symbol in np.flatnonzero(goto[state]):
            queue.append((int(goto[state, symbol]), int(goto[suffix, symbol])))
        goto[state] = np.where(goto[state] > 0, goto[state], goto[suffix])
    return goto, bits


@cache
def cues() -> dict[str, dict[str, list[str]]]:
    """The categories of names and of words with their patterns, in bit order."""
    loaded: dict[str, dict[str, list[str]]] = yaml.load(
        CUES.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return loaded


@cache
def tables() -> Tables:
    """The tables, built once per process (40 ms)."""
    attributes = {name: (number, 0, 0) for number, name in enumerate(NAMED_ATTRIBUTES.split(), 1)}
    names, words = automaton(cues()["names"]), automaton(cues()["words"])
    classes = name_table({name: (0, 0, SKIP) for name in SKIPPED_CLASSES.split()})
    return Tables(tag_table(), name_table(attributes), classes, names, words)
