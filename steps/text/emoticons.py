"""Removal of emoji, ornaments, ASCII emoticons and kaomoji from one line.

Why they go by default: Ziya2 (2311.03301, section 2.1) removes "special symbols and emoticons" as tokens without
meaning, and a tokenizer without them spells each as three or four byte tokens. Why one may keep them: models for
chat are expected to write emoji.
"""

from __future__ import annotations

import re

from steps.text.scan_tables import CJK, EMOJI, EYES, MOUTHS, ORNAMENTS

_PICTURE = f"[{EMOJI}]"
_ORNAMENT = f"(?:(?!{_PICTURE})[{ORNAMENTS}])"


def _symbols(kinds: str) -> re.Pattern[str]:
    return re.compile(f"(?P<glued>(?<=[A-Za-z0-9]){kinds}+(?=[A-Za-z0-9]))|^{kinds}+ *|{kinds}+")


_SYMBOLS = {
    "remove": _symbols(f"[{EMOJI}{ORNAMENTS}]"),
    "keep": _symbols(_ORNAMENT),
}
# Western faces, between spaces or after a full-width mark
_WESTERN = re.compile(
    r"(?:(?<=\s)|^|(?<=[。！？，]))"
    r"(?:[:;=8]-?[)(DPpOo3*]|[xX]D|:'\(|<3|\^\^|\^_\^|T_T|-_-|[oO]rz|OTZ)(?=\s|$)"
)
# Faces that mean nothing else, right after Chinese: 好开心^_^, 跪了orz。
_AFTER_CHINESE = re.compile(
    rf"(?<=[{CJK}，。！？～…）”])"
    r"(?:\^[_oO.\-~]{0,2}\^|T_T|QAQ|QWQ|qwq|[oO]rz|OTZ|ORZ|-_-(?:\|+|b|!)?|>_<|=_=|@_@|[oO]_[oO]|XD)"
    rf"(?=[\s，。！？～…、；]|$|[{CJK}])"
)
_SMILE_AFTER_CHINESE = re.compile(rf"(?<=[{CJK}，。！？～…])[:;]-?[)](?=[\s，。！？～…]|$)")
# A kaomoji is a pair of brackets around a face: two eyes that stand in no formula, or eye-mouth-eye
_EYES = re.escape(EYES)
_FACE = rf"{_EYES}`\s~～_=><＞＜;；TtТт▽∇﹏︿ωДoO0uエ益д.\-。□¬＠@#*+\"'≡∀∪∩●○☆★♪ﾟ゜ㅂεз"
_ALONE = r"(?<![A-Za-z0-9_])"
_ARM = rf"(?:[╮ヾヽ٩ᕙ]|{_ALONE}[oO\\])"
_KAOMOJI = re.compile(
    rf"(?:{_ARM}|{_ALONE})[(（](?=[\WTтoO_])(?=[^\n()（）]{{3,12}}[)）])"
    rf"(?:[{_FACE}]*?[{_EYES}]){{2}}[{_FACE}]*[)）](?:[╭ﾉノゞ┛۶]|[/o~](?![A-Za-z0-9_]))?"
    rf"|{_ALONE}[(（][*#]?[>＞=\-@oOTт;；][{MOUTHS}][<＜=\-@oOTт;；][*#;]?[)）]"
)


def remove_pictures(line: str, emoji: str) -> str:
    """The line without ornaments and, where ``emoji`` is "remove", emoji. Words that one stood between stay apart.

    Math and technical symbols (arrows, △, □, ○, ∑ …), currency signs, bullets, ©, ® and ™ stay.
    """
    return _SYMBOLS[emoji].sub(lambda match: " " if match["glued"] else "", line)


def remove_emoticons(line: str) -> str:
    """The line without ASCII emoticons: :-) ^_^ orz."""
    line = _WESTERN.sub("", line)
    if not line.isascii():
        line = _AFTER_CHINESE.sub("", line)
        if "(" not in line and "（" not in line:
            line = _SMILE_AFTER_CHINESE.sub("", line)
    return line


def remove_kaomoji(line: str) -> str:
    """The line without kaomoji: （￣▽￣）."""
    return _KAOMOJI.sub("", line)
