"""Advertising and contact spam: lines of spam removed, clean lines kept, through preprocess + filter.

    python -m benchmarks.quality.spam [--tuning]

The texts (benchmarks/quality/texts) were written before the rules were changed for them and are of two halves:
documents with an odd number are held out, and only they are in the table unless --tuning is given, which shows
the other half with what it got wrong. A line counts as removed when half of its bytes are.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.quality.chain import Records, clean, documents, ingest, ledger, markdown
from steps.core.corpus import Corpus

TEXTS = Path(__file__).parent / "texts"


class Document(NamedTuple):
    """One document: its lines with whether each is spam."""

    language: str
    number: int
    topic: str
    lines: tuple[tuple[bool, str], ...]

    @property
    def held_out(self) -> bool:
        return self.number % 2 == 1

    @property
    def url(self) -> str:
        return f"spam/{self.language}/{self.number}"


def read(language: str) -> list[Document]:
    """The documents of one file. Raises ValueError that names a line which is neither S nor C."""
    found: list[Document] = []
    topic, lines = "", list[tuple[bool, str]]()
    path = TEXTS / f"spam_{language}.txt"
    for number, line in enumerate([*path.read_text(encoding="utf-8").split("\n"), "["], 1):
        if line.startswith("["):
            if lines:
                found.append(Document(language, len(found), topic, tuple(lines)))
            topic, lines = line.strip("[]"), []
        elif line[:2] in ("S ", "C "):
            lines.append((line[0] == "S", line[2:]))
        elif line and not line.startswith("#"):
            raise ValueError(f"{path} line {number}: starts neither with S nor with C")
    return found


class Judged(NamedTuple):
    """A line with what the filter did: the share of its bytes that went, and the rules."""

    document: Document
    spam: bool
    text: str
    gone: float
    rules: tuple[str, ...]


def judge(wanted: list[Document], **filtering: Any) -> Iterator[Judged]:
    """Every line of the documents after the real steps."""
    rows = [{"text": "\n".join(line for _, line in d.lines), "url": d.url} for d in wanted]
    with tempfile.TemporaryDirectory() as folder:
        made = ingest(Path(folder), {"spam": Records("web", rows, {"text": "text", "url": "url"})})
        prepared, filtered = clean(Path(folder), made, filtering=filtering)
        kept = {row["url"]: row for row in documents(prepared.artifact, ("url", "text"))}
        place = {}  # of rows, which the ledger names
        for shard in Corpus.open(prepared.artifact).shards:
            for row in shard.read(["url"]).to_pylist():
                place[shard.sha256, row["_row"]] = row["url"]
        entries: dict[str, list[dict[str, Any]]] = {}
        for entry in ledger(filtered.artifact):
            entries.setdefault(place[entry["shard"], entry["row"]], []).append(entry)
    for document in wanted:
        mine = entries.get(document.url, [])
        whole = [e["rule"] for e in mine if e["action"] == "removed"]
        if document.url not in kept:
            whole = ["language_not_kept"]
        at = 0
        lines = kept[document.url]["text"].split("\n") if document.url in kept else [""] * len(document.lines)
        if len(lines) != len(document.lines):
            raise ValueError(f"{document.url}: preprocess changed the number of lines")
        for (spam, text), line in zip(document.lines, lines, strict=True):
            end = at + len(line.encode())
            cut = [
                (min(end, e["end"]) - max(at, e["start"]), e["rule"]) for e in mine if e["action"] == "edited"
            ]
            gone = 1.0 if whole else sum(n for n, _ in cut if n > 0) / max(1, end - at)
            yield Judged(document, spam, text, gone, tuple(whole or [rule for n, rule in cut if n > 0]))
            at = end + 1


def figures(judged: list[Judged]) -> list[Any]:
    """Spam lines, clean lines, precision, recall, F1, documents without spam, of which whole."""
    hit = sum(j.spam and j.gone >= 0.5 for j in judged)
    wrong = sum(not j.spam and j.gone >= 0.5 for j in judged)
    spam = sum(j.spam for j in judged)
    precision, recall = hit / max(1, hit + wrong), hit / max(1, spam)
    by_document: dict[str, list[Judged]] = {}
    for j in judged:
        by_document.setdefault(j.document.url, []).append(j)
    ham = [lines for lines in by_document.values() if not any(j.spam for j in lines)]
    whole = sum(all(j.gone < 0.05 for j in lines) for lines in ham)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return [
        spam,
        len(judged) - spam,
        f"{precision:.3f}",
        f"{recall:.3f}",
        f"{f1:.3f}",
        f"{whole} of {len(ham)}",
    ]


def main(tuning: bool) -> None:
    """Print the table."""
    header = [
        "language",
        "spam lines",
        "clean lines",
        "precision",
        "recall",
        "F1",
        "clean documents untouched",
    ]
    rows = []
    for language in ("zh", "en"):
        wanted = [d for d in read(language) if d.held_out != tuning]
        judged = list(judge(wanted))
        rows.append([language, *figures(judged)])
        for j in judged if tuning else ():
            if (j.gone >= 0.5) != j.spam or (not j.spam and j.gone > 0):
                verdict = "MISSED" if j.spam else "WRONG"
                print(verdict, j.document.url, f"{j.gone:.0%}", ",".join(j.rules), j.text[:90])
    print(markdown(header, rows))


if __name__ == "__main__":
    main("--tuning" in sys.argv[1:])
