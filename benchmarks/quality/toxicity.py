"""Toxicity: the trained classifier, the lexicon and both, on COLD comments that the classifier never saw.

    python -m benchmarks.quality.toxicity [root to keep the artifacts in]

A fifth of COLD's train split, chosen by hash, is the test set (its own test split is not in the shared data); the rest
goes through ingest, preprocess and the step `classifier` beside zh Wikipedia as background. False alarms are counted
on sentences of clean sets, of Wikipedia those documents that were not trained on.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from benchmarks.quality.chain import Records, ingest, markdown, read_csv, read_jsonl, shared
from steps.core.step import Outcome, run_step
from steps.filter.config import Config
from steps.filter.rules import add_above, outside
from steps.filter.signals import compile_words, measure
from steps.text.classifier import Classifier

BACKGROUND = 3000  # Wikipedia documents that the classifier may take lines from
CLEAN = 300  # documents of each clean set
LEXICON = ("s01_abuse_v1", "s01_violence_v1", "s01_adult_v2")


def is_test(text: str) -> bool:
    """A fifth of all texts; another hash than the step's, so that its own held-out tenth is not this one."""
    return xxhash.xxh3_64_intdigest(text.encode(), seed=20) % 5 == 0


def train(root: Path, rows: Sequence[dict[str, str]]) -> Outcome:
    """The classifier artifact that the real steps make of COLD rows and of Wikipedia."""
    wiki = [{"text": row["text"]} for row in read_jsonl(shared("wiki_zh/train.jsonl.gz"))][:BACKGROUND]
    made = ingest(
        root,
        {
            "cold": Records("supervised", rows, {"prompt": "TEXT", "response": "label"}),
            "wiki_zh": Records("reference", wiki, {"text": "text"}),
        },
    )
    store = f"file://{root}"
    prepared = run_step("preprocess", config={}, inputs={"corpus": made.ref}, root=store)
    return run_step("classifier", config={}, inputs={"corpus": prepared.ref}, root=store)


def lexicon(texts: Sequence[str], languages: Sequence[str]) -> np.ndarray:
    """bool[texts]: a sentence rule of the lexicon fires somewhere in the text."""
    config = Config()
    found = measure(pa.array(texts, pa.large_string()), list(languages), compile_words(config))
    add_above(config.rules, found)
    document = found.lines.parent[found.sentences.parent]
    fired = np.zeros(len(texts), dtype=bool)
    for rule in config.rules:
        if rule.id in LEXICON:
            fired[document[outside(rule, found.sentence)]] = True
    return fired


def figures(toxic: np.ndarray, chosen: np.ndarray) -> list[str]:
    """Precision, recall, F1."""
    hits = int((toxic & chosen).sum())
    precision, recall = hits / max(1, int(chosen.sum())), hits / max(1, int(toxic.sum()))
    return [f"{v:.3f}" for v in (precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))]


def clean_sentences(name: str, file: str, skip: int, language: str) -> tuple[str, list[str]]:
    """(set, its sentences), of documents behind the first `skip`."""
    rows = [r["text"] for r in read_jsonl(shared(file)) if not language or r["lang"] == language]
    return name, [
        s for text in rows[skip : skip + CLEAN] for s in text.replace("。", "。\n").split("\n") if len(s) > 9
    ]


def main(root: str = "") -> None:
    """Train, and print both tables."""
    rows = read_csv(shared("tox_cold_zh/train.csv.gz"))
    rest = [row for row in rows if not is_test(row["TEXT"])]
    test = [row for row in rows if is_test(row["TEXT"])]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(root or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        made = train(folder, rest)
        path = folder / "model.bin"
        path.write_bytes(made.artifact.read_bytes(made.artifact.file("model.bin")))
        model = Classifier(path, "1")
    texts = [row["TEXT"] for row in test]
    toxic = np.array([row["label"] == "1" for row in test])
    probability, words = model.probabilities(texts), lexicon(texts, ["zh"] * len(texts))
    table: list[list[Any]] = [["lexicon (rules s01)", *figures(toxic, words)]]
    for bound in (0.5, 0.9):
        table.append([f"classifier > {bound}", *figures(toxic, probability > bound)])
        table.append([f"lexicon or classifier > {bound}", *figures(toxic, words | (probability > bound))])
    print(f"{len(test)} COLD comments, {toxic.mean():.1%} offensive; trained on {made.facts['texts']}\n")
    print(markdown(["detector", "precision", "recall", "F1"], table), "\n")
    alarms = []
    for name, sentences in (
        clean_sentences("wiki_zh", "wiki_zh/train.jsonl.gz", BACKGROUND, ""),
        clean_sentences("lctt zh", "lctt_opensource/lctt_opensource_zh_en.jsonl.gz", 0, "zh"),
        clean_sentences("laws_zh", "laws_zh/laws.jsonl.gz", 0, ""),
        clean_sentences("dureader_web_zh (unjudged web)", "dureader_web_zh/docs.jsonl.gz", 0, ""),
        clean_sentences("wiki_en", "wiki_en/train.jsonl.gz", 0, ""),
    ):
        began = time.process_time()
        found = model.probabilities(sentences)
        speed = sum(len(s.encode()) for s in sentences) / 1e6 / (time.process_time() - began)
        flagged = lexicon(sentences, ["en" if name.endswith("en") else "zh"] * len(sentences))
        alarms.append(
            [name, len(sentences), f"{(found > 0.9).mean():.3%}", f"{flagged.mean():.3%}", f"{speed:.1f}"]
        )
    print(markdown(["set", "sentences", "classifier > 0.9", "lexicon", "classifier MB/s per core"], alarms))


if __name__ == "__main__":
    main(*sys.argv[1:])
