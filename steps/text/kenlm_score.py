"""Perplexity of text under SentencePiece + KenLM.

Formula (facebookresearch/cc_net@bda555b, perplexity.py): for each line s = log10 P(line with begin and end
marks) and n = pieces + 1; perplexity of a document = 10 ** (-sum s / sum n). What a line is, is said by the
normalisation that the model was trained with (steps/text/scorer_text.py); perplexities of one model compare with
each other only.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import kenlm
import numpy as np
import pyarrow as pa
import sentencepiece

from steps.text.scorer_text import NORMALISATION, NORMALISATIONS, WHOLE, normalise

DECIMALS = 4  # no C library's last bit of pow() enters a digest
LINES = 256  # cut into pieces at once: a call has a cost of its own, and more pieces do not fit the caches
CC_NET_DECIMALS = 1  # perplexity.py rounds to 0.1


class Scores(NamedTuple):
    """Scores of a batch: perplexity float64[documents], NaN for a text without a line to score.

    Of every line: its document (parent int64), surprise float64 = -s / n, the log10 of its perplexity, and its
    normalised UTF-8 bytes int64. No lines where the normalisation makes a document one line.
    """

    perplexity: np.ndarray
    parent: np.ndarray
    surprise: np.ndarray
    bytes: np.ndarray


class Scorer:
    """A SentencePiece model and a KenLM model, memory-mapped and shared by the processes that open them."""

    def __init__(
        self, sentencepiece_model: Path, kenlm_model: Path, normalisation: str = NORMALISATION
    ) -> None:
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation {normalisation!r} is none of {', '.join(NORMALISATIONS)}")
        self.normalisation = normalisation
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))
        config = kenlm.Config()
        config.load_method = kenlm.LoadMethod.LAZY
        config.show_progress = False
        self.model = kenlm.Model(str(kenlm_model), config)

    def line_scores(self, lines: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """(log10 probability with begin and end marks float64[n], pieces + 1 int64[n]) of normalised lines."""
        score, encode = self.model.score, self.pieces.encode
        total, pieces = np.empty(len(lines)), np.empty(len(lines), np.int64)
        for at in range(0, len(lines), LINES):
            encoded = encode(lines[at : at + LINES], out_type=str, num_threads=1)
            total[at : at + LINES] = [score(" ".join(line)) for line in encoded]
            pieces[at : at + LINES] = [len(line) + 1 for line in encoded]
        return total, pieces

    def score(self, texts: pa.Array | pa.ChunkedArray | list[str]) -> Scores:
        """Perplexity of each text and the surprise of each of its lines."""
        lines = normalise(texts, self.normalisation)
        if self.normalisation in WHOLE:
            none = np.empty(0, np.int64)
            return Scores(
                self._whole(len(texts), lines.text, lines.parent), none, none.astype(np.float64), none
            )
        scored = self.line_scores(lines.text)
        total, pieces = (np.bincount(lines.parent, column, len(texts)) for column in scored)
        return Scores(_perplexity(total, pieces, DECIMALS), lines.parent, -scored[0] / scored[1], lines.bytes)

    def _whole(self, documents: int, lines: list[str], parent: np.ndarray) -> np.ndarray:
        """Perplexities as perplexity.py's DocLM gives them: pieces are counted after joining, rounded to 0.1."""
        total, pieces = np.zeros(documents), np.zeros(documents, np.int64)
        for document, line in zip(parent.tolist(), lines, strict=True):
            joined = " ".join(self.pieces.encode_as_pieces(line))
            if joined:
                total[document] += self.model.score(joined)
                pieces[document] += len(joined.split()) + 1
        return _perplexity(total, pieces, CC_NET_DECIMALS)

    def perplexities(self, texts: pa.Array | pa.ChunkedArray | list[str]) -> np.ndarray:
        """float64[texts], rounded to 1e-4 (0.1 as cc_net does it); NaN for a text without a line to score."""
        return self.score(texts).perplexity


def _perplexity(total: np.ndarray, pieces: np.ndarray, decimals: int) -> np.ndarray:
    """float64[n] of 10 ** (-total / pieces), NaN for no pieces. Python's pow: NumPy's differs between CPUs."""
    out = np.full(len(total), math.nan)
    for i in np.flatnonzero(pieces).tolist():
        out[i] = round(10.0 ** (-float(total[i]) / float(pieces[i])), decimals)
    return out
