"""Encodings of pages: real texts written in each encoding, with a right, a missing and a wrong declaration.

    python -m benchmarks.quality.encoding

A cell is the share of pages whose text comes out exactly, ours beside bare resiliparse detection. A page is a run of
paragraphs of one text, in HTML; "short" has about 200 characters, "long" 2,000.
"""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import opencc
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from benchmarks.quality.extraction_pages import DATA, load_pages
from steps.ingest.html import decode

GUIDES = DATA.parent / "html_debian_docs" / "installation-guide.tar.xz"
LENGTHS = {"short": 200, "long": 2000}
PAGES = 150  # of each length and encoding, at most
# What the text is in, the codec that writes it, and the label by which pages declare it
CASES = (
    ("zh", "gb2312", "gb2312"),
    ("zh", "gbk", "gbk"),
    ("zh", "gb18030", "gb18030"),
    ("zh-Hant", "big5", "big5"),
    ("ja", "cp932", "shift_jis"),
    ("ja", "euc_jp", "euc-jp"),
    ("ja", "iso2022_jp", "iso-2022-jp"),
    ("ko", "cp949", "euc-kr"),
    ("zh", "utf-16", "utf-16"),
    ("zh", "utf-16-le", "utf-16le"),
    ("en", "utf-16-be", "utf-16be"),
    ("pl", "cp1250", "windows-1250"),
    ("ru", "cp1251", "windows-1251"),
    ("ru", "koi8_r", "koi8-r"),
    ("de", "cp1252", "windows-1252"),
    ("fr", "cp1252", "iso-8859-1"),
    ("es", "cp1252", "windows-1252"),
    ("zh", "utf-8", "utf-8"),
    ("de", "utf-8", "utf-8"),
)


@cache
def texts(language: str) -> list[str]:
    """Plain texts in a language, from the shared data."""
    if language == "zh-Hant":
        convert = opencc.OpenCC("s2t").convert
        return [convert(text) for text in texts("zh")]
    folders = {"zh": "zh_CN", "ja": "ja", "ko": "ko"}
    if language in folders:
        return list(_guide(folders[language]))
    return [page.main or extract_plain_text(page.html) for page in load_pages() if page.language == language]


def _guide(folder: str) -> Iterator[str]:
    with lzma.open(GUIDES) as file, tarfile.open(fileobj=file) as archive:
        for member in archive:
            if f"/{folder}/" in member.name and member.name.endswith(".html"):
                content = archive.extractfile(member)
                assert content is not None
                yield extract_plain_text(content.read().decode("utf-8"))


def fragments(language: str, codec: str, length: int) -> list[str]:
    """Runs of lines of about ``length`` characters that the codec can write and that are not only ASCII."""
    found: list[str] = []
    for text in texts(language):
        lines: list[str] = []
        for line in text.split("\n"):
            encodable = line.encode(codec, "ignore").decode(codec, "ignore").strip()
            lines += [encodable] if encodable else []
            joined = "\n".join(lines)
            if len(joined) >= length:
                found += [joined[:length]] if not joined[:length].isascii() or language == "en" else []
                lines = []
    step = max(len(found) // PAGES, 1)
    return found[::step][:PAGES]


def page(fragment: str, label: str | None) -> str:
    """The fragment as HTML, its encoding declared by a meta element or not at all."""
    meta = f'<meta charset="{label}">' if label else ""
    paragraphs = "".join(
        f"<p>{line}</p>\n" for line in fragment.replace("&", "&amp;").replace("<", "&lt;").split("\n")
    )
    head = f'<!DOCTYPE html>\n<html><head>{meta}<link rel="stylesheet" href="/style.css"></head>'
    return f"{head}\n<body>{paragraphs}</body></html>"


def share(fragments: Sequence[str], codec: str, label: str | None, read: Callable[[bytes], str]) -> float:
    """Of the fragments, those that ``read`` gives back exactly."""
    right = 0
    for fragment in fragments:
        html = page(fragment, label)
        right += read(html.encode(codec)).lstrip("\ufeff") == html
    return right / max(len(fragments), 1)


def peer(data: bytes) -> str:
    """What resiliparse's detection makes of it."""
    return bytes_to_str(data, detect_encoding(data) or "utf-8")


def ours(declared: str | None) -> Callable[[bytes], str]:
    """Our decoding under what the server said."""
    return lambda data: decode(data, declared).text


def main() -> None:
    """Print one row per encoding."""
    wrong = {"utf-8": "iso-8859-1"}
    heads = [
        "http",
        "meta",
        "wrong http",
        *(f"none, {name}" for name in LENGTHS),
        *(f"resiliparse, {name}" for name in LENGTHS),
    ]
    print(f"| text | encoding | pages | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 3)}")
    for language, codec, label in CASES:
        parts = {name: fragments(language, codec, length) for name, length in LENGTHS.items()}
        lie = wrong.get(codec, "utf-8")
        cells = [
            share(parts["long"], codec, None, ours(label)),
            share(parts["long"], codec, label, ours(None)),
            share(parts["long"], codec, None, ours(lie)),
            *(share(parts[name], codec, None, ours(None)) for name in LENGTHS),
            *(share(parts[name], codec, None, peer) for name in LENGTHS),
        ]
        shown = " | ".join(f"{cell:.3f}" for cell in cells)
        print(
            f"| {language} | {codec} | {len(parts['long'])} + {len(parts['short'])} | {shown} |", flush=True
        )


if __name__ == "__main__":
    main()
