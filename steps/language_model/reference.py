"""How a scorer finds good text that it was not trained on: what `score` compares a document with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from steps.text.kenlm_score import Scorer

# Own choices: 50 documents give the median to about 0.15 of the spread, 2,000 cost seconds.
WANTED, ENOUGH, MOST = 50, 10, 2_000
LEAST_SHARE, LARGEST_SHARE = 20, 4  # every 20th document is held out, at most every 4th
LEAST_WIDTH = 0.05  # of log10 perplexity; a corpus of copies has none
BATCH = 100


def hold_out_every(documents: int) -> int:
    """Every how many-th document is kept from training, so that about WANTED are, and at most MOST."""
    every = min(LEAST_SHARE, max(LARGEST_SHARE, documents // WANTED))
    return max(every, -(-documents // MOST))


def reference(scorer: Scorer, batches: Iterable[pa.Array | pa.ChunkedArray]) -> dict[str, Any] | None:
    """log10 perplexities of reference texts: surprise (median), width (10 % to 90 %), line (90 % of its lines).

    line is None where the normalisation makes a document one line. None for fewer than ENOUGH texts.
    """
    documents, lines = [np.empty(0)], [np.empty(0)]
    for texts in batches:
        for at in range(0, len(texts), BATCH):
            scores = scorer.score(texts.slice(at, BATCH))
            documents.append(np.log10(scores.perplexity[~np.isnan(scores.perplexity)]))
            lines.append(scores.surprise)
    measured, by_line = np.concatenate(documents), np.concatenate(lines)
    if len(measured) < ENOUGH:
        return None
    low, middle, high = np.quantile(measured, [0.1, 0.5, 0.9]).tolist()
    return {
        "documents": len(measured),
        "surprise": round(middle, 4),
        "width": round(max(high - low, LEAST_WIDTH), 4),
        "line": round(float(np.quantile(by_line, 0.9)), 4) if len(by_line) else None,
    }
