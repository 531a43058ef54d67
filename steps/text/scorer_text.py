"""What a scorer reads: text normalised and cut into lines, in one compiled pass. Training and scoring share it.

| name | lines | lower case | accents | `\\n`, `\\t` | for |
|---|---|---|---|---|---|
| `ccnet_lines_v1` | each line is scored by itself | yes | stripped | ends a line; becomes a space | own models |
| `cc_net` | the document is one line | yes | stripped | deleted, so that words are glued | models of cc_net |
| `edugp` | the document is one line | no | kept | deleted | models of edugp/kenlm, as BLOOM uses them |

All three turn every decimal digit into `0` and Unicode punctuation into ASCII, and remove control characters.

`cc_net` is facebookresearch/cc_net text_normalizer.py `normalize` as mine.py calls it, on the whole document before
SentencePiece. Its map has an entry that turns U+FF11 (full-width 1) into a quotation mark; digits are replaced
before the map is asked, so that the entry never acts: U+FF11 is `0` there and here. Characters are those of Unicode
14.0. The one known difference: marks that cc_net would bring into canonical order and that it does not strip
(U+302E, U+302F, U+16FF0, U+16FF1 and musical U+1D165-1D172) stay in the order of the text.

`edugp` is `normalize` of edugp/kenlm model.py with its defaults (lower_case and remove_accents off). BLOOM
(bigscience ac_dc/filtering.py) does the same steps in another order and folds odd spaces first, which the models' own
SentencePiece normaliser (nmt_nfkc) does too.

`ccnet_lines_v1` keeps lines apart, because a glued line hides where a document is bad; it also removes format
and private-use characters, and leaves Hangul composed.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from steps.text.jit import njit
from steps.text.segment import decode, text_buffers
from steps.text.unicode_tables import (
    DIGIT,
    MARK,
    PUNCTUATION_MAP,
    SPACE,
    classes,
    scorer_map,
)

NORMALISATION = "ccnet_lines_v1"  # of own models, unless their settings say otherwise
WHOLE = ("cc_net", "edugp")  # a document is one line
NORMALISATIONS = (NORMALISATION, *WHOLE)
CONTROLS = (*range(32), *range(127, 160))  # cc_net's NON_PRINTING_CHARS_RE
HANGUL, HANGUL_END = 0xAC00, 0xD7A4
LONGEST_LINE = 1 << 16  # bytes; a longer line is read as several, or one document could take all memory
LONGEST_WHOLE = 1 << 20  # the same for a document that is one line: cc_net knows no limit
FINAL_SIGMA = (0xCE, 0xA3)  # U+03A3 in UTF-8, the only letter that is lowered by what stands beside it


class Lines(NamedTuple):
    """Normalised lines of a batch that hold more than space: text, document int64, UTF-8 bytes int64."""

    text: list[str]
    parent: np.ndarray
    bytes: np.ndarray


def normalise(texts: pa.Array | pa.ChunkedArray | list[str], normalisation: str = NORMALISATION) -> Lines:
    """The lines that a model with this normalisation reads. KeyError for an unknown one.

    With a normalisation in WHOLE each text that is more than space gives one line (of at most LONGEST_WHOLE).
    """
    if isinstance(texts, list):
        texts = pa.array(texts, pa.large_string())
    whole = normalisation in WHOLE
    longest = LONGEST_WHOLE if whole else LONGEST_LINE
    data, offsets = text_buffers(texts)
    if normalisation == "cc_net":
        data, offsets = _lower_final_sigmas(data, offsets)
    size = len(data) * growth(normalisation)
    most = len(offsets) + size // longest + (0 if whole else int(np.count_nonzero(data == 10)))
    out = np.empty(size + most, np.uint8)  # what is not written takes no memory
    parent, end = np.empty(most, np.int64), np.empty(most, np.int64)
    tables = (*character_map(normalisation), ascii_map(normalisation), classes())
    count = _normalise(data, offsets, *tables, whole, longest, out, parent, end)
    ends = end[:count]
    text = out[: ends[-1] if count else 0].tobytes().decode()
    sizes = np.diff(ends, prepend=0) - 1
    return Lines(text.split("\n")[:count], parent[:count], sizes)


def normalise_lines(
    texts: pa.Array | pa.ChunkedArray | list[str], normalisation: str = NORMALISATION
) -> list[list[str]]:
    """For each text its normalised lines, empty ones left out."""
    lines = normalise(texts, normalisation)
    found: list[list[str]] = [[] for _ in range(len(texts))]
    for document, line in zip(lines.parent.tolist(), lines.text, strict=True):
        found[document].append(line)
    return found


@functools.cache
def character_map(normalisation: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(offset int32[0x110000], length int8[0x110000], bytes uint8[]): the UTF-8 that replaces a code point.

    Length -1 means "keep as it is", 0 "delete".
    """
    if normalisation == NORMALISATION:
        return scorer_map()
    offset, length, own = scorer_map()
    offset, length, text = offset.copy(), length.copy(), bytearray(own.tobytes())
    changes: dict[int, str] = dict.fromkeys(CONTROLS, "")
    if normalisation == "cc_net":
        kept = (length == 0) & ((classes() & MARK) == 0)  # format characters and private use
        length[kept] = -1
        length[[0x2028, 0x2029]] = -1
        changes |= {point: _jamo(point) for point in range(HANGUL, HANGUL_END)}
    elif normalisation == "edugp":
        length[:] = -1
        changes |= dict.fromkeys(np.flatnonzero(classes() & DIGIT).tolist(), "0")
        changes |= {ord(char): mapped for char, mapped in PUNCTUATION_MAP.items()}
    else:
        raise KeyError(normalisation)
    for point, mapped in changes.items():
        encoded = mapped.encode()
        offset[point], length[point] = len(text), len(encoded)
        text += encoded
    return offset, length, np.frombuffer(bytes(text), dtype=np.uint8)


