"""Unicode and typographic normalisation of a batch of documents, by language.

`scan` finds in one pass over the bytes which lines can need which repair; only those become ``str`` and meet the
expressions below. A round repairs the flagged lines and puts the documents together; documents that changed are
scanned again until a round changes nothing, so that normalising twice changes nothing more (property test).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from steps.text import scan_tables as bits
from steps.text.emoticons import remove_emoticons, remove_kaomoji, remove_pictures
from steps.text.markup import strip_markup
from steps.text.mojibake import repair_line
from steps.text.scan import Scan, join_lines, scan
from steps.text.scan_tables import CJK, INVISIBLES, Tables, tables

MAX_ROUNDS = 8  # two are enough for prose; hostile text may stay unfinished, which is no error
MIN_TRADITIONAL = 2  # characters in a line
TRADITIONAL_LINE = 0.03  # of a line's Han, which masking leaves alone
# of a text's; Traditional prose has 21-41 % (10th to 90th percentile of wiki_zh's lines)
TRADITIONAL_TEXT = 0.10

# columns of the counts, in characters but for mojibake (lines or runs)
REPAIRED, INVISIBLE, MARKUP, SYMBOLS, PUNCTUATION, CONVERTED = range(6)

# --- line ends and spaces -----------------------------------------------------------------------------------
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile(f"[{bits.SPACES_OTHER}]")
_WIDE_INDENT = re.compile("^[\u00a0\u3000\u2000-\u200a]+")
_INNER_SPACES = re.compile(r"(?<=\S)  +")  # indentation stays: it is meaning in code
_INVISIBLE = re.compile(f"[{INVISIBLES}]+")
# 我 们 的 国 家: letters set apart, or the text layer of a scanned page
_SPACED_HAN = re.compile(rf"(?<![{CJK}])[{CJK}](?: [{CJK}](?![{CJK}])){{3,}}")

# --- width --------------------------------------------------------------------------------------------------
_WIDE_ALPHANUMERIC = {code: code - 0xFEE0 for code in bits.code_points("０-９Ａ-Ｚａ-ｚ").tolist()}
_WIDE_SYMBOLS = {ord(c): ord(c) - 0xFEE0 for c in bits.WIDE_SYMBOLS}
_WIDE_PUNCTUATION = {ord(c): ord(c) - 0xFEE0 for c in "！＂＇（），．：；？～"}
_CHINESE_WIDTH = {**_WIDE_ALPHANUMERIC, **_WIDE_SYMBOLS}
_ENGLISH_WIDTH = {**_CHINESE_WIDTH, **_WIDE_PUNCTUATION, ord("。"): ".", ord("、"): ","}
_CJK_LETTER = re.compile(rf"[{CJK}]")
_EAST_ASIAN = re.compile(rf"[{CJK}\u3040-\u30ff\uac00-\ud7a3]")
# ASCII punctuation between Chinese characters (or at a line's end after one) is a full-width mark typed
# carelessly
_NARROW = re.compile(rf"([,;:!?])(?<=[{CJK}”》）].) ?(?=[{CJK}“《（]|$)")
_NARROW_STOP = re.compile(rf"(?<=[{CJK}”》）])\.(?=$| ?[{CJK}“《])")
_TO_WIDE = {",": "，", ";": "；", ":": "：", "!": "！", "?": "？"}

# --- repeated and misplaced punctuation ---------------------------------------------------------------------
_REPEATED_WIDE = (
    (re.compile(r"([，、；：！？])\1+"), r"\1"),
    (re.compile(r"(！？|？！)[！？]+"), r"\1"),
    (re.compile(r"。{3,}|…{3,}"), "……"),
    (re.compile(r"。。"), "。"),
    (re.compile(r"—{3,}"), "——"),
    (re.compile(rf"([!?])(?<=[{CJK}].)\1+"), r"\1"),
    (re.compile(r"，(?=[。！？])|、(?=[，。！？])"), ""),
    (re.compile(r"～{2,}"), "～"),
)
_REPEATED_NARROW = (
    (re.compile(r"!{3,}"), "!"),  # "!!" and "??" are operators
    (re.compile(r"\?{3,}"), "?"),
    (re.compile(r"\.{4,}"), "..."),
    (re.compile(r"~{3,}"), "~"),
)
_MISPLACED_START = re.compile(r"^[ ]*[，。、；：！？）》”]+[ ]*(?=\S)")
_SPACE_BEFORE_WIDE = re.compile(r"(?<! ) +(?=[，。、；：！？])")
_SPACE_AFTER_WIDE = re.compile(r" +(?<=[，。、；：！？] )(?=\S)")

_TEXT = bits.LINE_END | bits.MARKUP
_REPAIR = bits.INVISIBLE | bits.LATIN_1 | bits.GBK
_ANY_TEXT = (
    _REPAIR | bits.SPACE | bits.COMPOSE | bits.SYMBOL | bits.FACE | bits.KAOMOJI | bits.REPEAT | bits.RULED
    | bits.SPACES | bits.WIDTH
)  # fmt: skip
_CHINESE_TEXT = _ANY_TEXT | bits.NARROW | bits.EDGE | bits.SPACED_HAN
_OTHER_TEXT = _ANY_TEXT | bits.WIDTH_MARK


class Settings(NamedTuple):
    """What is left to taste: OpenCC's configuration ("" for none), and "remove" or "keep"."""

    simplify: str = "tw2s"
    emoji: str = "remove"
    emoticons: str = "remove"


