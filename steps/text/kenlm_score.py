"""Perplexity of text under SentencePiece + KenLM, with the one normalisation of training and scoring.

Formula (facebookresearch/cc_net@bda555b, perplexity.py): for each line s = log10 P(line with begin and end
marks) and n = pieces + 1; perplexity of a document = 10 ** (-sum s / sum n).

Normalisation `ccnet_lines_v1`: lower case, accents stripped, every decimal digit to `0`, punctuation to
ASCII, control characters removed, space at both ends removed. It differs from cc_net in three points:
lines stay lines (cc_net deletes `\\n`, which glues the last word of a line to the first of the next),
tabs and line separators become a space, and U+FF11 becomes `0` instead of a quotation mark.
Measured difference: perplexities of one model compare with each other only.
"""

from __future__ import annotations

import math
from pathlib import Path

import kenlm
import numpy as np
import pyarrow as pa
import sentencepiece

from steps.text.jit import njit
from steps.text.segment import decode, text_buffers
from steps.text.unicode_tables import scorer_map

NORMALISATION = "ccnet_lines_v1"


@njit
def _normalised_size(data, offsets, map_length):
    size = 0
    for document in range(len(offsets) - 1):
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            point, width = decode(data, at, stop)
            length = map_length[point]
            size += width if length < 0 else length
            at += width
    return size


@njit
def _normalise(data, offsets, map_offset, map_length, map_bytes, out, out_offsets):
    size = 0
    for document in range(len(offsets) - 1):
        out_offsets[document] = size
        at, stop = offsets[document], offsets[document + 1]
        while at < stop:
            point, width = decode(data, at, stop)
            length = map_length[point]
            if length < 0:
                for i in range(at, at + width):
                    out[size] = data[i]
                    size += 1
            else:
                first = map_offset[point]
                for i in range(first, first + length):
                    out[size] = map_bytes[i]
                    size += 1
            at += width
    out_offsets[len(offsets) - 1] = size
    return size


def normalise_lines(texts: pa.Array | pa.ChunkedArray | list[str]) -> list[list[str]]:
    """For each text its normalised lines, empty ones left out. Training and scoring both call this."""
    if isinstance(texts, list):
        texts = pa.array(texts, pa.large_string())
    data, offsets = text_buffers(texts)
    map_offset, map_length, map_bytes = scorer_map()
    out = np.empty(_normalised_size(data, offsets, map_length), np.uint8)
    out_offsets = np.empty(len(offsets), np.int64)
    _normalise(data, offsets, map_offset, map_length, map_bytes, out, out_offsets)
    whole = out.tobytes()
    return [
        [line for line in map(str.strip, whole[a:b].decode().split("\n")) if line]
        for a, b in zip(out_offsets[:-1].tolist(), out_offsets[1:].tolist(), strict=True)
    ]


class Scorer:
    """A SentencePiece model and a KenLM model, memory-mapped and shared by the processes that open them."""

    def __init__(self, sentencepiece_model: Path, kenlm_model: Path) -> None:
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_model))
        config = kenlm.Config()
        config.load_method = kenlm.LoadMethod.LAZY
        config.show_progress = False
        self.model = kenlm.Model(str(kenlm_model), config)

    def line_scores(self, lines: list[str]) -> list[tuple[float, int]]:
        """(log10 probability with begin and end marks, pieces + 1) of each normalised line."""
        score = self.model.score
        encoded = self.pieces.encode(lines, out_type=str, num_threads=1)
        return [(score(" ".join(pieces)), len(pieces) + 1) for pieces in encoded]

    def perplexities(self, texts: pa.Array | pa.ChunkedArray | list[str]) -> np.ndarray:
        """float64[texts], rounded to 1e-4; NaN for a text without a line to score."""
        documents = normalise_lines(texts)
        scores = self.line_scores([line for document in documents for line in document])
        out, at = np.full(len(documents), math.nan), 0
        for i, document in enumerate(documents):
            part = scores[at : at + len(document)]
            at += len(document)
            if part:
                # fsum: independent of order; rounded: no C library's last bit of pow() enters a digest
                out[i] = round(10.0 ** (-math.fsum(s for s, _ in part) / sum(n for _, n in part)), 4)
        return out
