"""How many documents of clean sets survive preprocess + filter, and which rules hit them.

    python -m benchmarks.quality.survival [documents per set, default 400] [root to keep the artifacts in]

Every set is somebody else's (shared data); documents are spread evenly over each file. Bar: 97 %.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.quality.chain import Records, clean, ingest, ledger, markdown, read_jsonl, shared

BAR = 0.97
LCTT = "lctt_opensource/lctt_opensource_zh_en.jsonl.gz"
SETS = {  # source name: file, wanted language of the file's field `lang`, kind
    "wiki_zh": ("wiki_zh/train.jsonl.gz", "", "reference"),
    "wiki_en": ("wiki_en/train.jsonl.gz", "", "reference"),
    "laws_zh": ("laws_zh/laws.jsonl.gz", "", "law"),
    "lctt_zh": (LCTT, "zh", "reference"),
    "lctt_en": (LCTT, "en", "reference"),
    "lctt_zh_as_web": (LCTT, "zh", "web"),
    "lctt_en_as_web": (LCTT, "en", "web"),
    "wiki_zh_as_web": ("wiki_zh/train.jsonl.gz", "", "web"),
    "wiki_en_as_web": ("wiki_en/train.jsonl.gz", "", "web"),
    "laws_zh_as_web": ("laws_zh/laws.jsonl.gz", "", "web"),
    "oi_wiki_zh": ("oi_wiki_zh/docs.jsonl.gz", "", "code"),
    "oi_wiki_zh_as_web": ("oi_wiki_zh/docs.jsonl.gz", "", "web"),
}


def sample(name: str, limit: int) -> Records:
    """At most `limit` documents of a set, evenly spaced over its file."""
    file, language, kind = SETS[name]
    rows = [
        {"text": row["text"], "url": row.get("url") or f"{name}/{number}"}
        for number, row in enumerate(read_jsonl(shared(file)))
        if row["text"].strip() and (not language or row["lang"] == language)
    ]
    step = max(1, len(rows) // limit)
    return Records(kind, rows[::step][:limit], {"text": "text", "url": "url"})


def main(limit: int = 400, root: str = "") -> None:
    """Print the table."""
    dropped = {name: Counter[str]() for name in SETS}
    edited = {name: Counter[str]() for name in SETS}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(root or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        prepared, filtered = clean(folder, ingest(folder, {name: sample(name, limit) for name in SETS}))
        for outcome in (prepared, filtered):
            for entry in ledger(outcome.artifact):
                (edited if entry["action"] == "edited" else dropped)[entry["source"]][entry["rule"]] += 1
    rows: list[list[Any]] = []
    for name in SETS:
        before = tally(prepared.counts.groups, name, "input")
        after = tally(filtered.counts.groups, name, "kept")
        written = tally(filtered.counts.groups, name, "written")
        rows.append(
            [
                name,
                SETS[name][2],
                before[0],
                f"{after[0] / before[0]:.1%}" + ("" if after[0] >= BAR * before[0] else " (below the bar)"),
                f"{written[1] / max(after[1], 1):.2%}",
                ", ".join(f"{rule} {n}" for rule, n in dropped[name].most_common(6)) or "-",
                ", ".join(f"{rule} {n}" for rule, n in edited[name].most_common(4)) or "-",
            ]
        )
    header = [
        "set",
        "kind",
        "documents",
        "survive",
        "bytes left of survivors",
        "dropped by",
        "spans removed by",
    ]
    print(markdown(header, rows))


def tally(groups: Any, source: str, name: str) -> tuple[int, int]:
    """(documents, bytes) of a source over its languages."""
    mine = [getattr(group, name) for key, group in groups.items() if key.rpartition("|")[0] == source]
    return sum(t.documents for t in mine), sum(t.bytes for t in mine)


if __name__ == "__main__":
    main(*(int(a) if a.isdigit() else a for a in sys.argv[1:]))  # type: ignore[arg-type]
