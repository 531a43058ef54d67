"""fastText classifiers of short texts: the same features where one is trained and where it is used."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

MAX_CHARACTERS = 20_000  # of a text that are looked at (bounds time; a toxic passage is one text of its own)
PREFIX = "__label__"
# Every character of a script without spaces is a word, and so is every mark. The underscore goes, so that no text can
# name a label (fastText reads `__label__…` inside a text as one).
_SINGLE = re.compile(r"([\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]|[^\w\s])")
_GONE = re.compile(r"[_\s\x00]+")


def features(text: str) -> str:
    """Words with one space between them: compatibility forms folded, lower case, ideographs and marks apart."""
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).lower()
    return _GONE.sub(" ", _SINGLE.sub(r" \1 ", folded)).strip()


class Classifier:
    """A trained model file and, for `probabilities`, the label whose probability is wanted."""

    def __init__(self, path: Path, label: str = "") -> None:
        import fasttext  # fasttext-predict: prediction only, no NumPy

        self._model: Any = fasttext.load_model(str(path))
        self._label = PREFIX + label

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float64[texts]: probability of the label; 0 for texts in which no word is known."""
        predict = self._model.f.predict  # the wrapper would look for line ends, which `features` has removed
        out = np.zeros(len(texts))
        for i, text in enumerate(texts):
            for probability, label in predict(features(text) + "\n", -1, 0.0, "strict"):
                if label == self._label:
                    out[i] = probability
        return np.clip(out, 0.0, 1.0)

    def labels(self, texts: Sequence[str]) -> list[str]:
        """The most probable label of each text; empty for texts in which no word is known."""
        predict = self._model.f.predict
        found = (predict(features(text) + "\n", 1, 0.0, "strict") for text in texts)
        return [labels[0][1].removeprefix(PREFIX) if labels else "" for labels in found]
