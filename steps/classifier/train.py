"""Trains and measures a fastText model. No store, no config object."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from steps.core.errors import DataError
from steps.text.classifier import PREFIX

# floret (the maintained fastText with wheels for current Pythons) writes two numbers more than fastText does, behind
# the eleven settings dim … maxn: which of the two hash modes, and how many hashes. In fastText mode they mean nothing.
_MAGIC, _FLORET_FIELDS = 793712314, slice(52, 60)
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95)


def train(
    lines: Iterable[tuple[str, str]],
    folder: Path,
    *,
    dimension: int,
    word_ngrams: int,
    buckets: int,
    epochs: int,
    learning_rate: float,
    min_count: int,
    seed: int,
) -> bytes:
    """The model file, as fastText reads it, of (label, features) in the order given.

    One thread and a seed: the same lines give the same bytes. Raises DataError where fastText learns nothing.
    """
    import floret

    text, model = folder / "lines.txt", folder / "floret.bin"
    with text.open("w", encoding="utf-8") as out:
        for label, words in lines:
            out.write(f"{PREFIX}{label} {words}\n")
    try:
        trained = floret.train_supervised(
            str(text),
            dim=dimension,
            wordNgrams=word_ngrams,
            bucket=buckets,
            epoch=epochs,
            lr=learning_rate,
            minCount=min_count,
            minn=0,
            maxn=0,
            seed=seed,
            thread=1,
            verbose=0,
        )
    except (RuntimeError, ValueError) as error:
        raise DataError(f"fastText cannot learn from these texts: {' '.join(str(error).split())}") from None
    trained.save_model(str(model))
    data = model.read_bytes()
    text.unlink()
    model.unlink()
    return as_fasttext(data)


def as_fasttext(data: bytes) -> bytes:
    """floret's model file as fastText's, which every fastText program reads."""
    if int.from_bytes(data[:4], sys.byteorder) != _MAGIC or len(data) < _FLORET_FIELDS.stop:
        raise DataError("floret wrote something that is no model; is its version the pinned one?")
    return data[: _FLORET_FIELDS.start] + data[_FLORET_FIELDS.stop :]


def precision_recall(
    positive: np.ndarray, probability: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> list[dict[str, float]]:
    """Precision, recall and F1 at each threshold: positive bool[n], probability float64[n]."""
    figures = []
    for threshold in thresholds:
        chosen = probability > threshold
        hits = int((chosen & positive).sum())
        precision = hits / max(1, int(chosen.sum()))
        recall = hits / max(1, int(positive.sum()))
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        figures.append(
            {
                "threshold": threshold,
                "precision": round(precision, 4),
                "recall": round(recall, 4),
                "f1": round(f1, 4),
            }
        )
    return figures


def per_label(label: np.ndarray, said: np.ndarray) -> list[dict[str, Any]]:
    """Texts, precision, recall and F1 of each label: what each text is and what it was said to be, object[n]."""
    figures = []
    for name in sorted(set(label.tolist())):
        found = precision_recall(label == name, (said == name).astype(np.float64), (0.5,))[0]
        del found["threshold"]
        figures.append({"label": name, "texts": int((label == name).sum()), **found})
    return figures


def macro(figures: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Unweighted means over labels."""
    return {
        name: round(sum(entry[name] for entry in figures) / max(1, len(figures)), 4)
        for name in ("precision", "recall", "f1")
    }
