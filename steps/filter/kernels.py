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
def _ending(data, start, stop, classes):
    """(END, whether the last mark before closing quotes and brackets ends a sentence, or is an ellipsis) of a span.

    Read from its end. A cut-off is exactly three full stops or one …: …… is how Chinese writes an ellipsis, and four
    full stops are one with the end of its sentence.
    """
    at, last, mark = stop, np.int32(0), np.int32(0)
    run, other = (
        0,
        0,
    )  # full stops or … like the mark, before another character; the others of the two before those
    leaders = 0
    while at > start:
        at -= 1
        while at > start and (data[at] & 0xC0) == 0x80:
            at -= 1
        point, _ = decode(data, at, stop)
        if (classes[point] & SPACE) != 0:
            continue
        if last == 0:
            last = point
        if mark == 0:
            if is_closer(point):
                continue
            mark = point
        if point != 0x2E and point != 0x2026:
            break
        leaders += point == 0x2026
        if point == mark and other == 0:
            run += 1
        else:
            other += 1
    ellipsis = leaders > 0 or run >= 3
    if (mark == 0x2E and run == 3) or (mark == 0x2026 and run == 1):
        how = ENDS_CUT_OFF
    elif _is_open(last):
        how = ENDS_OPEN
    elif not is_terminator(mark):
        how = ENDS_BARE
    else:
        how = ENDS
    return how, is_terminator(mark) or _is_colon(mark), ellipsis


@njit
def count_sentences(data, start, end, classes):
    """(characters, tokens, how it ends), int32[spans] each, as `count_spans` counts them."""
    characters, tokens = np.empty(len(start), np.int32), np.empty(len(start), np.int32)
    ends = np.empty(len(start), np.int32)
    for span in range(len(start)):
        at, stop = start[span], end[span]
        count, found, inside = 0, 0, False
        while at < stop:
            begin = at
            while at < stop and np.uint8(data[at] - 0x21) < 0x5E:  # ASCII without space: most of most words
                at += 1
            if at > begin:
                count += at - begin
                found += not inside
                inside = True
                continue
            point, size = decode(data, at, stop)
            flags = classes[point]
            at += size
            count += 1
            single = (flags & IDEOGRAPH) != 0
            word = (flags & (IDEOGRAPH | SPACE | WIDE_PUNCTUATION)) == 0
            found += single or (word and not inside)
            inside = word
        characters[span], tokens[span] = count, found
        ends[span], _, _ = _ending(data, start[span], stop, classes)
    return characters, tokens, ends


@njit(inline="always")
def _ellipsis(point, dots):
    """(dots, 1 if an ellipsis begins): a run of at least three full stops, or of any number of …"""
    if point == 0x2E:
        return dots + 1, 1 if dots == 2 else 0
    if point == 0x2026:
        return 3, 1 if dots < 3 else 0
    return 0, 0


@njit(inline="always")
def _cut_off(point, stops, leaders):
    """(stops, leaders, change of the count): exactly three full stops, or one …; a longer run is taken back."""
    stops = stops + 1 if point == 0x2E else 0
    leaders = leaders + 1 if point == 0x2026 else 0
    if stops == 3 or leaders == 1:
        return stops, leaders, 1
    return stops, leaders, -1 if stops == 4 or leaders == 2 else 0