@dataclass(frozen=True)
class Batch:
    """Documents: data uint8, offsets int64[documents + 1]; whether each is Chinese, and prose whose typography
    may change (bool[documents]). Code and mathematics are not, and get repairs only.
    """

    data: np.ndarray
    offsets: np.ndarray
    chinese: np.ndarray
    prose: np.ndarray

    def __len__(self) -> int:
        return len(self.chinese)

    def some(self, numbers: np.ndarray) -> Batch:
        """The documents of these numbers, in this order."""
        pieces = [self.data[self.offsets[n] : self.offsets[n + 1]] for n in numbers.tolist()]
        return pack(pieces, self.chinese[numbers], self.prose[numbers])


def pack(pieces: list[Any], chinese: np.ndarray, prose: np.ndarray) -> Batch:
    """A batch of documents given as buffers of UTF-8."""
    offsets = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
    return Batch(np.frombuffer(b"".join(pieces), np.uint8), offsets, chinese, prose)


def normalise_batch(
    batch: Batch, settings: Settings, first: Scan | None = None
) -> tuple[Batch, np.ndarray, np.ndarray]:
    """Normalise the documents. Gives them, counts int64[documents, 6] (REPAIRED … CONVERTED), and the flags
    uint32[documents] of `scan` that the results have (or had before the last conversion, which touches none of
    those that personal data raises).

    ``first`` is the batch's scan with the table of `lookup`, where the caller has it already. Chinese documents take
    Chinese typography and are made Simplified; all others take Western typography.
    """
    first = first or scan(batch.data, batch.offsets, batch.prose, lookup(settings))
    counts = np.zeros((len(batch), 6), np.int64)
    traditional = first.document_counts()[:, bits.TRADITIONALS]
    batch, flags = _rounds(batch, settings, counts, first)
    numbers = np.flatnonzero(batch.chinese & batch.prose & (traditional > 0))
    for _ in range(MAX_ROUNDS):  # OpenCC alone does not end at once: 乾 may stay once and go later
        if not settings.simplify or not len(numbers):
            break
        some = np.zeros((len(numbers), 6), np.int64)
        converted, changed = _simplify(batch.some(numbers), settings, some)
        counts[numbers] += some
        numbers = numbers[changed]
        if len(numbers):
            again = np.zeros((len(numbers), 6), np.int64)
            done, flags[numbers] = _rounds(converted, settings, again, None)
            counts[numbers] += again
            batch = replace_documents(batch, numbers, done)
    return batch, counts, flags


