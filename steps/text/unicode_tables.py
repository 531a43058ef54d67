"""Character classes and the scorer's character map, the same on every Python.

`unicodedata` changes with the interpreter, and a kernel whose bytes change with it would not be `exact`.
The tables are therefore written once (Unicode 14.0, Python 3.11) by `python -m steps.text.unicode_tables`
into `unicode_classes.txt` and `unicode_scorer_map.txt`, and only read afterwards.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from pathlib import Path

import numpy as np

CODE_POINTS = 0x110000
LETTER = np.uint16(1)
IDEOGRAPH = np.uint16(2)  # a script written without spaces: Han, Hiragana, Katakana; one token per character
DIGIT = np.uint16(4)
PUNCTUATION = np.uint16(8)
SYMBOL = np.uint16(16)
SPACE = np.uint16(32)
UPPER = np.uint16(64)
MARK = np.uint16(128)
CONTROL = np.uint16(256)
HAN = np.uint16(512)
OTHER_NUMBER = np.uint16(1024)
WIDE_PUNCTUATION = np.uint16(2048)  # punctuation that ends a token although no space follows it

HERE = Path(__file__).parent
CLASSES = HERE / "unicode_classes.txt"
SCORER_MAP = HERE / "unicode_scorer_map.txt"

# cc_net's text_normalizer.py (facebookresearch/cc_net@bda555b), Unicode punctuation to ASCII. Its quirk
# for U+FF11 (full-width 1 becomes a quotation mark) is not taken over: digits become 0 before this map.
PUNCTUATION_MAP = {
    "，": ",",
    "。": ".",
    "、": ",",
    "„": '"',
    "”": '"',
    "“": '"',
    "«": '"',
    "»": '"',
    "」": '"',
    "「": '"',
    "《": '"',
    "》": '"',
    "´": "'",
    "∶": ":",
    "：": ":",
    "？": "?",
    "！": "!",
    "（": "(",
    "）": ")",
    "；": ";",
    "–": "-",
    "—": " - ",
    "．": ". ",
    "～": "~",
    "’": "'",
    "…": "...",
    "━": "-",
    "〈": "<",
    "〉": ">",
    "【": "[",
    "】": "]",
    "％": "%",
    "►": "-",
}


def _is_han(point: int) -> bool:
    return (
        0x4E00 <= point <= 0x9FFF
        or 0x3400 <= point <= 0x4DBF
        or 0x20000 <= point <= 0x3134F
        or 0xF900 <= point <= 0xFAFF
        or point in (0x3005, 0x3006, 0x3007)
    )


def _is_ideograph(point: int) -> bool:
    kana = 0x3041 <= point <= 0x3096 or 0x30A1 <= point <= 0x30FA or 0x31F0 <= point <= 0x31FF
    return kana or _is_han(point) or 0xFF66 <= point <= 0xFF9D


def _class_of(point: int) -> int:
    char = chr(point)
    category = unicodedata.category(char)
    flags = np.uint16(0)
    if category[0] == "L":
        flags |= LETTER
    if category in ("Lu", "Lt"):
        flags |= UPPER
    if category == "Nd":
        flags |= DIGIT
    if category in ("Nl", "No"):
        flags |= OTHER_NUMBER
    if category[0] == "P":
        flags |= PUNCTUATION
        if point >= 0x3000 or char in "—…“”":
            flags |= WIDE_PUNCTUATION
    if category[0] == "S":
        flags |= SYMBOL
    if category[0] == "M":
        flags |= MARK
    if char.isspace() or category[0] == "Z":
        flags |= SPACE
    elif category[0] == "C" and category != "Cn":
        flags |= CONTROL
    if _is_han(point):
        flags |= HAN
    if _is_ideograph(point):
        flags |= IDEOGRAPH
    return int(flags)


def _scorer_text(point: int) -> str:
    """What one character becomes before it is cut into pieces: lower case, no accent, digits 0, ASCII
    punctuation, no control character. Hangul stays composed (cc_net decomposes it; no model here is Korean).
    """
    char = chr(point)
    if 0xAC00 <= point <= 0xD7A3:
        return char
    if char == "\n":
        return char
    category = unicodedata.category(char)
    if char in "\t\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029":
        return " "  # cc_net deletes these and glues the words; a space keeps them apart
    if category in ("Cc", "Cf", "Co", "Cs"):
        return ""
    if category == "Nd":
        return "0"
    if char in PUNCTUATION_MAP:
        return PUNCTUATION_MAP[char]
    plain = "".join(c for c in unicodedata.normalize("NFD", char.lower()) if unicodedata.category(c) != "Mn")
    return "".join("0" if unicodedata.category(c) == "Nd" else PUNCTUATION_MAP.get(c, c) for c in plain)


def write_tables() -> None:
    """Writes both tables from this interpreter's `unicodedata`; refuses another Unicode than 14.0."""
    if unicodedata.unidata_version != "14.0.0":
        raise SystemExit(f"tables are of Unicode 14.0.0; this Python has {unicodedata.unidata_version}")
    lines, last = [], None
    for point in range(CODE_POINTS):
        flags = _class_of(point)
        if flags != last:
            lines.append(f"{point:x}\t{flags:x}")
            last = flags
    CLASSES.write_text("\n".join(lines) + "\n", encoding="ascii")
    lines = []
    for point in range(CODE_POINTS):
        if 0xE000 <= point <= 0xF8FF or point >= 0xF0000 or 0xD800 <= point <= 0xDFFF:
            continue  # private use and surrogates are deleted by `scorer_map` itself
        text = _scorer_text(point)
        if text != chr(point):
            lines.append(f"{point:x}\t" + " ".join(f"{ord(c):x}" for c in text))
    SCORER_MAP.write_text("\n".join(lines) + "\n", encoding="ascii")


@functools.cache
def classes() -> np.ndarray:
    """uint16[0x110000] of the class flags above, by code point."""
    rows = [line.split("\t") for line in CLASSES.read_text(encoding="ascii").split("\n") if line]
    starts = np.array([int(start, 16) for start, _ in rows] + [CODE_POINTS])
    flags = np.array([int(flag, 16) for _, flag in rows], dtype=np.uint16)
    return np.repeat(flags, np.diff(starts))


@functools.cache
def scorer_map() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(offset int32[0x110000], length int8[0x110000], bytes uint8[]): the UTF-8 that replaces a code point.

    Length -1 means "keep as it is", 0 "delete".
    """
    length = np.full(CODE_POINTS, -1, dtype=np.int8)
    offset = np.zeros(CODE_POINTS, dtype=np.int32)
    length[0xE000:0xF900] = 0
    length[0xF0000:] = 0
    out = bytearray()
    for line in SCORER_MAP.read_text(encoding="ascii").split("\n"):
        if not line:
            continue
        point, _, text = line.partition("\t")
        encoded = "".join(chr(int(p, 16)) for p in text.split()).encode()
        offset[int(point, 16)] = len(out)
        length[int(point, 16)] = len(encoded)
        out += encoded
    return offset, length, np.frombuffer(bytes(out), dtype=np.uint8)


if __name__ == "__main__":
    write_tables()
    print(f"wrote {CLASSES.name} and {SCORER_MAP.name}", file=sys.stderr)
