"""Unicode and typographic normalisation of one document, by language.

Every function takes and returns ``str`` and works by whole-string operations of compiled code (str.translate,
re, regex, OpenCC). They are idempotent together: normalising twice changes nothing more (property test;
OpenCC itself is not). Order matters and is that of `normalise`. None of them looks at more than the text
itself.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import Any, NamedTuple

from steps.text.mojibake import count_mojibake, repair_mojibake


class Normalised(NamedTuple):
    """A normalised text and what was done: numbers of characters unless said otherwise."""

    text: str
    mojibake_repaired: int  # lines or runs that were decoded again
    mojibake_left: int  # sequences that look like mojibake and could not be repaired
    invisible_removed: int  # control, zero-width, private-use and unassigned-by-design characters
    converted: int  # Traditional characters that became Simplified ones
    symbols_removed: int  # emoji, emoticons, ornaments


# --- line ends and spaces -----------------------------------------------------------------------------------
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_WIDE_INDENT = re.compile("^[\u00a0\u3000\u2000-\u200a]+", re.MULTILINE)
_INNER_SPACES = re.compile(r"(?<=\S)  +")  # indentation stays: it is meaning in code
_TRAILING = re.compile(r"(?<! ) +$", re.MULTILINE)  # from a run's start only, or time is quadratic
_BLANK_LINES = re.compile(r"\n{3,}")

# --- invisible characters -----------------------------------------------------------------------------------
# Cc but newline (tabs are spaces by then), Cf (zero-width, bidi, soft hyphen, tags), Co (private use), Cs,
# variation selectors, non-characters, Hangul fillers, braille blank: written out, so that no library's
# Unicode version matters. U+FFFD stays: it is evidence of damage, and counted.
_INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]+"
)

# --- width --------------------------------------------------------------------------------------------------
_WIDE_ALPHANUMERIC = {
    code: code - 0xFEE0 for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
}
_WIDE_SYMBOLS = {code: code - 0xFEE0 for code in map(ord, "＃＄％＆＊＋－／＜＝＞＠［＼］＾＿｀｛｜｝")}
_WIDE_PUNCTUATION = {code: code - 0xFEE0 for code in map(ord, "！＂＇（），．：；？～")}
_CHINESE_WIDTH = {**_WIDE_ALPHANUMERIC, **_WIDE_SYMBOLS}
_ENGLISH_WIDTH = {**_CHINESE_WIDTH, **_WIDE_PUNCTUATION, ord("。"): ".", ord("、"): ","}
_WIDE = re.compile("[\uff01-\uff5e。、]")
_CJK = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# ASCII punctuation between Chinese characters (or at a line's end after one) is a full-width mark typed
# carelessly
_NARROW = re.compile(rf"([,;:!?])(?<=[{_CJK}”》）].) ?(?=[{_CJK}“《（]|$)", re.MULTILINE)
_NARROW_STOP = re.compile(rf"(?<=[{_CJK}”》）])\.(?=$| ?[{_CJK}“《])", re.MULTILINE)
_TO_WIDE = {",": "，", ";": "；", ":": "：", "!": "！", "?": "？"}

# --- emoji, emoticons, ornaments ----------------------------------------------------------------------------
# Emoji blocks and ornaments. Kept, because texts mean something by them: ©®™, arrows, circled digits,
# bullets, △□○◇ (geometry, blanks), ♀♂, trigrams, chess pieces, ♭♮♯.
_SYMBOLS = (
    "[\u20e3\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f0ff\U0001f170-\U0001f265"
    "\U0001f300-\U0001faff\u2605-\u262f\u2638-\u263f\u2641\u2643-\u2653\u2660-\u266c\u2670-\u26ff\u2600-\u2604"
    "\u2701-\u2775\u2794-\u27bf■▇█▓▒░◆●◎▲▼►◄◀▶◢◣◤◥卐卍╋╬═║╔╗╚╝━┃▄▀]+"
)
_SYMBOL = re.compile(f"^{_SYMBOLS} *|{_SYMBOLS}", re.MULTILINE)
_KAOMOJI = re.compile(
    r"(?<!\w)[(（][^\w\s()（）]{0,3}[\^＾~～￣¯_=≧≦><＞＜╯╰╥;；Tт][^\w\s()（）]{0,2}[_.\-ωωД▽∇﹏︿oO0uエ益д]{1,3}"
    r"[^\w\s()（）]{0,2}[\^＾~～￣¯_=≧≦><＞＜╯╰╥;；Tт][^\s()（）]{0,3}[)）]"
)
_FACE = re.compile(r"[:;=8]-?[)(DPpOo3*]|[xX]D|:'\(|<3|\^\^|\^_\^|T_T|-_-|orz")
_EMOTICON = re.compile(rf"(?:(?<=\s)|^|(?<=[。！？，]))(?:{_FACE.pattern})(?=\s|$)", re.MULTILINE)

# --- repeated and misplaced punctuation ---------------------------------------------------------------------
_REPEATED_WIDE = (
    (re.compile(r"([，、；：！？])\1+"), r"\1"),
    (re.compile(r"。{3,}|…{3,}"), "……"),
    (re.compile(r"。。"), "。"),
    (re.compile(rf"([!?])(?<=[{_CJK}].)\1+"), r"\1"),
    (re.compile(r"，(?=[。！？])|、(?=[，。！？])"), ""),
    (re.compile(r"～{2,}"), "～"),
)
_REPEATED_NARROW = (
    (re.compile(r"!{3,}"), "!"),  # "!!" and "??" are operators
    (re.compile(r"\?{3,}"), "?"),
    (re.compile(r"\.{4,}"), "..."),
    (re.compile(r"~{3,}"), "~"),
)
_RULED_LINE = re.compile(r"^[ \t]*(?:[-=_*~+·#.—─]\s?){5,}[ \t]*$\n?", re.MULTILINE)
_MISPLACED_START = re.compile(r"^[ ]*[，。、；：！？）》”]+[ ]*(?=\S)", re.MULTILINE)
_SPACE_BEFORE_WIDE = re.compile(r"(?<! ) +(?=[，。、；：！？])")
_SPACE_AFTER_WIDE = re.compile(r" +(?<=[，。、；：！？] )(?=\S)")


def normalise(text: str, language: str, *, simplify: str = "tw2s") -> Normalised:
    """Normalise one document.

    ``language`` is an ISO 639 code: "zh" takes Chinese typography and ``simplify``, the OpenCC configuration
    that makes Traditional text Simplified ("" leaves it); every other takes Western typography.
    """
    text, repaired = repair_mojibake(text)
    left = count_mojibake(text)  # before private-use characters, which are its traces, are removed
    text = unify_spaces(text)
    text, invisible = remove_invisible(text)
    text = unicodedata.normalize("NFC", text)
    converted = 0
    if language == "zh" and simplify:
        text, converted = to_simplified(text, simplify)
    symbols = 0
    for _ in range(MAX_ROUNDS):  # what goes may bring together what then is repeated, or a face
        before = text = fix_blank(_INNER_SPACES.sub(" ", text))
        text, removed = remove_symbols(fix_width(text, language))
        text = fix_punctuation(text, language)
        symbols += removed
        if text == before:
            break
    return Normalised(text, repaired, left, invisible, converted, symbols)


def remove_invisible(text: str) -> tuple[str, int]:
    """The text without control, zero-width, bidi, private-use characters, and how many there were."""
    clean = _INVISIBLE.sub("", text)
    return clean, len(text) - len(clean)


def remove_symbols(text: str) -> tuple[str, int]:
    """The text without emoji, emoticons, kaomoji and ornaments, and how many characters went.

    Math and technical symbols (arrows, △, □, ○, ∑ …), currency signs, bullets, ©, ® and ™ stay.
    """
    clean = text if text.isascii() else _SYMBOL.sub("", text)
    if _FACE.search(clean):
        clean = _EMOTICON.sub("", clean)
    if "(" in clean or "（" in clean:
        clean = _KAOMOJI.sub("", clean)
    return clean, len(text) - len(clean)


def fix_width(text: str, language: str) -> str:
    """Full-width letters, digits and signs become half-width; punctuation follows the language."""
    if language == "zh":
        if _WIDE.search(text):
            text = text.translate(_CHINESE_WIDTH)
        text = _NARROW.sub(lambda match: _TO_WIDE[match[1]], text)
        return _NARROW_STOP.sub("。", text)
    return text.translate(_ENGLISH_WIDTH) if _WIDE.search(text) and not _CJK_LETTER.search(text) else text


MAX_ROUNDS = 5  # two are enough for prose
MIN_TRADITIONAL = 2  # characters in a line
TRADITIONAL_LINE = 0.03  # of a line's characters
TRADITIONAL_TEXT = (
    0.10  # of a text's; Traditional prose has 15-32 % (10th to 90th percentile of lines in wiki_zh)
)
_CJK_LETTER = re.compile(rf"[{_CJK}]")


def fix_punctuation(text: str, language: str) -> str:
    """Repeated marks once, ruled lines gone; no mark at a line's start, no space around full-width marks."""
    text = _RULED_LINE.sub("", text)
    for pattern, replacement in _REPEATED_NARROW:
        text = pattern.sub(replacement, text)
    if text.isascii():
        return text
    for pattern, replacement in _REPEATED_WIDE:
        text = pattern.sub(replacement, text)
    if language == "zh":
        text = _MISPLACED_START.sub("", text)
        text = _SPACE_AFTER_WIDE.sub("", _SPACE_BEFORE_WIDE.sub("", text))
    return text