def lookup(settings: Settings) -> Tables:
    """The tables of `scan` with the characters that the conversion changes."""
    return tables(traditional_characters(settings.simplify) if settings.simplify else "")


def _rounds(
    batch: Batch, settings: Settings, counts: np.ndarray, first: Scan | None
) -> tuple[Batch, np.ndarray]:
    """The documents after as many rounds as they need, and their flags."""
    numbers = np.arange(len(batch))
    pending, lines, done = batch, first, batch
    flags = np.zeros(len(batch), np.uint32)
    for _ in range(MAX_ROUNDS):
        more = np.zeros((len(pending), 6), np.int64)
        lines = lines or scan(pending.data, pending.offsets, pending.prose, lookup(settings))
        after, flags[numbers], changed = _round(pending, settings, more, lines)
        counts[numbers] += more
        done = after if done is batch else replace_documents(done, numbers, after)
        if not changed.any():
            break
        lines, numbers = None, numbers[changed]
        pending = after.some(np.flatnonzero(changed))
    return done, flags


def replace_documents(batch: Batch, numbers: np.ndarray, by: Batch) -> Batch:
    """The batch with the documents ``numbers`` replaced by those of ``by``, in order."""
    pieces = [batch.data[batch.offsets[n] : batch.offsets[n + 1]] for n in range(len(batch))]
    for n, at in enumerate(numbers.tolist()):
        pieces[at] = by.data[by.offsets[n] : by.offsets[n + 1]]
    return pack(pieces, batch.chinese, batch.prose)


def _round(
    batch: Batch, settings: Settings, counts: np.ndarray, lines: Scan
) -> tuple[Batch, np.ndarray, np.ndarray]:
    """One round: the documents, their flags, and bool[documents] of those that need another one."""
    wanted = (
        np.where(batch.prose, np.where(batch.chinese, _CHINESE_TEXT, _OTHER_TEXT), _REPAIR) | bits.LINE_END
    )
    wanted = np.where(batch.prose, wanted | bits.MARKUP, wanted).astype(np.uint32)
    document = lines.documents()
    flags = lines.document_flags().copy()
    text = batch.data.data
    whole: dict[int, bytes] = {}
    for number in np.flatnonzero(flags & wanted & _TEXT).tolist():
        before = str(text[batch.offsets[number] : batch.offsets[number + 1]], "utf-8")
        after, removed = _LINE_ENDS.sub("\n", before).replace("\t", "    "), 0
        if batch.prose[number]:
            after, removed = strip_markup(after)
        if after != before:
            whole[number] = after.encode()
            counts[number, MARKUP] += removed
    changed = np.zeros(len(batch), bool)
    changed[list(whole)] = True
    lines, data, late = _clean_lines(batch, settings, counts, lines, wanted, document, changed)
    numbers, found = document[list(late)], np.array(list(late.values()), np.uint32)
    np.bitwise_or.at(flags, numbers, found)
    changed[numbers[found & wanted[numbers] & _TEXT != 0]] = True
    data, offsets = join_lines(data, lines, batch.prose)
    done = Batch(data, offsets, batch.chinese, batch.prose)
    if whole:
        some = np.array(sorted(whole), np.int64)
        pieces = [whole[n] for n in some.tolist()]
        done = replace_documents(done, some, pack(pieces, batch.chinese[some], batch.prose[some]))
    return done, flags, changed


