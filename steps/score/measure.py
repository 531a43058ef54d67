"""Batches of documents through the scorer and the quality model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from steps.score.quality import line_features, measure, quality_scores
from steps.text.kenlm_score import Scorer, Scores

BATCH, BATCH_BYTES = 500, 8 << 20  # documents and text held as Python strings at once


class Measured:
    """What is known of one shard's kept documents, filled in batch by batch."""

    def __init__(self, documents: int) -> None:
        self.perplexity, self.quality_score, self.spread = (np.full(documents, np.nan) for _ in range(3))
        self.failed = np.zeros(documents, dtype=bool)
        self._lines: list[pa.Table] = []

    def add(
        self,
        rows: np.ndarray,
        texts: pa.ChunkedArray,
        language: str,
        scorer: Scorer,
        reference: dict[str, Any] | None,
        weights: dict[str, Any] | None,
    ) -> None:
        """Measure `texts`, which are the documents `rows`; a text at which a library raises fails alone."""
        try:
            scores = scorer.score(texts)
        except MemoryError:
            raise
        except Exception:  # whatever a library raises on a text: find the text
            if len(rows) == 1:
                self.failed[rows] = True
                return
            for i in range(len(rows)):
                self.add(rows[i : i + 1], texts.slice(i, 1), language, scorer, reference, weights)
            return
        self.perplexity[rows] = scores.perplexity
        limit = 0.0 if len(scores.parent) else None
        self.spread[rows] = np.round(line_features(len(rows), scores, limit)[0], 4)
        if reference is not None and weights is not None:
            self.quality_score[rows] = quality_scores(measure(texts, language, scores, reference), weights)
        self._lines.append(_line_rows(rows, scores))

    def line_table(self) -> pa.Table:
        """document (index among the kept ones), surprise, bytes: one row per scored line."""
        empty = _line_rows(np.empty(0, np.int64), Scores(*(np.empty(0, np.int64) for _ in range(4))))
        return pa.concat_tables([empty, *self._lines])


def _line_rows(rows: np.ndarray, scores: Scores) -> pa.Table:
    return pa.table(
        {
            "document": pa.array(rows[scores.parent].astype(np.int32)),
            "surprise": pa.array(scores.surprise.astype(np.float32)),
            "bytes": pa.array(scores.bytes.astype(np.int32)),
        }
    )


def batches(rows: np.ndarray, sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Runs of rows of at most BATCH documents and BATCH_BYTES of text; a larger document is alone."""
    first, total = 0, 0
    for i, size in enumerate(sizes[rows].tolist()):
        if i > first and (i - first >= BATCH or total + size > BATCH_BYTES):
            yield rows[first:i]
            first, total = i, 0
        total += size
    yield rows[first:]