def unify_spaces(text: str) -> str:
    """Line ends of all kinds as \\n, spaces of all kinds as the ordinary one; wide indentation goes."""
    text = _LINE_ENDS.sub("\n", text).replace("\t", "    ")
    return text if text.isascii() else _SPACES.sub(" ", _WIDE_INDENT.sub("", text))


def fix_blank(text: str) -> str:
    """No space at line ends, at most one blank line, none at either end of the text."""
    return _BLANK_LINES.sub("\n\n", _TRAILING.sub("", text)).strip("\n").rstrip()


@functools.lru_cache(maxsize=4)
def _converter(name: str) -> Any:
    import opencc

    return opencc.OpenCC(name)


@functools.lru_cache(maxsize=4)
def _traditional(name: str) -> re.Pattern[str]:
    """Characters that the OpenCC configuration changes when they stand alone."""
    convert = _converter(name).convert
    changed = [chr(c) for c in (*range(0x3400, 0xA000), *range(0xF900, 0xFB00)) if convert(chr(c)) != chr(c)]
    return re.compile("[" + "".join(changed) + "]")


def to_simplified(text: str, configuration: str = "tw2s") -> tuple[str, int]:
    """Traditional Chinese to Simplified by OpenCC, and how many Traditional characters were in what was converted.

    A text with at least 10 % Traditional characters is converted as a whole; of another one, the lines with two
    of them and 3 % of their length. What is left are names and quotations in Simplified text, which their
    authors spelled so (毕昇, 於).
    """
    pattern = _traditional(configuration)
    total = len(pattern.findall(text))
    if not total:
        return text, 0
    convert = _converter(configuration).convert
    if total >= TRADITIONAL_TEXT * len(text):
        return convert(text), total
    lines, converted = text.split("\n"), 0
    for number, line in enumerate(lines):
        found = len(pattern.findall(line))
        if found >= MIN_TRADITIONAL and found >= TRADITIONAL_LINE * len(line):
            lines[number], converted = convert(line), converted + found
    return "\n".join(lines), converted
