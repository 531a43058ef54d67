"""What the gate's automatic readers find: own and independent seeded defects, and alarms on clean texts.

    python -m benchmarks.quality.readers [--documents 100]

`own` are the seeds that evaluate mixes in by default; the detectors were made with them at hand. `tuning` and
`held-out` are the halves of steps/evaluate/seeds, written without sight of the detectors; only the first was looked at
when detectors were improved. Found is a document in which any reader finds anything, as the gate counts it; in brackets
where the reader of the class itself does. Hosts are the demo's clean texts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from steps.core.policy import DEFECT_CLASSES
from steps.evaluate import independent, seeding
from steps.evaluate.detectors import read_batch

TEXTS = Path(__file__).parents[2] / "demo" / "texts"
KINDS = ("own", "tuning", "held-out")


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
        else:
            half: independent.Half = "tuning" if kind == "tuning" else "held-out"
            result.append(independent.inject(defect, text, language, seed, near, half))
    return result


def sensitivity(defect: str, language: str, kind: str, texts: list[str]) -> tuple[float, float]:
    """(share with any finding, share with a finding of the class)."""
    found = read_batch(seeded(defect, language, kind, texts), [language] * len(texts))
    own = sum(defect in [f.defect for f in findings] for findings in found)
    return sum(map(bool, found)) / len(texts), own / len(texts)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100, help="hosts per language and class")
    options = parser.parse_args(arguments)
    columns = [(language, kind) for language in ("zh", "en") for kind in KINDS]
    texts = {language: clean_texts(language, options.documents) for language in ("zh", "en")}
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
