"""Compiled counts per line and per document. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np

from steps.text.jit import njit
from steps.text.segment import decode, is_closer, is_terminator
from steps.text.unicode_tables import (
    DIGIT,
    HAN,
    IDEOGRAPH,
    LETTER,
    MARK,
    OTHER_NUMBER,
    PUNCTUATION,
    SPACE,
    UPPER,
    WIDE_PUNCTUATION,
)

COLUMNS = (
    "characters",
    "letters",
    "upper",
    "digits",
    "punctuation",
    "special",
    "spaces",
    "han",
    "hashes",
    "ellipses",
    "curly",
    "lenticular",
    "bullet",
    "ends_sentence",
    "ends_ellipsis",
    "longest_word",
    "tokens",
    "words",
    "ascii",
    "cut_offs",
    "end",
)
(
    CHARACTERS,
    LETTERS,
    UPPERS,
    DIGITS,
    PUNCTUATIONS,
    SPECIALS,
    SPACES,
    HANS,
    HASHES,
    ELLIPSES,
    CURLY,
    LENTICULAR,
    BULLET,
    ENDS_SENTENCE,
    ENDS_ELLIPSIS,
    LONGEST_WORD,
    TOKENS,
    WORDS,
    ASCII,
    CUT_OFFS,
    END,
) = range(len(COLUMNS))
# How a line or sentence ends (column END)
ENDS, ENDS_CUT_OFF, ENDS_OPEN, ENDS_BARE = range(4)
LINE_TOKENS = 5  # C4: lines of fewer words are no text


@njit(inline="always")
def _is_bullet(point, following):
    """A list mark: • ● ○ ■ □ ▪ ◆ ★ ☆ ► ▶ ‣ ·, or one of * - + – with a space behind it."""
    return (
        point == 0x2022
        or point == 0x25CF
        or point == 0x25CB
        or point == 0x25A0
        or point == 0x25A1
        or point == 0x25AA
        or point == 0x25C6
        or point == 0x2605
        or point == 0x2606
        or point == 0x25BA
        or point == 0x25B6
        or point == 0x2023
        or point == 0xB7
        or ((point == 0x2A or point == 0x2D or point == 0x2B or point == 0x2013) and following == 0x20)
    )


@njit(inline="always")
def _is_colon(point):
    """A line may end in a colon before a list; it is not cut off."""
    return point == 0x3A or point == 0xFF1A


@njit(inline="always")
def _is_open(point):
    """A mark behind which something must follow: , ， 、 : ： ( （ [ 【 《 “ ‘ 「 『."""
    return (
        point == 0x2C
        or point == 0xFF0C
        or point == 0x3001
        or _is_colon(point)
        or point == 0x28
        or point == 0xFF08
        or point == 0x5B
        or point == 0x3010
        or point == 0x300A
        or point == 0x201C
        or point == 0x2018
        or point == 0x300C
        or point == 0x300E
    )


@njit(inline="always")
def _count_character(row, point, flags):
    """Adds one character to the columns that need no context."""
    row[CHARACTERS] += 1
    if (flags & SPACE) != 0:
        row[SPACES] += 1
    if (flags & LETTER) != 0:
        row[LETTERS] += 1
    if (flags & UPPER) != 0:
        row[UPPERS] += 1
    if (flags & DIGIT) != 0:
        row[DIGITS] += 1
    if (flags & PUNCTUATION) != 0:
        row[PUNCTUATIONS] += 1
    if (flags & HAN) != 0:
        row[HANS] += 1
    if point > 0x7F:
        if (flags & (LETTER | DIGIT | SPACE | MARK | PUNCTUATION | OTHER_NUMBER)) == 0:
            row[SPECIALS] += 1
    elif point > 0x20:
        row[ASCII] += 1
    if point == 0x23:
        row[HASHES] += 1
    elif point == 0x7B or point == 0x7D:
        row[CURLY] += 1


@njit
def count_spans(data, start, end, classes):
    """int32[spans, COLUMNS] of lines or sentences: start, end int64[spans] bytes, classes uint16[0x110000].

    An ellipsis is a run of at least three full stops or of any number of …; a line ends a sentence if the
    last mark before closing quotes and brackets is a terminator. A cut-off is exactly three full stops or one …:
    …… is how Chinese writes an ellipsis, and four full stops are one with the end of its sentence.
    """
    out = np.zeros((len(start), 21), np.int32)
    for span in range(len(start)):
        at, stop = start[span], end[span]
        row = out[span]
        run, word, dots, inside, first = 0, False, 0, False, True
        last_mark, last_dots, formula = 0, 0, False
        stops, leaders, last_cut, last_point, in_words = 0, 0, False, 0, False
        while at < stop:
            point, size = decode(data, at, stop)
            flags = classes[point]
            at += size
            _count_character(row, point, flags)
            formula = formula or point == 0x24 or point == 0x5C or point == 0x60  # $ \\ `
            if first and (flags & SPACE) == 0:
                first = False
                row[BULLET] = 1 if _is_bullet(point, data[at] if at < stop else 0) else 0
            # 【…】: what opens and closes within the line
            if point == 0x3010:
                inside, bracket = True, 0
            elif point == 0x3011 and inside:
                row[LENTICULAR] += bracket
                inside = False
            elif inside:
                bracket += 1
            # runs of dots
            if point == 0x2E:
                dots += 1
                if dots == 3:
                    row[ELLIPSES] += 1
            elif point == 0x2026:
                if dots < 3:
                    row[ELLIPSES] += 1
                dots = 3
            elif (flags & SPACE) == 0:
                dots = 0
            # cut-offs: exactly three full stops, or one …; behind a letter or digit, so that {...} is none
            if (flags & SPACE) == 0:
                if point != 0x2E and point != 0x2026:
                    in_words = (flags & (LETTER | DIGIT)) != 0
                stops = stops + 1 if point == 0x2E else 0
                leaders = leaders + 1 if point == 0x2026 else 0
                if in_words and (stops == 3 or leaders == 1):
                    row[CUT_OFFS] += 1
                elif in_words and (stops == 4 or leaders == 2):
                    row[CUT_OFFS] -= 1
                last_point = point
                if not is_closer(point):
                    last_mark = point
                    last_dots = dots
                    last_cut = stops == 3 or leaders == 1
            # words and tokens, as steps/text/segment.py cuts them
            if (flags & IDEOGRAPH) != 0:
                row[TOKENS] += 1
                run, word = 0, False
            elif (flags & (SPACE | WIDE_PUNCTUATION)) != 0:
                run, word = 0, False
            else:
                if not word:
                    row[TOKENS] += 1
                    row[WORDS] += 1
                    word = True
                run += 1
                row[LONGEST_WORD] = max(row[LONGEST_WORD], run)
        if formula:  # braces of a formula or of code in a sentence are no page residue
            row[CURLY] = 0
        row[ENDS_ELLIPSIS] = 1 if last_dots >= 3 else 0
        row[ENDS_SENTENCE] = 1 if is_terminator(last_mark) or _is_colon(last_mark) else 0
        if last_cut:
            row[END] = ENDS_CUT_OFF
        elif _is_open(last_point):
            row[END] = ENDS_OPEN
        elif not is_terminator(last_mark):
            row[END] = ENDS_BARE
    return out


@njit(inline="always")
def _mark(data, at, end):
    """The byte of which a line's first three are made, after space: 96 for ```, 126 for ~~~, 36 for $$; or 0."""
    while at < end and (data[at] == 0x20 or data[at] == 0x09):
        at += 1
    if at + 1 < end and data[at] == 0x24 and data[at + 1] == 0x24:
        return np.uint8(0x24), at
    fence = at + 2 < end and (data[at] == 0x60 or data[at] == 0x7E)
    if fence and data[at + 1] == data[at] and data[at + 2] == data[at]:
        return data[at], at
    return np.uint8(0), at


@njit
def code_lines(data, parent, start, end):
    """bool[lines]: the line is code or a displayed formula: fenced by ``` or ~~~, or between $$ and $$.

    parent, start, end int64[lines] of lines that are not blank; a fence that is never closed is none.
    """
    code = np.zeros(len(start), np.bool_)
    opened, mark = -1, np.uint8(0)
    for line in range(len(start)):
        if line and parent[line] != parent[line - 1]:
            opened = -1
        found, at = _mark(data, start[line], end[line])
        if opened < 0:
            if found == 0:
                continue
            again = False
            for i in range(at + 2, end[line] - 1):
                again = again or (data[i] == found and data[i + 1] == found)
            if found == 0x24 and again:
                code[line] = True  # $$ … $$ on one line
            elif not again or found != 0x60:
                opened, mark = line, found
            continue
        closes = found == mark
        if mark == 0x24 and not closes:
            for i in range(start[line], end[line] - 1):
                closes = closes or (data[i] == mark and data[i + 1] == mark)
        if closes:
            code[opened : line + 1] = True
            opened = -1
    return code


@njit
def blank(data, start, end):
    """A copy of data, uint8[], in which the given spans are spaces."""
    out = data.copy()
    for span in range(len(start)):
        out[start[span] : end[span]] = 0x20
    return out


@njit
def count_words(data, offsets, start, end, word, classes):
    """(words with a letter, words of two or more capitals, characters in words), int64[documents] each.

    Tokens as `steps.text.segment.tokens` gives them; a capital word has letters, all of them capitals.
    """
    documents = len(offsets) - 1
    alpha, caps, chars = (
        np.zeros(documents, np.int64),
        np.zeros(documents, np.int64),
        np.zeros(documents, np.int64),
    )
    for document in range(documents):
        for token in range(offsets[document], offsets[document + 1]):
            if not word[token]:
                continue
            letters, uppers, at = 0, 0, start[token]
            while at < end[token]:
                point, size = decode(data, at, end[token])
                at += size
                chars[document] += 1
                letters += (classes[point] & LETTER) != 0
                uppers += (classes[point] & UPPER) != 0
            alpha[document] += letters > 0
            caps[document] += letters >= 2 and uppers == letters
    return alpha, caps, chars


@njit
def count_stop_words(offsets, hashes, stops, wanted):
    """(different stop words, stop words), int64[documents], of the documents that are `wanted`.

    stops uint64[] sorted, at most 64 of them.
    """
    documents = len(offsets) - 1
    different, total = np.zeros(documents, np.int64), np.zeros(documents, np.int64)
    for document in range(documents):
        if not wanted[document]:
            continue
        seen = np.uint64(0)
        for token in range(offsets[document], offsets[document + 1]):
            place = np.searchsorted(stops, hashes[token])
            if place < len(stops) and stops[place] == hashes[token]:
                total[document] += 1
                seen |= np.uint64(1) << np.uint64(place)
        while seen:
            different[document] += 1
            seen &= seen - np.uint64(1)
    return different, total


@njit
def endings(document, end, tokens, gone, closed, goes):
    """(cut off, unfinished), bool[sentences]: sentences at the end of what is left of their document.

    document int64[sentences], ascending; end int32[sentences], the column END; gone bool[sentences], removed
    already; closed bool[documents], documents that end in something else, such as code; goes bool[documents, 4],
    whether a last sentence that ends so goes too, so that the one before it becomes the end. Only one without any
    mark goes, since text that has no punctuation at all is not cut off; those of few tokens (bylines, buttons) are
    not counted. tokens float64[sentences].
    """
    cut, unfinished = np.zeros(len(end), np.bool_), np.zeros(len(end), np.bool_)
    current, done, bare = np.int64(-1), False, False
    for i in range(len(end) - 1, -1, -1):
        if document[i] != current:
            current, done, bare = document[i], closed[document[i]], False
        if done or gone[i]:
            continue
        if end[i] == ENDS_CUT_OFF:
            cut[i] = True
        elif end[i] == ENDS_OPEN or (end[i] == ENDS_BARE and not bare):
            unfinished[i] = True
        bare = bare or (end[i] == ENDS_BARE and tokens[i] >= LINE_TOKENS)
        done = not goes[current, end[i]] or not (cut[i] or unfinished[i])
    return cut, unfinished