def _clean_lines(
    batch: Batch,
    settings: Settings,
    counts: np.ndarray,
    lines: Scan,
    wanted: np.ndarray,
    document: np.ndarray,
    skip: np.ndarray,
) -> tuple[Scan, np.ndarray, dict[int, int]]:
    """Clean flagged lines until they stay as they are, but those of documents to ``skip`` (bool).

    Gives the scan with the new starts and ends, the data that they point into, and the flags of lines that changed.
    """
    flags = np.where(skip[document], 0, lines.flags & wanted[document] & ~_TEXT).astype(np.uint32)
    start, end = lines.start.copy(), lines.end.copy()
    parts, size = [batch.data], len(batch.data)
    late: dict[int, int] = {}
    active = np.flatnonzero(flags)
    where, raised, source, base = document[active], flags[active], batch.data, 0
    prose, chinese = batch.prose.tolist(), batch.chinese.tolist()
    for _ in range(MAX_ROUNDS):
        text, pieces, numbers = source.data, [], []
        begins, ends = (start[active] - base).tolist(), (end[active] - base).tolist()
        for line, number, flag, a, b in zip(
            active.tolist(), where.tolist(), raised.tolist(), begins, ends, strict=True
        ):
            before, tally = str(text[a:b], "utf-8"), [0] * 6
            done = clean_line(before, flag, prose[number], chinese[number], settings, tally)
            if done == before:
                continue
            counts[number] += tally
            if done is None:
                end[line] = -1
                continue
            pieces.append(done.encode("utf-8", "replace"))
            numbers.append(line)
        if not pieces:
            break
        active = np.array(numbers, np.int64)
        where = document[active]
        part = pack(pieces, batch.chinese[where], batch.prose[where])
        start[active], end[active] = part.offsets[:-1] + size, part.offsets[1:] + size
        found = scan(part.data, part.offsets, np.zeros(len(active), bool), lookup(settings)).flags
        late.update(zip(numbers, found.tolist(), strict=True))
        source, base, size = part.data, size, size + len(part.data)
        parts.append(part.data)
        raised = found & wanted[where] & ~_TEXT
        again = raised != 0
        active, where, raised = active[again], where[again], raised[again]
    return lines._replace(start=start, end=end), np.concatenate(parts), late


def clean_line(
    line: str, flags: int, prose: bool, chinese: bool, settings: Settings, counts: list[int]
) -> str | None:
    """The line after the repairs that its flags name, None for one that goes; what was done is added to ``counts``."""
    if flags & (bits.LATIN_1 | bits.GBK):
        line, repaired = repair_line(line)
        counts[REPAIRED] += repaired
    if flags & bits.SPACE:
        line = _SPACES.sub(" ", _WIDE_INDENT.sub("", line))
    if flags & bits.INVISIBLE:
        before = len(line)
        line = _INVISIBLE.sub("", line)
        counts[INVISIBLE] += before - len(line)
    if not prose:
        return line
    if flags & bits.COMPOSE:
        line = unicodedata.normalize("NFC", line)
    if flags & bits.SPACES:
        line = _INNER_SPACES.sub(" ", line)
    if flags & bits.SPACED_HAN:
        line = _join_spaced(line)
    if flags & (bits.WIDTH | bits.WIDTH_MARK):
        line = fix_width(line, chinese)
    if flags & bits.NARROW:
        line = _NARROW_STOP.sub("。", _NARROW.sub(_widen, line))
    before = len(line)
    if flags & bits.SYMBOL:
        line = remove_pictures(line, settings.emoji)
    if flags & bits.FACE and settings.emoticons == "remove":
        line = remove_emoticons(line)
    if flags & bits.KAOMOJI and settings.emoticons == "remove":
        line = remove_kaomoji(line)
    counts[SYMBOLS] += before - len(line)
    if flags & bits.RULED:
        counts[PUNCTUATION] += len(line)
        return None
    before = len(line)
    if flags & bits.REPEAT:
        line = repeat_once(line)
    if flags & bits.EDGE:
        line = _MISPLACED_START.sub("", line)
        before -= line.count(" ")
        line = _SPACE_AFTER_WIDE.sub("", _SPACE_BEFORE_WIDE.sub("", line))
        before += line.count(" ")
    counts[PUNCTUATION] += before - len(line)
    return line


