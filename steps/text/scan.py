"""One pass over the bytes of a batch that says which lines can need which repair.

Each line gets a set of flags. A flag is a necessary condition of one repair in `normalise`, `mojibake`, `markup` or
`personal_data`: without it the repair provably changes nothing, so the expensive expressions run on flagged lines
alone (property test: a line without flags is left as it is by every repair). A flag may be raised in vain.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from steps.text.jit import njit
from steps.text.scan_tables import (
    AT,
    CHARACTERS,
    COLONS,
    COUNTS,
    DIRECT,
    EDGE,
    FACE,
    GBK,
    HANGULS,
    HANS,
    IS_CJK,
    IS_CLOSER,
    IS_DIGIT,
    IS_EYE,
    IS_HAN,
    IS_HANGUL,
    IS_HIGH,
    IS_JAPANESE,
    IS_JOINER,
    IS_KANA,
    IS_LATIN,
    IS_LEAD,
    IS_LETTER,
    IS_MISPLACED,
    IS_MOUTH,
    IS_OPENER,
    IS_PLAIN,
    IS_REPEATED,
    IS_RULE,
    IS_TAIL,
    IS_TRADITIONAL,
    IS_WIDE_MARK,
    IS_WORD,
    JAPANESE,
    KANAS,
    KAOMOJI,
    LATIN_1,
    LETTERS,
    MARKUP,
    NARROW,
    NUMBER,
    REPEAT,
    RULED,
    SPACED_HAN,
    SPACES,
    TRADITIONAL,
    TRADITIONALS,
    Tables,
)
from steps.text.segment import decode


class Scan(NamedTuple):
    """The lines of a batch, blank ones included: first int64[documents + 1] into start, end int64 (bytes),
    flags uint32, counts int32[lines, COUNTS].
    """

    first: np.ndarray
    start: np.ndarray
    end: np.ndarray
    flags: np.ndarray
    counts: np.ndarray

    def documents(self) -> np.ndarray:
        """int64[lines]: the document of each line."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    def document_flags(self) -> np.ndarray:
        """uint32[documents]: the flags of all lines of each document."""
        return np.bitwise_or.reduceat(self.flags, self.first[:-1]) if len(self.first) > 1 else self.flags

    def document_counts(self) -> np.ndarray:
        """int64[documents, COUNTS]"""
        if len(self.first) == 1:
            return np.zeros((0, COUNTS), np.int64)
        return np.add.reduceat(self.counts, self.first[:-1], axis=0, dtype=np.int64)


def scan(data: np.ndarray, offsets: np.ndarray, tidy: np.ndarray, lookup: Tables) -> Scan:
    """Lines, flags and counts of a batch (``data`` uint8, ``offsets`` int64[documents + 1]). A document has one
    line more than it has ``\\n``; the lines of documents that are ``tidy`` (bool) end before their last spaces.
    """
    data = frozen(data)
    size = int(np.count_nonzero(data == 10)) + len(offsets) - 1
    start, end = np.empty(size, np.int64), np.empty(size, np.int64)
    first = np.empty(len(offsets), np.int64)
    _split(data, offsets, tidy, first, start, end)
    flags, counts = np.empty(size, np.uint32), np.empty((size, COUNTS), np.int32)
    _scan(data, start, end, lookup.classes, lookup.gbk, flags, counts)
    return Scan(first, start, end, flags, counts)


def frozen(data: np.ndarray) -> np.ndarray:
    """A read-only view: a kernel is compiled once, and not again for arrays that may be written to."""
    view = data.view()
    view.flags.writeable = False
    return view


@njit
def _split(data, offsets, tidy, first, start, end):
    count = 0
    for document in range(len(offsets) - 1):
        first[document] = count
        begin = offsets[document]
        for at in range(offsets[document], offsets[document + 1] + 1):
            if at < offsets[document + 1] and data[at] != 10:
                continue
            stop = at
            while tidy[document] and stop > begin and data[stop - 1] == 0x20:
                stop -= 1
            start[count], end[count] = begin, stop
            count += 1
            begin = at + 1
    first[len(offsets) - 1] = count


