"""What `scan` looks for: the flags of a line, the kinds of characters, and the tables that say which is which."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from steps.text import unicode_tables as unicode

# --- what a line may need -----------------------------------------------------------------------------------
(
    LINE_END,  # a line end other than \n, or a tab
    SPACE,  # a space other than U+0020
    INVISIBLE,
    COMPOSE,  # a character that NFC may change, alone or with the one before
    WIDTH,  # full-width letters, digits, signs
    WIDTH_MARK,  # full-width punctuation
    SYMBOL,
    LOST,  # may hold a trace of mojibake
    FACE,
    KAOMOJI,
    REPEAT,
    RULED,
    EDGE,  # a mark at the line's start, or a space beside a full-width mark
    SPACES,  # two spaces inside
    NARROW,  # a half-width mark after a Chinese character
    SPACED_HAN,  # Chinese characters one by one between spaces
    MARKUP,
    LATIN_1,  # UTF-8 or GBK read as Windows-1252
    GBK,  # UTF-8 read as GBK
    AT,
    NUMBER,
    COLONS,
    TRADITIONAL,
) = (np.uint32(1 << bit) for bit in range(23))

# --- what is counted per line ---------------------------------------------------------------------------------
CHARACTERS, LETTERS, HANS, KANAS, HANGULS, JAPANESE, TRADITIONALS = range(7)
COUNTS = 7

# --- what a character is: the first bits equal the line flags that it raises by itself -------------------------
DIRECT = LINE_END | SPACE | INVISIBLE | COMPOSE | WIDTH | WIDTH_MARK | SYMBOL | LOST
(
    IS_LETTER,
    IS_HAN,
    IS_KANA,
    IS_HANGUL,
    IS_JAPANESE,
    IS_LATIN,
    IS_TRADITIONAL,
    IS_HIGH,
    IS_LEAD,
    IS_TAIL,
    IS_CJK,
    IS_CLOSER,
    IS_OPENER,
    IS_DIGIT,
    IS_JOINER,
    IS_RULE,
    IS_WIDE_MARK,
    IS_MISPLACED,
    IS_REPEATED,
    IS_WORD,
    IS_EYE,
    IS_MOUTH,
) = (np.uint32(1 << bit) for bit in range(8, 30))
IS_PLAIN = IS_LETTER | IS_LATIN | IS_WORD  # an ASCII letter

LINE_ENDS = "\t\r\v\f\x85\u2028\u2029"
SPACES_OTHER = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
# Cc but newline (tabs are spaces by then), Cf (zero-width, bidi, soft hyphen, tags), Co (private use), Cs,
# variation selectors, non-characters, Hangul fillers, braille blank: written out, so that no library's
# Unicode version matters. U+FFFD stays: it is evidence of damage, and counted.
INVISIBLES = (
    "\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
)
# all that NFC can change beside combining marks: letters with a canonical decomposition that they do not keep
COMPOSED = (
    "\u0340-\u0387\u0958-\u0f7f\u1160-\u11ff\u1f00-\u1fff\u2000\u2001\u2126\u212a\u212b\u2329\u232a\u2adc"
    "\uf900-\ufb4f\U00011000-\U00011fff\U0001d100-\U0001d1ff\U0002f800-\U0002fa1f"
)
# Emoji blocks and ornaments. Kept, because texts mean something by them: ©®™, arrows, circled digits,
# bullets, △□○◇ (geometry, blanks), ♀♂, trigrams, chess pieces, ♭♮♯.
EMOJI = (
    "\u20e3\u231a\u231b\u23e9-\u23f3\u23f8-\u23fa\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001f0ff\U0001f170-\U0001f265"
    "\U0001f300-\U0001faff\u2614\u2615\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab\u26bd\u26be\u26c4\u26c5\u26ce"
    "\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e\u2753-\u2755\u2757\u2764"
)
ORNAMENTS = (
    "\u2605-\u262f\u2638-\u263f\u2641\u2643-\u2653\u2660-\u266c\u2670-\u26ff\u2600-\u2604"
    "\u2701-\u2775\u2794-\u27bf■▇█▓▒░◆●◎▲▼►◄◀▶◢◣◤◥卐卍╋╬═║╔╗╚╝━┃▄▀"
)
CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
WIDE_SYMBOLS = "＃＄％＆＊＋－／＜＝＞＠［＼］＾＿｀｛｜｝"
WIDE_PUNCTUATION = "！＂＇（），．：；？～。、"
WIDE_MARKS = "，。、；：！？"
CLOSERS = "”》）"
EYES = "^＾￣¯≧≦╯╰╥´｀‿ˇ◕◡⊙ಠ•・･｡°♥눈"  # of kaomoji
MOUTHS = "_.ω▽﹏︿"
RULES = "-=_*~+·#.—─"


def code_points(characters: str) -> np.ndarray:
    """The code points of the inside of a character class (``a-z`` is a range), as an int64 array."""
    found: list[np.ndarray] = []
    position = 0
    while position < len(characters):
        first = last = ord(characters[position])
        if position + 2 < len(characters) and characters[position + 1] == "-":
            last = ord(characters[position + 2])
            position += 2
        found.append(np.arange(first, last + 1, dtype=np.int64))
        position += 1
    return np.concatenate(found)


def windows_1252(byte: int) -> str:
    """The character that browsers make of a byte: Windows-1252, and Latin-1 where that has none."""
    return bytes([byte]).decode("cp1252", "ignore") or chr(byte)


class Tables(NamedTuple):
    """What the kernel looks up: class bits uint32[0x110000], GBK bytes uint16[0x10000] (0: none)."""

    classes: np.ndarray
    gbk: np.ndarray


@functools.lru_cache(maxsize=8)
def tables(traditional: str = "") -> Tables:
    """The kernel's tables; ``traditional`` are the characters that a conversion changes."""
    table = np.zeros(unicode.CODE_POINTS, np.uint32)
    classes = unicode.classes()
    for flag, bit in (
        (unicode.LETTER, IS_LETTER),
        (unicode.MARK, COMPOSE),
        (unicode.LETTER | unicode.DIGIT | unicode.OTHER_NUMBER, IS_WORD),
    ):
        table[(classes & flag) != 0] |= bit
    for characters, bit in (
        (LINE_ENDS, LINE_END),
        (SPACES_OTHER, SPACE),
        (INVISIBLES, INVISIBLE),
        (COMPOSED, COMPOSE),
        (WIDE_SYMBOLS + "０-９Ａ-Ｚａ-ｚ", WIDTH),
        (WIDE_PUNCTUATION, WIDTH_MARK),
        (EMOJI + ORNAMENTS, SYMBOL),
        ("锟烫屯ï\ufffdâ锛鐨銆涓ÄÅÆÇÈÉÖ×ØÙÚÛÜÝÞßãäåæçèé", LOST),
        ("A-Za-z", IS_LATIN),
        (CJK, IS_CJK),
        (CJK + "\u3005-\u3007", IS_HAN),
        (KANA, IS_KANA),
        (KANA + "\u30fb" + _only_japanese(), IS_JAPANESE),
        ("\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb\uffa1-\uffdc", IS_HANGUL),
        (CLOSERS, IS_CLOSER),
        ("“《（", IS_OPENER),
        ("0-9", IS_DIGIT),
        ("-0-9 .()+", IS_JOINER),
        (WIDE_MARKS, IS_WIDE_MARK),
        (WIDE_MARKS + "）》”", IS_MISPLACED),
        (WIDE_MARKS + "…～—─!?~.", IS_REPEATED),
        ("_", IS_WORD),
    ):
        table[code_points(characters)] |= bit
    table[[ord(c) for c in RULES]] |= IS_RULE
    table[[ord(c) for c in EYES]] |= IS_EYE
    table[[ord(c) for c in MOUTHS]] |= IS_MOUTH
    table[ord("-")] |= IS_JOINER
    table[[ord(c) for c in traditional]] |= IS_TRADITIONAL
    for byte in range(0x80, 0x100):
        kind = (
            IS_HIGH | (IS_TAIL if byte < 0xC0 else np.uint32(0)) | (IS_LEAD if byte >= 0xC2 else np.uint32(0))
        )
        for character in {windows_1252(byte), chr(byte)}:
            table[ord(character)] |= kind
    return Tables(table, _gbk_table())


def _only_japanese() -> str:
    """The characters of JIS X 0208 that neither GB 2312 nor Big5 has: 駅, 込, 円, 沢 …"""
    han = "".join(map(chr, range(0x4E00, 0xA000)))
    japanese = set(han.encode("shift_jis", "ignore").decode("shift_jis"))
    chinese = set(han.encode("gb2312", "ignore").decode("gb2312")) | set(
        han.encode("big5", "ignore").decode("big5")
    )
    return "".join(sorted(japanese - chinese))


def _gbk_table() -> np.ndarray:
    """uint16[0x10000]: the two bytes of GBK (as GB18030 has them) per code point, 0 where there are none."""
    out = np.zeros(0x10000, np.uint16)
    for lead in range(0x81, 0xFF):
        row = b"".join(bytes([lead, tail]) for tail in (*range(0x40, 0x7F), *range(0x80, 0xFF)))
        for index, character in enumerate(row.decode("gb18030", "replace")):
            tail = index + (0x40 if index < 0x3F else 0x41)
            if character != "\ufffd":
                out[ord(character)] = lead << 8 | tail
    return out
