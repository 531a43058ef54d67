"""Repair of mojibake on re-encoded real lines, and what it does to clean ones, beside ftfy.

    python -m benchmarks.quality.mojibake [lines per set, default 1500]

Recall is the share of broken lines that come back character for character; "lossless" are those of them from which the
accident can be undone at all. Harm is the share of clean lines that change.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown, read_jsonl, shared
from benchmarks.quality.language import crawl
from steps.text.mojibake import repair_line
from steps.text.scan_tables import windows_1252

BYTES = [chr(byte) if byte < 0x80 else windows_1252(byte) for byte in range(256)]


def as_1252(data: bytes) -> str:
    return "".join(BYTES[byte] for byte in data)


ACCIDENTS: dict[str, Callable[[str], str]] = {
    "UTF-8 as Windows-1252": lambda line: as_1252(line.encode()),
    "the same twice": lambda line: as_1252(as_1252(line.encode()).encode()),
    "UTF-8 as GBK": lambda line: line.encode().decode("gb18030", "replace"),
    "GBK as Windows-1252": lambda line: as_1252(line.encode("gbk", "replace")),
}
LATIN = re.compile("[\u00c0-\u024f\u2018-\u201d]")


def clean_lines(limit: int) -> dict[str, list[str]]:
    """Lines of real text with more than ASCII in them, by language."""
    rows = list(read_jsonl(shared("lctt_opensource/lctt_opensource_zh_en.jsonl.gz")))
    found = {
        language: [
            line.strip()
            for row in rows
            if row["lang"] == language
            for line in row["text"].split("\n")
            if 20 <= len(line.strip()) <= 300 and not line.strip().isascii()
        ]
        for language in ("zh", "en")
    }
    found |= {
        name: [t for t in texts if LATIN.search(t)]
        for name, texts in crawl().items()
        if name in ("de", "es", "fr")
    }
    found["ja"] = crawl()["ja"]
    return {name: lines[:: max(1, len(lines) // limit)][:limit] for name, lines in found.items()}


def lossless(accident: str, line: str) -> bool:
    """Whether the accident kept all bytes."""
    if accident == "UTF-8 as GBK":
        return "\ufffd" not in line.encode().decode("gb18030", "replace")
    return accident != "GBK as Windows-1252" or "?" not in line.encode("gbk", "replace").decode("gbk")


def share(lines: Sequence[str], wanted: Sequence[str]) -> str:
    return f"{sum(a == b for a, b in zip(lines, wanted, strict=True)) / max(len(lines), 1):.4f}"


def main(limit: int = 1500) -> None:
    """Print both tables."""
    clean = clean_lines(limit)
    broken = {
        f"{accident}, {language}": ([line for line in clean[language]], accident)
        for language in ("zh", "en")
        for accident in ACCIDENTS
        if language == "zh" or "GBK" not in accident
    }
    sets = {name: [ACCIDENTS[accident](line) for line in lines] for name, (lines, accident) in broken.items()}
    sets |= {f"clean {language}": lines for language, lines in clean.items()}
    size = sum(len(line.encode()) for lines in sets.values() for line in lines) / 1e6
    began = time.process_time()
    ours = {name: [repair_line(line)[0] for line in lines] for name, lines in sets.items()}
    seconds = time.process_time() - began
    peer = run_peer("text", Path(__file__).parent / "mojibake_ftfy.py", sets)
    rows = []
    for name, (lines, accident) in broken.items():
        whole = [i for i, line in enumerate(lines) if lossless(accident, line)]
        rows.append(
            [name, len(lines), share(ours[name], lines), share(peer["lines"][name], lines), len(whole)]
            + [
                share([fixed[name][i] for i in whole], [lines[i] for i in whole])
                for fixed in (ours, peer["lines"])
            ]
        )
    print(
        markdown(["broken lines", "lines", "ours", "ftfy", "lossless", "ours of them", "ftfy of them"], rows)
    )
    print(f"\nours {size / seconds:.1f}, ftfy {size / peer['seconds']:.1f} MB/s per core, every line tried\n")
    harm = [
        [language, len(lines)]
        + [
            f"{sum(a != b for a, b in zip(fixed[f'clean {language}'], lines, strict=True)) / len(lines):.4f}"
            for fixed in (ours, peer["lines"])
        ]
        for language, lines in clean.items()
    ]
    print(markdown(["clean lines", "lines", "changed by ours", "changed by ftfy"], harm))
    for language, lines in clean.items():
        for line, fixed in zip(lines, ours[f"clean {language}"], strict=True):
            if line != fixed:
                print(f"\n{language}: {line}\n -> {fixed}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