@njit(inline="always")
def _face(before, previous, point, before_word):
    """Whether an ASCII emoticon may end its first two or three characters here."""
    if point == 0x5F:  # ^_ T_ -_ >_ o_
        return not before_word
    if point == 0x5E:  # ^^ ^o^
        return previous == 0x5E or before == 0x5E
    if point == 0x7A or point == 0x5A:  # orz
        return (previous | 0x20) == 0x72 or previous == 0x54
    if point == 0x51 or point == 0x71:  # QAQ
        return before == point
    if previous == 0x3C:  # <3
        return point == 0x33
    if previous == 0x3A or previous == 0x3B or previous == 0x3D or previous == 0x38:  # : ; = 8
        return not before_word and (
            point == 0x29
            or point == 0x28
            or point == 0x2D
            or point == 0x44
            or point == 0x50
            or point == 0x70
            or point == 0x4F
            or point == 0x6F
            or point == 0x33
            or point == 0x2A
            or point == 0x27
        )
    return point == 0x44 and (previous | 0x20) == 0x78  # xD


@njit(inline="always")
def _begins_face(point):
    """Whether a letter may stand first between a kaomoji's brackets: T т _ o O."""
    return point == 0x54 or point == 0x442 or point == 0x5F or point == 0x6F or point == 0x4F


@njit(inline="always")
def _repeats(point, run, marks, after_cjk):
    """Whether ``run`` times the same mark, or ``marks`` exclamation and question marks, are too many."""
    if point == 0x2E:
        return run >= 4
    if point == 0x21 or point == 0x3F:
        return run >= 3 or (run >= 2 and after_cjk)
    if point == 0x7E or point == 0x2026 or point == 0x2014 or point == 0x2500:
        return run >= 3
    return run >= 2 or marks >= 3


@njit(inline="always")
def _read_as_gbk(pair, need, fits):
    """(need, fits): continuation bytes that UTF-8 still wants, and whether the GBK bytes so far are UTF-8."""
    for shift in (8, 0):
        byte = (pair >> shift) & 0xFF
        if need > 0:
            fits = fits and 0x80 <= byte < 0xC0
            need -= 1
        elif 0xC2 <= byte < 0xF5:
            need = 1 if byte < 0xE0 else (2 if byte < 0xF0 else 3)
        else:
            fits = fits and 0 < byte < 0x80
    return need, fits


@njit(inline="always")
def _begins_markup(point, kind, previous):
    """Whether an entity or a tag may begin with the character before this one."""
    named = kind & IS_LATIN != 0
    if previous == 0x26:
        return named or kind & IS_DIGIT != 0 or point == 0x23
    return previous == 0x3C and (named or point == 0x2F or point == 0x21)


@njit(inline="always")
def _number(point, kind, before_kind, digits, dots):
    """(digits, dots) of what may be a number with joiners: a telephone, a card, an address."""
    if not kind & IS_JOINER:
        return 0, 0
    if kind & IS_DIGIT:
        digits += 1
    elif point == 0x2E and before_kind & IS_DIGIT:
        dots = dots + 1 if digits else 1
    return digits, dots


@njit(inline="always")
def _kaomoji(point, kind, previous, face, eyes, mouths):
    """(face, eyes, mouths, found): characters since a bracket that may open a kaomoji, and what they can be."""
    if previous == 0x28 or previous == 0xFF08:
        face, eyes, mouths = 0, 0, 0
        if not kind & IS_WORD or _begins_face(point):
            face = 1
    if not face:
        return face, eyes, mouths, False
    eyes += (kind & IS_EYE) != 0
    mouths += (kind & IS_MOUTH) != 0
    if point == 0x29 or point == 0xFF09:
        return 0, eyes, mouths, eyes >= 2 or (mouths > 0 and face <= 6)
    return face + 1 if face <= 12 else 0, eyes, mouths, False