@njit
def count_spans(data, start, end, classes):
    """int32[spans, COLUMNS] of lines: start, end int64[spans] bytes, classes uint16[0x110000].

    An ellipsis is a run of at least three full stops or of any number of …; a line ends a sentence if the
    last mark before closing quotes and brackets is a terminator.
    """
    out = np.zeros((len(start), 21), np.int32)
    for span in range(len(start)):
        at, stop = start[span], end[span]
        row = out[span]
        characters, letters, upper, digits, punctuation, special, spaces = 0, 0, 0, 0, 0, 0, 0
        han, ascii_, singles, words, longest, run, curly = 0, 0, 0, 0, 0, 0, 0
        dots, stops, leaders, opened, bracketed = 0, 0, 0, -1, 0
        first, formula, in_words = True, False, False
        while at < stop:
            byte = data[at]
            if np.uint8((byte | 0x20) - 0x61) < 26:  # a run of ASCII letters, most of most texts
                begin = at
                while at < stop and np.uint8((data[at] | 0x20) - 0x61) < 26:
                    upper += data[at] < 0x61
                    at += 1
                size = at - begin
                characters += size
                letters += size
                ascii_ += size
                words += run == 0
                run += size
                first, in_words, dots, stops, leaders = False, True, 0, 0, 0
                continue
            point, size = decode(data, at, stop)
            flags = classes[point]
            at += size
            characters += 1
            han += (flags & HAN) != 0
            if (flags & (IDEOGRAPH | SPACE | WIDE_PUNCTUATION)) != 0:  # as steps/text/segment.py cuts tokens
                singles += (flags & IDEOGRAPH) != 0
                longest, run = max(longest, run), 0
            else:
                words += run == 0
                run += 1
            if (flags & (LETTER | DIGIT)) != 0:
                letters += (flags & LETTER) != 0
                upper += (flags & UPPER) != 0
                digits += (flags & DIGIT) != 0
                ascii_ += point <= 0x7F
                first, in_words, dots, stops, leaders = False, True, 0, 0, 0
                continue
            punctuation += (flags & PUNCTUATION) != 0
            if (flags & SPACE) != 0:
                spaces += 1
                continue
            if point > 0x7F:
                special += (flags & (MARK | PUNCTUATION | OTHER_NUMBER)) == 0
            elif point > 0x20:
                ascii_ += 1
            row[HASHES] += point == 0x23
            curly += point == 0x7B or point == 0x7D
            formula = formula or point == 0x24 or point == 0x5C or point == 0x60  # $ \\ `
            if first:
                first = False
                row[BULLET] = _is_bullet(point, data[at] if at < stop else 0)
            # 【…】: what opens and closes within the line
            if point == 0x3010:
                opened = characters
            elif point == 0x3011 and opened >= 0:
                bracketed += characters - opened - 1
                opened = -1
            dots, more = _ellipsis(point, dots)
            row[ELLIPSES] += more
            in_words = in_words and (point == 0x2E or point == 0x2026)
            stops, leaders, more = _cut_off(point, stops, leaders)
            row[CUT_OFFS] += more if in_words else 0  # behind a letter or digit: {...} is none
        row[CHARACTERS], row[LETTERS], row[UPPERS], row[DIGITS] = characters, letters, upper, digits
        row[PUNCTUATIONS], row[SPECIALS], row[SPACES], row[HANS] = punctuation, special, spaces, han
        row[LONGEST_WORD], row[TOKENS], row[WORDS] = max(longest, run), singles + words, words
        row[ASCII], row[LENTICULAR] = ascii_, bracketed
        row[CURLY] = 0 if formula else curly  # braces of a formula or of code are no page residue
        row[END], row[ENDS_SENTENCE], row[ENDS_ELLIPSIS] = _ending(data, start[span], stop, classes)
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
def count_lost(data, offsets):
    """(U+FFFD, characters), int64[documents] each, of texts as they are."""
    lost, characters = np.empty(len(offsets) - 1, np.int64), np.empty(len(offsets) - 1, np.int64)
    for document in range(len(offsets) - 1):
        text = data[offsets[document] : offsets[document + 1]]
        # small integers and places next to each other, so that the loops take 16 bytes at once
        count, found = np.int32(0), np.int32(0)
        for byte in text:
            count += np.int32((byte & 0xC0) != 0x80)
        for at in range(1, len(text) - 1):
            found += np.int32((text[at - 1] == 0xEF) & (text[at] == 0xBF) & (text[at + 1] == 0xBD))
        lost[document], characters[document] = found, count
    return lost, characters


@njit
def characters_before(data, first, places):
    """int64[places]: characters from byte first[i] to places[i], both ascending and beginnings of characters."""
    out = np.empty(len(places), np.int64)
    count, at = 0, 0
    for i in range(len(places)):
        if at < first[i]:
            count, at = 0, first[i]
        while at < places[i]:
            count += (data[at] & 0xC0) != 0x80
            at += 1
        out[i] = count
    return out


@njit
def first_letters(data, start, end, classes):
    """(int64[lines], bool[lines]): the byte of each line's first letter or digit, or its end; and if it is a digit."""
    place, digit = np.empty(len(start), np.int64), np.zeros(len(start), np.bool_)
    for line in range(len(start)):
        at = start[line]
        while at < end[line]:
            point, size = decode(data, at, end[line])
            if (classes[point] & (LETTER | DIGIT)) != 0:
                digit[line] = (classes[point] & DIGIT) != 0
                break
            at += size
        place[line] = at
    return place, digit


@njit
def count_stop_words(offsets, hashes, stops, wanted):
    """(different stop words, stop words), int64[documents], of the documents that are `wanted`.

    stops uint64[], at most 64 of them, none twice.
    """
    keys, place = np.zeros(256, np.uint64), np.full(256, -1, np.int64)
    for i in range(len(stops)):
        slot = np.int64(stops[i] & np.uint64(255))
        while place[slot] >= 0:
            slot = (slot + 1) & 255
        keys[slot], place[slot] = stops[i], i
    documents = len(offsets) - 1
    different, total = np.zeros(documents, np.int64), np.zeros(documents, np.int64)
    for document in range(documents):
        if not wanted[document]:
            continue
        seen = np.uint64(0)
        for token in range(offsets[document], offsets[document + 1]):
            slot = np.int64(hashes[token] & np.uint64(255))
            while place[slot] >= 0:
                if keys[slot] == hashes[token]:
                    total[document] += 1
                    seen |= np.uint64(1) << np.uint64(place[slot])
                    break
                slot = (slot + 1) & 255
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
