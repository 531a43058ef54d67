"""What the demo's generator does to texts: copies, damage, personal data, and pages that are no documents."""

from __future__ import annotations

import re
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple


class Junk(NamedTuple):
    """A page that is no document."""

    kind: str
    language: str
    title: str
    text: str


# invented persons; numbers from ranges set aside for examples (555-01xx, RFC 5737, test cards), IDs with
# valid check
PERSONAL_DATA = {
    "zh": [
        (
            "有疑问可以写信到 lin.xiaoshan@example.com，或者拨打13800138000。",
            ["lin.xiaoshan@example.com", "13800138000"],
        ),
        ("登记时填写的身份证号是11010519491231002X，请核对。", ["11010519491231002X"]),
        ("那台旧路由器的地址是203.0.113.77，密码贴在背面。", ["203.0.113.77"]),
        ("订金转好以后，请打010-62345678确认。", ["010-62345678"]),
    ],
    "en": [
        ("Questions can be sent to margaret.holt@example.org at any time.", ["margaret.holt@example.org"]),
        ("Our treasurer answers the telephone at (415) 555-0134 on weekday mornings.", ["(415) 555-0134"]),
        ("The old server still listens on 198.51.100.23 for anyone who asks.", ["198.51.100.23"]),
        (
            "By mistake the receipt showed the whole card number, 4111 1111 1111 1111, in bold.",
            ["4111 1111 1111 1111"],
        ),
    ],
}
FRAGMENTS = {"zh": "点击阅读更多", "en": "Sign up for our newsletter"}
_LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo "
    "consequat. Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur."
)
_HIDDEN_LOREM = (
    "Welcome to our new home on the web. This page is still being written, so please come back to it later in the "
    "year when we have had the time to finish it properly.\n"
    + _LOREM
    + "\nThank you for your patience, and we hope "
    "that you will enjoy the rest of the site in the meantime."
)
_RESIDUE_EN = (
    "The table below shows what was measured on each of the seven days.\n"
    '&lt;div class="col-md-6"&gt;&lt;span style="color:red"&gt;Monday&lt;/span&gt;&lt;/div&gt; &lt;br/&gt;\n'
    "function toggle(id) { var e = document.getElementById(id); e.style.display = 'none'; return false; }\n"
    '&lt;a href="#" onclick="toggle(1)"&gt;Tuesday&lt;/a&gt; &amp;nbsp;&amp;nbsp; &lt;td colspan=2&gt;\n'
    "window.dataLayer = window.dataLayer || []; function gtag(){dataLayer.push(arguments);} gtag('js', new Date());\n"
    '&lt;img src="day3.png" width="100%"&gt; &lt;p class="MsoNormal"&gt;Wednesday&lt;/p&gt; &lt;/table&gt;'
)
_RESIDUE_ZH = (
    "下面是本周的安排，请大家留意。\n"
    '<div class="row"><span style="font-size:14px">周一</span></div><br/>&nbsp;&nbsp;\n'
    "function show(id){document.getElementById(id).style.display='block';}\n"
    '<td width="50%">周二</td><td>周三</td></tr></table><script src="a.js"></script>\n'
    '<img src="1.jpg" alt="图片"/><p class="MsoNormal">周四</p>&nbsp;&lt;/html&gt;'
)


def _repeated(line: str, count: int) -> str:
    return "\n".join([line] * count)


JUNK = (
    Junk("short", "en", "Untitled", "Nothing here yet."),
    Junk("short", "en", "Photo", "A photo of the harbour."),
    Junk("short", "en", "Test", "test test"),
    Junk("short", "zh", "图片", "一张旧照片。"),
    Junk("short", "zh", "公告", "今日休息。"),
    Junk("short", "zh", "测试", "测试页面"),
    Junk("lorem_ipsum", "en", "Coming soon", _HIDDEN_LOREM),
    Junk("lorem_ipsum", "en", "About us", f"About our company and its history.\n{_HIDDEN_LOREM}"),
    Junk(
        "repeated_lines",
        "en",
        "Guestbook",
        _repeated("Thank you for the nice page, greetings to all of you.", 24),
    ),
    Junk(
        "repeated_lines",
        "en",
        "Schedule",
        _repeated("The next bus leaves from the station at half past nine.", 20),
    ),
    Junk("repeated_lines", "zh", "留言板", _repeated("感谢楼主分享，好人一生平安，顶起来让更多人看到。", 24)),
    Junk("repeated_lines", "zh", "班车", _repeated("下一班车九点半从汽车站出发，请提前十分钟到站。", 20)),
    Junk(
        "html_residue",
        "en",
        "Measurements",
        _RESIDUE_EN.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"),
    ),
    Junk("html_residue", "en", "Weekly table", _RESIDUE_EN),
    Junk("html_residue", "zh", "本周安排", _RESIDUE_ZH),
    Junk("html_residue", "zh", "安排表", _RESIDUE_ZH.replace("周", "星期")),
)
_SENTENCE_END = re.compile(r"(?<=[。！？])|(?<=[.!?]) (?=[A-Z“\"])")
_EMOJI = ("😀", "👍", "🌸", "🎉", "❤️", "✨")


@lru_cache(maxsize=1)
def _converter() -> Any:
    import opencc

    return opencc.OpenCC("s2t")


def traditional(text: str) -> str:
    """Simplified to Traditional Chinese."""
    return str(_converter().convert(text))


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, ends kept."""
    return [part for part in _SENTENCE_END.split(paragraph) if part]


def insert_sentence(text: str, sentence: str, language: str, draw: Random) -> str:
    """The text with ``sentence`` after one of its paragraphs' sentences."""
    parts = text.split("\n\n")
    where = int(draw.random() * len(parts))
    joint = "" if language == "zh" else " "
    inside = sentences(parts[where])
    at = 1 + int(draw.random() * len(inside))
    parts[where] = joint.join([*inside[:at], sentence, *inside[at:]])
    return "\n\n".join(parts)


def cut_off(text: str, draw: Random) -> str:
    """The text up to the middle of a sentence in its second half."""
    at = round(len(text) * (0.6 + 0.25 * draw.random()))
    return text[:at].rstrip(" ，。、；：！？,.;:!?\n")


def decorate(text: str, language: str, draw: Random) -> str:
    """A re-post: the same words with other punctuation and with emoji."""
    stops = ("。", "！") if language == "zh" else (". ", "! ")
    pieces = text.split(stops[0])
    out = pieces[0]
    for piece in pieces[1:]:
        chance = draw.random()
        mark = stops[1] if chance < 0.3 else stops[0]
        emoji = _EMOJI[int(draw.random() * len(_EMOJI))] if chance > 0.6 else ""
        out += mark.rstrip() + emoji + (" " if mark.endswith(" ") else "") + piece
    return out if out != text else text + _EMOJI[0]


def near_copy(text: str, language: str, draw: Random, share: float) -> str:
    """The text with ``share`` of its characters (zh) or words (en) exchanged, left out or doubled; at least
    one.
    """
    units = list(text) if language == "zh" else re.split(r"(\s+)", text)
    editable = [i for i, unit in enumerate(units) if re.match(r"\w", unit)]
    for _ in range(max(1, round(len(editable) * share))):
        at = editable[int(draw.random() * len(editable))]
        chance, other = draw.random(), units[editable[int(draw.random() * len(editable))]]
        if chance < 0.5:
            units[at] = other
        elif chance < 0.75:
            units[at] = ""
        else:
            units[at] += ("" if language == "zh" else " ") + other
    return "".join(units)