@njit(inline="always")
def _repetition(point, kind, previous, before_kind, run, marks, after_cjk):
    """(run, marks, after_cjk, found): the same mark again, and exclamation and question marks in any order."""
    if not kind & IS_REPEATED:
        return run, 0, after_cjk, False
    if point == previous:
        run += 1
    else:
        run = 1
        if not before_kind & IS_REPEATED:
            after_cjk = (before_kind & IS_CJK) != 0
    if point == 0x21 or point == 0x3F or point == 0xFF01 or point == 0xFF1F:
        marks += 1
    else:
        marks = 0
    found = _repeats(point, run, marks, after_cjk or (before_kind & IS_CJK) != 0) or (
        (previous == 0xFF0C or previous == 0x3001) and kind & IS_WIDE_MARK
    )
    return run, marks, after_cjk, found


@njit(inline="always")
def _is_narrow_mark(point):
    """, . : ; ! ?, which Chinese text writes in full width."""
    return point == 0x2C or point == 0x2E or point == 0x3A or point == 0x3B or point == 0x21 or point == 0x3F


@njit(inline="always")
def _spacing(point, kind, previous, before_kind, inside):
    """EDGE or SPACES where a space is too many; ``inside``: a line's first character has been met."""
    if point == 0x20:
        edge = EDGE if before_kind & IS_WIDE_MARK else np.uint32(0)
        return edge | (SPACES if previous == 0x20 and inside else np.uint32(0))
    misplaced = (kind & IS_WIDE_MARK and previous == 0x20) or (not inside and kind & IS_MISPLACED)
    return EDGE if misplaced else np.uint32(0)