def fix_width(line: str, chinese: bool) -> str:
    """Full-width letters, digits and signs become half-width; outside of Chinese text punctuation does, too."""
    if chinese:
        return line.translate(_CHINESE_WIDTH)
    return line if _EAST_ASIAN.search(line) else line.translate(_ENGLISH_WIDTH)


def _widen(match: re.Match[str]) -> str:
    return _TO_WIDE[match[1]]


def _join_spaced(line: str) -> str:
    """Chinese characters set apart are joined where they are most of the line: a list of words is none."""
    apart = sum(len(match[0]) // 2 + 1 for match in _SPACED_HAN.finditer(line))
    if 2 * apart < len(_CJK_LETTER.findall(line)):
        return line
    return _SPACED_HAN.sub(lambda match: match[0].replace(" ", ""), line)


def repeat_once(line: str) -> str:
    """Marks that are repeated for emphasis, once; "..." and "……" are marks of their own."""
    for pattern, replacement in _REPEATED_NARROW:
        line = pattern.sub(replacement, line)
    if not line.isascii():
        for pattern, replacement in _REPEATED_WIDE:
            line = pattern.sub(replacement, line)
    return line


# --- Traditional to Simplified --------------------------------------------------------------------------------
@functools.lru_cache(maxsize=8)
def converter(configuration: str) -> Any:
    """OpenCC with a configuration (t2s, tw2s …), loaded once."""
    import opencc

    return opencc.OpenCC(configuration)


@functools.lru_cache(maxsize=8)
def traditional_characters(configuration: str) -> str:
    """The characters that the OpenCC configuration changes when they stand alone."""
    alone = [chr(code) for code in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00))]
    done = converter(configuration).convert("\n".join(alone)).split("\n")
    return "".join(before for before, after in zip(alone, done, strict=True) if before != after)


def _simplify(batch: Batch, settings: Settings, counts: np.ndarray) -> tuple[Batch, np.ndarray]:
    """The Chinese documents that conversion changes, and bool[documents] of which those are.

    A text with at least 10 % Traditional characters is converted as a whole; of another one, the lines with two
    of them and 3 % of their Han. What is left are names and quotations in Simplified text, which their
    authors spelled so (毕昇, 於).
    """
    lines = scan(batch.data, batch.offsets, np.zeros(len(batch), bool), lookup(settings))
    found, han = lines.counts[:, bits.TRADITIONALS], lines.counts[:, bits.HANS]
    totals = lines.document_counts()
    whole = totals[:, bits.TRADITIONALS] >= TRADITIONAL_TEXT * totals[:, bits.HANS]
    whole &= totals[:, bits.TRADITIONALS] > 0
    convert, text = converter(settings.simplify).convert, batch.data.data
    wanted = (found >= MIN_TRADITIONAL) & (found >= TRADITIONAL_LINE * han)
    some = np.add.reduceat(wanted, lines.first[:-1], dtype=np.int64) > 0
    pieces, changed = [], np.zeros(len(batch), bool)
    for number in np.flatnonzero(whole | some).tolist():
        before = str(text[batch.offsets[number] : batch.offsets[number + 1]], "utf-8")
        if whole[number]:
            after, done = convert(before), int(totals[number, bits.TRADITIONALS])
        else:
            parts, done = before.split("\n"), 0
            for line in np.flatnonzero(wanted[lines.first[number] : lines.first[number + 1]]).tolist():
                parts[line] = convert(parts[line])
                done += int(found[lines.first[number] + line])
            after = "\n".join(parts)
        if after != before:
            changed[number] = True
            pieces.append(after.encode())
            counts[number, CONVERTED] += done
    return pack(pieces, batch.chinese[changed], batch.prose[changed]), changed
