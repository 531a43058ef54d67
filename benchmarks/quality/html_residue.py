"""HTML residue: lines of markup, styles, scripts and page controls that were put into clean articles.

    python -m benchmarks.quality.html_residue

The residue is cut from the raw HTML of crawl_mix: markup lines, lines inside <style> and <script>, and the texts of
<nav>, <footer> and <button> elements, drawn by hash. It goes, five lines of a kind, between the lines of LCTT and
Wikipedia articles, which run as kind `web`. A line counts as removed when half of its bytes are.
"""

from __future__ import annotations

import html
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xxhash
from fastwarc.warc import ArchiveIterator, WarcRecordType

from benchmarks.quality.chain import Records, clean, ingest, ledger, markdown, read_jsonl, shared
from steps.core.corpus import Corpus

ARTICLES = 100  # of each clean set
PER_ARTICLE = 5
KINDS = {
    "markup": re.compile(
        r"^[ \t]*(<(?:div|span|p|li|a|td|img|meta|link|section|ul)\b[^\n]{15,300}>)[ \t]*$", re.M | re.I
    ),
    "style": re.compile(r"<style[^>]*>(.{40,5000}?)</style>", re.S | re.I),
    "script": re.compile(r"<script[^>]*>(.{40,5000}?)</script>", re.S | re.I),
    "controls": re.compile(r"<(nav|footer|button)\b[^>]*>(.{10,2000}?)</\1>", re.S | re.I),
}


def draw(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode(), seed=7)


def residue() -> dict[str, list[str]]:
    """Lines by kind, in the order of their hash, each once."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for path in sorted(shared("crawl_mix").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                page = record.reader.read(2_000_000).decode("utf-8", "ignore")
                for kind, pattern in KINDS.items():
                    for match in list(pattern.finditer(page))[:20]:
                        found[kind].update(lines_of(kind, match.groups()[-1]))
    return {kind: sorted(lines, key=draw) for kind, lines in found.items()}


def lines_of(kind: str, text: str) -> Iterator[str]:
    """The lines that a broken extraction would leave of an element."""
    if kind == "controls":
        text = html.unescape(re.sub(r"<[^>]*>", "\n", text))
    for line in text.split("\n"):
        line = " ".join(line.split())
        if (3 if kind == "controls" else 20) <= len(line) <= 400 and any(c.isalpha() for c in line):
            yield line


def main() -> None:
    """Print recall per kind of residue, and what clean lines lose, beside the same articles without residue."""
    lines = residue()
    articles = [
        row["text"].split("\n")
        for file in (
            "lctt_opensource/lctt_opensource_zh_en.jsonl.gz",
            "wiki_zh/train.jsonl.gz",
            "wiki_en/train.jsonl.gz",
        )
        for row in list(read_jsonl(shared(file)))[::7][:ARTICLES]
        if row["text"].count("\n") >= PER_ARTICLE
    ]
    rows, labels = [], {}
    kinds = sorted(lines)
    for number, article in enumerate(articles):
        kind = kinds[number % len(kinds)]
        at = number // len(kinds) * PER_ARTICLE
        inserted = lines[kind][at : at + PER_ARTICLE]
        step = max(1, len(article) // (PER_ARTICLE + 1))
        mixed: list[tuple[str, str]] = [("", line) for line in article]
        for i, line in enumerate(inserted):
            mixed.insert((i + 1) * step + i, (kind, line))
        labels[f"residue/{number}"] = mixed
        rows.append({"text": "\n".join(line for _, line in mixed), "url": f"residue/{number}"})
        rows.append({"text": "\n".join(article), "url": f"plain/{number}"})
        labels[f"plain/{number}"] = [("plain", line) for line in article]
    tally: dict[str, list[int]] = {}
    for kind, gone in judged(rows, labels):
        counts = tally.setdefault(kind or "clean line beside residue", [0, 0])
        counts[0] += 1
        counts[1] += gone
    names = {"plain": "clean line, no residue in the article"}
    table = [[names.get(k, k), n, gone, f"{gone / n:.1%}"] for k, (n, gone) in sorted(tally.items())]
    print(markdown(["line", "lines", "removed", "share"], table))


def judged(
    rows: list[dict[str, str]], labels: dict[str, list[tuple[str, str]]]
) -> Iterator[tuple[str, bool]]:
    """(kind, removed) of every line that preprocess leaves; articles whose lines it joins or splits are left out."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = ingest(root, {"mixed": Records("web", rows, {"text": "text", "url": "url"})})
        prepared, filtered = clean(root, made, preprocess={"trust_declared_language": False})
        entries: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for entry in ledger(filtered.artifact):
            entries.setdefault((entry["shard"], entry["row"]), []).append(entry)
        for shard in Corpus.open(prepared.artifact).shards:
            for row in shard.read(["url", "text"]).to_pylist():
                mine = entries.get((shard.sha256, row["_row"]), [])
                lines = row["text"].split("\n")
                wanted = labels[row["url"]]
                if len(lines) != len(wanted):
                    continue
                at, dropped = 0, any(e["action"] == "removed" for e in mine)
                for (kind, _), line in zip(wanted, lines, strict=True):
                    end = at + len(line.encode())
                    cut = sum(
                        max(0, min(end, e["end"]) - max(at, e["start"]))
                        for e in mine
                        if e["action"] == "edited"
                    )
                    if line.strip():
                        yield kind, dropped or cut * 2 >= end - at
                    at = end + 1


if __name__ == "__main__":
    main()
