"""Scoring beside SentencePiece and KenLM called bare, on the same articles, one core.

    python -m benchmarks.speed.score [--root FOLDER] [--documents 300] [--rounds 5]

Bare is `kenlm.score(" ".join(sentencepiece.encode_as_pieces(line)))` for every line, which somebody else has
normalised and cut. Ours starts at the text: normalisation, lines, perplexity of documents and lines, features and
quality score, the columns that the step writes. CPU seconds, the best of the rounds, which take turns. The language
models are those of `benchmarks.quality.quality_score`.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.quality.chain import markdown
from benchmarks.quality.quality_score import ROOT, language_model, open_scorer
from benchmarks.speed.corpora import articles
from steps.score.config import Config
from steps.score.features import measure
from steps.score.measure import Measured, batches
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import normalise


def main() -> None:
    """Print the table for both languages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT / ".tokenmill" / "quality")
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows: list[tuple[str, str, str, str]] = []
    for language in ("zh", "en"):
        model, _ = language_model(arguments.root, language)
        scorer = open_scorer(model, arguments.root)
        texts = pa.array(articles(language)[: arguments.documents], pa.large_string())
        weights = Config().model_dump()["quality_weights"][language]
        reference = model.artifact.facts["reference"]
        rows += compare(language, texts, scorer, reference, weights, arguments.rounds)
    print(markdown(("language", "what", "MB/s per core", "of bare"), rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of the process, both mapped models and the articles included: {peak:.0f} MiB.")


def compare(
    language: str, texts: pa.Array, scorer: Scorer, reference: dict, weights: dict, rounds: int
) -> list[tuple[str, str, str, str]]:
    """One row per way."""
    sizes = np.diff(np.frombuffer(texts.buffers()[1], np.int64)[: len(texts) + 1])
    lines = normalise(texts).text

    def bare() -> None:
        score, encode = scorer.model.score, scorer.pieces.encode_as_pieces
        for line in lines:
            score(" ".join(encode(line)))

    def ours() -> None:
        found = Measured(len(texts))
        for batch in batches(np.arange(len(texts)), sizes):
            found.add(batch, texts.take(pa.array(batch)), language, scorer, reference, weights)
        found.line_table()

    ways: dict[str, Callable[[], object]] = {
        "SentencePiece + KenLM, bare": bare,
        "score: perplexity, lines, quality score": ours,
        "of it: normalising": lambda: normalise(texts),
        "of it: features": lambda: measure(texts, language),
    }
    for way in ways.values():
        way()  # compiled, and the model's pages are in memory
    best = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            way()
            best[name] = min(best[name], time.process_time() - began)
    megabytes, standard = int(sizes.sum()) / 1e6, best["SentencePiece + KenLM, bare"]
    return [
        (language, name, f"{megabytes / seconds:.2f}", f"{standard / seconds:.0%}")
        for name, seconds in best.items()
    ]


if __name__ == "__main__":
    main()
