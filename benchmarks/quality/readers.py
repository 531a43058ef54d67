"""What the gate's automatic readers find: own and independent seeded defects, and alarms on clean texts.

    python -m benchmarks.quality.readers [--documents 100] [--filter]

`own` are the seeds that evaluate mixes in by default; the detectors were made with them at hand. `tuning` and
`held-out` are the halves of steps/evaluate/seeds, written without sight of the detectors; only the first was looked at
when detectors were improved. Found is a document in which any reader finds anything, as the gate counts it; in brackets
where the reader of the class itself does. Hosts are the demo's clean texts. Below: clean texts of
shared data in which something is found.

--filter sends the held-out documents through preprocess and filter instead, and shows how far the readers fail where
the filter fails: what they find among documents that the filter touched and among those that it left alone, and phi,
the correlation of the two. Independent readers have phi 0; the gate needs them to find what the filter missed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.quality import third_hand
from benchmarks.quality.chain import Records, clean, ingest, read_jsonl, shared
from benchmarks.quality.chain import documents as kept_rows
from steps.core.policy import DEFECT_CLASSES
from steps.evaluate import independent, seeding
from steps.evaluate.detectors import read_batch

TEXTS = Path(__file__).parents[2] / "demo" / "texts"
KINDS = ("own", "tuning", "held-out", "third")


def clean_texts(language: str, most: int) -> list[str]:
    """The demo's texts of a language in which no reader finds anything."""
    lines = (TEXTS / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")[:most]
    texts = [json.loads(line)["text"] for line in lines if line]
    found = read_batch(texts, [language] * len(texts))
    return [text for text, findings in zip(texts, found, strict=True) if not findings]


def seeded(defect: str, language: str, kind: str, texts: list[str]) -> list[str]:
    """Each text with one defect."""
    result = []
    for number, text in enumerate(texts):
        near = (texts[number + 1 :] + texts[:number])[:11]
        seed = f"readers-{number}"
        if kind == "own":
            result.append(seeding.inject(defect, text, language, seed, near))
        elif kind == "third":
            result.append(third_hand.inject(defect, text, language, seed, near))
        else:
            half: independent.Half = "tuning" if kind == "tuning" else "held-out"
            result.append(independent.inject(defect, text, language, seed, near, half))
    return result


def sensitivity(defect: str, language: str, kind: str, texts: list[str]) -> tuple[float, float]:
    """(share with any finding, share with a finding of the class)."""
    found = read_batch(seeded(defect, language, kind, texts), [language] * len(texts))
    own = sum(defect in [f.defect for f in findings] for findings in found)
    return sum(map(bool, found)) / len(texts), own / len(texts)


CLEAN = {  # name: file and language; texts that people wrote and others looked over
    "wiki_zh": ("wiki_zh/train.jsonl.gz", "zh"),
    "wiki_en": ("wiki_en/train.jsonl.gz", "en"),
    "laws_zh": ("laws_zh/laws.jsonl.gz", "zh"),
    "oi_wiki_zh": ("oi_wiki_zh/docs.jsonl.gz", "zh"),
    "lctt_zh": ("lctt_opensource/lctt_opensource_zh_en.jsonl.gz", "zh"),
    "lctt_en": ("lctt_opensource/lctt_opensource_zh_en.jsonl.gz", "en"),
}


def alarms(name: str, most: int) -> tuple[int, Counter[str], int]:
    """(documents with a finding, findings by class, documents read) of the first ``most`` of a clean set."""
    file, language = CLEAN[name]
    records = (r for r in read_jsonl(shared(file)) if r.get("lang", language) == language)
    texts = [record["text"] for record in itertools.islice(records, most)]
    found = read_batch(texts, [language] * len(texts))
    return sum(map(bool, found)), Counter(f.defect for findings in found for f in findings), len(texts)


def touched(documents: list[tuple[str, str]]) -> list[bool]:
    """Whether preprocess or filter removed or edited each (language, text)."""
    rows = [{"text": text, "url": f"readers/{number}"} for number, (_, text) in enumerate(documents)]
    with tempfile.TemporaryDirectory() as folder:
        made = ingest(Path(folder), {"readers": Records("web", rows, {"text": "text", "url": "url"})})
        _, filtered = clean(Path(folder), made)
        after = {row["url"]: row["text"] for row in kept_rows(filtered.artifact, ("url", "text"))}
    squeeze = str.maketrans("", "", " \n\t\u3000")
    return [after.get(row["url"], "").translate(squeeze) != row["text"].translate(squeeze) for row in rows]


def phi(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two bool arrays; 0 where one is constant."""
    return float(np.corrcoef(a, b)[0, 1]) if 0 < a.mean() < 1 and 0 < b.mean() < 1 else 0.0


def against_filter(texts: dict[str, list[str]]) -> None:
    """The table of --filter."""
    print("| class | documents | filter touched | readers found of these | of the others | phi |")
    print("|---|---:|---:|---:|---:|---:|")
    rows = []
    for defect in DEFECT_CLASSES:
        for language in ("zh", "en"):
            rows += [(defect, language, t) for t in seeded(defect, language, "held-out", texts[language])]
    found = np.array([bool(f) for f in read_batch([t for *_, t in rows], [name for _, name, _ in rows])])
    gone = np.array(touched([(language, text) for _, language, text in rows]))
    names = np.array([defect for defect, *_ in rows])
    for defect in (*DEFECT_CLASSES, "all"):
        mine = names == defect if defect != "all" else np.ones(len(names), bool)
        hit, cut = found[mine], gone[mine]
        shares = [f"{hit[which].mean():.1%}" if which.any() else "-" for which in (cut, ~cut)]
        print(
            f"| {defect} | {mine.sum()} | {cut.mean():.1%} | {shares[0]} | {shares[1]} | {phi(hit, cut):+.2f} |"
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100, help="hosts per language and class")
    parser.add_argument("--clean", type=int, default=400, help="documents of each clean set")
    parser.add_argument("--filter", action="store_true", help="compare with what preprocess and filter find")
    options = parser.parse_args(arguments)
    columns = [(language, kind) for language in ("zh", "en") for kind in KINDS]
    texts = {language: clean_texts(language, options.documents) for language in ("zh", "en")}
    if options.filter:
        against_filter(texts)
        return 0
    print("| class |", " | ".join(f"{language} {kind}" for language, kind in columns), "|")
    print("|---" * (1 + len(columns)) + "|")
    totals = dict.fromkeys(columns, 0.0)
    for defect in DEFECT_CLASSES:
        cells = []
        for language, kind in columns:
            found, own = sensitivity(defect, language, kind, texts[language])
            totals[language, kind] += found / len(DEFECT_CLASSES)
            cells.append(f"{found:.1%} ({own:.0%})")
        print(f"| {defect} |", " | ".join(cells), "|", flush=True)
    print("| mean |", " | ".join(f"{totals[column]:.1%}" for column in columns), "|")
    print("\n| clean texts | read | with a finding | share | classes |\n|---|---:|---:|---:|---|")
    for name in CLEAN:
        wrong, classes, read = alarms(name, options.clean)
        named = ", ".join(f"{defect} {count}" for defect, count in classes.most_common())
        print(f"| {name} | {read} | {wrong} | {wrong / read:.2%} | {named} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