@njit
def _scan(data, start, end, classes, gbk, flags, counts):
    """One state per repair, all moved on by each character; numbers of a line stay in registers."""
    for line in range(len(start)):
        at, stop = start[line], end[line]
        raised = np.uint32(0)
        before, previous = np.int32(10), np.int32(10)
        before_kind, kind = np.uint32(0), np.uint32(0)
        characters, letters, han, kana, hangul, japanese, traditional, high = 0, 0, 0, 0, 0, 0, 0, 0
        run, marks, digits, dots, colons, last_colon, spaced, rules = 1, 0, 0, 0, 0, -9, 0, 0
        after_cjk: Any = False
        narrow: Any = False
        inside, only_rules = False, True
        gbk_fits: Any = True
        need, gbk_pairs, high_run, face, eyes, mouths = 0, 0, 0, 0, 0, 0
        while at < stop:
            before_kind_2 = before_kind
            before_kind = kind
            point = np.int32(data[at])
            if point < 0x80:
                size = 1
            else:
                point, size = decode(data, at, stop)
            kind = classes[point]
            characters += 1
            letters += (kind & IS_LETTER) != 0
            if kind == IS_PLAIN and before_kind == IS_PLAIN:  # most of English text
                digits = 0
                ends_face = point == 0x44 or (point | 0x20) == 0x7A or (point | 0x20) == 0x71
                if ends_face and _face(before, previous, point, True):
                    raised |= FACE
                before, previous = previous, point
                at += 1
                continue
            raised |= kind & DIRECT
            if size > 1:
                han += (kind & IS_HAN) != 0
                kana += (kind & IS_KANA) != 0
                hangul += (kind & IS_HANGUL) != 0
                japanese += (kind & IS_JAPANESE) != 0
                traditional += (kind & IS_TRADITIONAL) != 0
                high += (kind & IS_HIGH) != 0
                high_run = high_run + 1 if kind & IS_HIGH else 0
                # six: the shortest run that is read as GBK
                if high_run >= 6 or (kind & IS_TAIL and before_kind & IS_LEAD):
                    raised |= LATIN_1
                if gbk_fits:
                    pair = np.int32(gbk[point]) if point < 0x10000 else np.int32(0)
                    gbk_pairs += 1
                    need, gbk_fits = _read_as_gbk(pair, need, gbk_fits)
            else:
                high_run = 0
                gbk_fits = gbk_fits and need == 0
                if _face(before, previous, point, (before_kind_2 & IS_WORD) != 0 and before < 0x80):
                    raised |= FACE
                if point == 0x40:
                    raised |= AT
                elif point == 0x3A:
                    colons = colons + 1 if at - last_colon <= 5 else 1
                    last_colon = at
                    if colons >= 3:
                        raised |= COLONS
                if _begins_markup(point, kind, previous):
                    raised |= MARKUP
            digits, dots = _number(point, kind, before_kind, digits, dots)
            if digits >= 7 or (digits >= 4 and dots >= 3):
                raised |= NUMBER
            face, eyes, mouths, found = _kaomoji(point, kind, previous, face, eyes, mouths)
            if found:
                raised |= KAOMOJI
            run, marks, after_cjk, found = _repetition(
                point, kind, previous, before_kind, run, marks, after_cjk
            )
            if found:
                raised |= REPEAT
            if narrow and (kind & (IS_CJK | IS_OPENER) or point == 0x20):
                raised |= NARROW
            narrow = before_kind & (IS_CJK | IS_CLOSER) != 0 and _is_narrow_mark(point)
            raised |= _spacing(point, kind, previous, before_kind, inside)
            if point != 0x20:
                inside = True
                if kind & IS_HAN:
                    spaced = spaced + 1 if previous == 0x20 and before_kind_2 & IS_HAN else 0
                    if spaced >= 3:
                        raised |= SPACED_HAN
                rules += (kind & IS_RULE) != 0
                only_rules = only_rules and (kind & IS_RULE) != 0
            before, previous = previous, point
            at += size
        if narrow:
            raised |= NARROW
        if only_rules and rules >= 5:
            raised |= RULED
        if high >= 6 and 10 * high >= 4 * characters:
            raised |= LATIN_1
        if gbk_fits and need == 0 and gbk_pairs >= 6:
            raised |= GBK
        if traditional:
            raised |= TRADITIONAL
        flags[line] = raised
        counts[line, CHARACTERS], counts[line, LETTERS], counts[line, HANS] = characters, letters, han
        counts[line, KANAS], counts[line, HANGULS] = kana, hangul
        counts[line, JAPANESE], counts[line, TRADITIONALS] = japanese, traditional


def join_lines(data: np.ndarray, lines: Scan, tidy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(data, offsets) of documents put together from their lines again; a line whose end is -1 goes with its ``\\n``.

    Documents that are ``tidy`` (bool) lose spaces at line ends, all but one of several blank lines, and blank lines
    at both ends.
    """
    out = np.empty(int(np.maximum(lines.end - lines.start, 0).sum()) + len(lines.start), np.uint8)
    offsets = np.zeros(len(lines.first), np.int64)
    _join(frozen(data), lines.first, lines.start, lines.end, tidy, out, offsets)
    return out[: offsets[-1]], offsets


@njit
def _join(data, first, start, end, tidy, out, offsets):
    size = 0
    for document in range(len(first) - 1):
        begin, blank, lines = size, False, 0
        for line in range(first[document], first[document + 1]):
            a, b = start[line], end[line]
            if b < 0:
                continue
            if tidy[document]:
                while b > a and data[b - 1] == 0x20:
                    b -= 1
                if b == a:
                    blank = True
                    continue
                if size > begin:
                    out[size] = 10
                    size += 1
                    if blank:
                        out[size] = 10
                        size += 1
                blank = False
            elif lines:
                out[size] = 10
                size += 1
            lines += 1
            out[size : size + b - a] = data[a:b]
            size += b - a
        offsets[document + 1] = size
