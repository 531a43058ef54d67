"""Repair of text that was decoded with the wrong encoding, where that can be undone.

Three accidents make nearly all mojibake in Chinese and English pages: UTF-8 read as Windows-1252
("â€™", "ä¸­"), UTF-8 read as GBK ("涓枃"), and GBK read as Windows-1252 ("ÖÐÎÄ"). Each is undone only if
encoding back and decoding properly succeeds for every byte (so nothing is invented), and only where the
result is plainly the likelier text. What happened twice is undone twice. What the first decoder destroyed
(U+FFFD, "锟斤拷") cannot come back and is counted.
"""

from __future__ import annotations

import re

from steps.text.scan_tables import windows_1252

# Windows-1252 as browsers decode it, and ISO 8859-1: both ways from the same byte to a character
_CP1252 = {byte: windows_1252(byte) for byte in range(0x80, 0x100)}
_TO_BYTE = {chr(byte): byte for byte in range(0x100)} | {
    character: byte for byte, character in _CP1252.items()
}


def _class(first: int, last: int) -> str:
    """The inside of a character class with all readings of the bytes first..last."""
    return "".join(
        re.escape(_CP1252[b]) + (re.escape(chr(b)) if b < 0xA0 else "") for b in range(first, last + 1)
    )


_TAIL = f"[{_class(0x80, 0xBF)}]"
# two-byte sequences are believed after Â and Ã (accented Latin letters), after others, or three in a row: "× " is no
# Hebrew letter
_UTF8_AS_1252 = re.compile(
    f"(?:(?:[ÂÃ]{_TAIL}|[{_class(0xE0, 0xEF)}]{_TAIL}{{2}}|[{_class(0xF0, 0xF4)}]{_TAIL}{{3}})"
    f"(?:[{_class(0xC4, 0xDF)}]{_TAIL})*|(?:[{_class(0xC4, 0xDF)}]{_TAIL}){{3,}})+"
)
# beside proof of the accident: a right quotation mark whose last byte (9D) was deleted as a control
# character, and a no-break space (A0) that became an ordinary one
_CUT_QUOTE = re.compile(f"â€(?!{_TAIL})")
_CUT_SPACE = re.compile(r"Â(?=\s|$)")
_HIGH = re.compile(f"[{_class(0x80, 0xFF)}]")
_HIGH_RUN = re.compile(f"[{_class(0x81, 0xFF)}]{{6,}}")
_HAN_RUN = re.compile("[\u3400-\u9fff\ue000-\uf8ff\u2018-\u201d€]")
# "锛屽" is "，" and a lead byte, "鐨勭" is "的" …: UTF-8 Chinese read as GBK that lost bytes on the way
_LOST = re.compile(
    "锟斤拷|烫烫烫|屯屯屯|ï¿½|\ufffd|â€|锛[\u3400-\u9fff\ue000-\uf8ff]|鐨[勭勫]|銆[\u3400-\u9fff]|涓[\u3400-\u9fff][鍦鏄鐨]"
    "|[ÄÅÆÇÈÉÖ×ØÙÚÛÜÝÞß][\u0080-\u00ff]{3,}|[ãäåæçèéï][\u0080-\u00bf\u2013-\u203a\u0152-\u0192]{2}"
)
WHOLE_LINE_SHARE = 0.4  # of the characters; German and French prose stays below 0.1 (own measurement)
MIN_HIGH = 6  # such letters: two Chinese characters
MIN_GBK_LINE = 4  # Chinese characters below which a line may be valid in both readings by chance
MAX_TIMES = 3  # three layers have been seen in the wild (ftfy's tests); more are somebody's joke

_GB2312_LEVEL_1 = re.compile(
    "["
    + "".join(bytes([a, b]).decode("gb2312", "ignore") for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF))
    + "]"
)  # the 3,755 commonest characters: 99.7 % of modern Chinese prose (GB 2312-80)
_RARE_HAN = re.compile("[\u3400-\u4dbf]")  # "ä –" (a letter, NBSP, dash) is none
_LIKELY = re.compile(_GB2312_LEVEL_1.pattern[:-1] + "，。、；：？！（）《》“”…]")


def repair_mojibake(text: str) -> tuple[str, int]:
    """The text with reversible mojibake undone, and how many runs or lines were decoded again."""
    if text.isascii():
        return text, 0
    lines, repaired = text.split("\n"), 0
    for number, line in enumerate(lines):
        lines[number], count = repair_line(line)
        repaired += count
    return "\n".join(lines), repaired


def repair_line(line: str) -> tuple[str, int]:
    """`repair_mojibake` of one line."""
    repaired = 0
    for _ in range(MAX_TIMES):
        before = line
        if _HIGH.search(line):
            line, count = _repair_1252(line)
            repaired += count
        fixed = _undo_gbk(line)
        if fixed is not None:
            line, repaired = fixed, repaired + 1
        if line == before:
            break
    return line, repaired


def count_mojibake(text: str) -> int:
    """How many sequences look like mojibake that cannot be undone ("锟斤拷", U+FFFD, "â€" …)."""
    return 0 if text.isascii() else len(_LOST.findall(text))


def _repair_1252(line: str) -> tuple[str, int]:
    high = len(_HIGH.findall(line))
    if high >= MIN_HIGH and high >= WHOLE_LINE_SHARE * len(line):
        whole = _undo_whole(line)
        if whole is not None:
            return whole, 1
    count = 0

    def utf8(match: re.Match[str]) -> str:
        nonlocal count
        try:
            result = bytes(_TO_BYTE[c] for c in match[0]).decode("utf-8")
        except UnicodeDecodeError:
            return match[0]
        if _RARE_HAN.fullmatch(result) or (len(result) == 1 and "\xa0" in match[0][1:-1]):
            return match[0]  # "é »" (a letter, NBSP, a mark) is French
        count += 1
        return result

    def gbk(match: re.Match[str]) -> str:
        nonlocal count
        result = _undo_whole(match[0])
        count += result is not None
        return match[0] if result is None else result

    fixed = _UTF8_AS_1252.sub(utf8, line)
    if count:
        return _CUT_SPACE.sub("", _CUT_QUOTE.sub("”", fixed)), count
    return _HIGH_RUN.sub(gbk, line), count


def _undo_whole(line: str) -> str | None:
    """Text of mostly Windows-1252 letters read again as UTF-8 or GB18030; None where neither gives prose."""
    if any(c not in _TO_BYTE for c in line):
        return None
    data = bytes(_TO_BYTE[c] for c in line)
    for encoding in ("utf-8", "gb18030"):
        try:
            result = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        others = sum(not c.isascii() for c in result)
        likely = len(_LIKELY.findall(result))
        if encoding == "utf-8" or (others >= MIN_GBK_LINE and likely >= 0.8 * others):
            return result
        if others == MIN_GBK_LINE - 1 and likely == others == len(result):
            return result
    return None


def _undo_gbk(line: str) -> str | None:
    """The line with UTF-8-read-as-GBK undone, or None where it is not that.

    A proper line encoded as GBK is valid UTF-8 by accident only: every pair of bytes would have to fit. What
    decodes must also have more of the common Chinese characters than the line had.
    """
    if not _HAN_RUN.search(line):
        return None
    try:
        fixed = line.encode("gb18030").decode("utf-8")
    except UnicodeError:
        return None
    common = len(_GB2312_LEVEL_1.findall(fixed))
    if common < MIN_GBK_LINE or len(fixed) >= len(line):
        return None
    return fixed if common / len(fixed) > len(_GB2312_LEVEL_1.findall(line)) / len(line) else None
