"""Perplexities beside kenlm's own on the same pieces, and what the choice of normalisation changes.

    python -m benchmarks.quality.perplexity [--root FOLDER] [--documents 300]

kenlm's own: `Model.score` of each line by the published formula, which adds up in float32; and the sum of its
`full_scores` of single pieces in float64. That the
normalisations `cc_net` and `edugp` give the published programs' perplexities to the digit is a test
(tests/steps/language_model/test_import.py).
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.quality.chain import markdown
from benchmarks.quality.quality_score import ROOT, language_model, open_scorer
from benchmarks.speed.corpora import articles
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import normalise_lines


def main() -> None:
    """Print the table for both languages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=ROOT / ".tokenmill" / "quality")
    parser.add_argument("--documents", type=int, default=300)
    arguments = parser.parse_args()
    rows = []
    for language in ("zh", "en"):
        scorer = open_scorer(language_model(arguments.root, language)[0], arguments.root)
        texts = articles(language)[: arguments.documents]
        by_line = scorer.perplexities(texts)
        own = np.array([kenlm_perplexities(scorer, lines) for lines in normalise_lines(texts)])
        glued = copy.copy(scorer)
        glued.normalisation = "cc_net"
        whole = glued.perplexities(texts)
        rows.append(
            (
                language,
                len(texts),
                f"{np.abs(by_line - own[:, 0]).max():.1e}",
                f"{np.abs(by_line / own[:, 1] - 1).max():.1e}",
                f"{np.median(by_line):.1f}",
                f"{np.median(whole):.1f}",
                f"{spearmanr(by_line, whole).statistic:.3f}",
            )
        )
    header = (
        "language",
        "texts",
        "largest difference from kenlm",
        "relative, from its scores of pieces",
        "median by line",
        "glued as cc_net",
        "rank correlation",
    )
    print(markdown(header, rows))


def kenlm_perplexities(scorer: Scorer, lines: list[str]) -> tuple[float, float]:
    """10 ** (-sum of log10 P / pieces and line ends), from kenlm's scores of lines, and of single pieces."""
    cut = [" ".join(scorer.pieces.encode(line, out_type=str)) for line in lines]
    pieces = [score for line in cut for score, _, _ in scorer.model.full_scores(line)]
    if not pieces:
        return math.nan, math.nan
    total = sum(scorer.model.score(line) for line in cut)
    return 10.0 ** (-total / len(pieces)), 10.0 ** (-math.fsum(pieces) / len(pieces))


if __name__ == "__main__":
    main()