@functools.cache
def ascii_map(normalisation: str) -> np.ndarray:
    """uint8[128]: what an ASCII character becomes, 0 where it is deleted; none becomes two bytes."""
    offset, length, text = character_map(normalisation)
    mapped = np.arange(128, dtype=np.uint8)
    replaced = np.flatnonzero(length[:128] >= 0)
    mapped[replaced] = np.where(length[replaced] > 0, text[offset[replaced]], 0)
    return mapped


@functools.cache
def growth(normalisation: str) -> int:
    """The most bytes that one byte of text can become."""
    _, length, _ = character_map(normalisation)
    width = np.repeat([1, 2, 3, 4], [0x80, 0x780, 0xF800, 0x100000])
    return int(np.ceil(length / width).max(initial=1))


def _jamo(point: int) -> str:
    """Canonical decomposition of a Hangul syllable (The Unicode Standard 14.0, section 3.12)."""
    lead, rest = divmod(point - HANGUL, 588)
    vowel, tail = divmod(rest, 28)
    return chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")


def _lower_final_sigmas(data: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same texts, those with a capital sigma lowered as a whole: at the end of a word it becomes ς."""
    at = np.flatnonzero((data[:-1] == FINAL_SIGMA[0]) & (data[1:] == FINAL_SIGMA[1]))
    if len(at) == 0:
        return data, offsets
    lowered = {int(i) for i in np.searchsorted(offsets, at, side="right") - 1}
    texts = [data[a:b].tobytes() for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
    texts = [t.decode().lower().encode() if i in lowered else t for i, t in enumerate(texts)]
    return (
        np.frombuffer(b"".join(texts), np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int64),
    )


@njit(inline="always")
def _before(data, start, end):
    """First byte of the character that ends at `end`."""
    at = end - 1
    while at > start and (data[at] & 0xC0) == 0x80:
        at -= 1
    return at


@njit(inline="always")
def _trimmed(data, start, end, classes):
    """(start, end) without space at both ends."""
    while start < end:
        point, width = decode(data, start, end)
        if (classes[point] & SPACE) == 0:
            break
        start += width
    while start < end:
        last = _before(data, start, end)
        point, _ = decode(data, last, end)
        if (classes[point] & SPACE) == 0:
            break
        end = last
    return start, end


@njit
def _normalise(
    data, offsets, map_offset, map_length, map_bytes, ascii_bytes, classes, whole, longest, out, parent, end
):
    """Writes lines with `\\n` behind each into out; end: where each ends, its `\\n` included. Returns how many."""
    size, count = 0, 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        if whole:
            at, stop = _trimmed(data, at, stop, classes)
            if at >= stop:
                continue
        first = size
        while at <= stop:
            ends = at == stop or (not whole and data[at] == 10)
            if ends or size - first >= longest:
                start, last = first, size
                if not whole:
                    start, last = _trimmed(out, first, size, classes)
                if last > start:
                    for i in range(last - start):
                        out[first + i] = out[start + i]
                    size = first + last - start
                    out[size] = 10
                    size += 1
                    parent[count], end[count] = document, size
                    count += 1
                else:
                    size = first
                first = size
                at += ends
                continue
            if data[at] < 0x80:
                mapped = ascii_bytes[data[at]]
                if mapped != 0:
                    out[size] = mapped
                    size += 1
                at += 1
                continue
            point, width = decode(data, at, stop)
            length = map_length[point]
            if length < 0:
                for i in range(at, at + width):
                    out[size] = data[i]
                    size += 1
            else:
                start = map_offset[point]
                for i in range(start, start + length):
                    out[size] = map_bytes[i]
                    size += 1
            at += width
    return count
