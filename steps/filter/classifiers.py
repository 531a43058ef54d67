"""Signals of trained classifiers (step `classifier`), where the filter is given any."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from steps.core.artifact import Artifact
from steps.core.errors import DataError
from steps.core.parts import open_artifact
from steps.filter.names import CLASSIFIER
from steps.filter.signals import DECIMALS, Measured
from steps.text.classifier import Classifier

LIKELY = 0.5  # probability above which a sentence counts in the document's share


@functools.lru_cache(maxsize=8)
def load(reference: str) -> Classifier:
    """The model of a classifier artifact; loaded once per process. Raises DataError where it holds none."""
    artifact: Artifact = open_artifact(reference)
    files = artifact.files("classifier")
    if not files:
        raise DataError(
            f"{artifact.reference.uri} holds no model: its corpus had no labelled records; "
            "take it out of the inputs of filter"
        )
    if files[0].meta["label"] is None:
        raise DataError(
            f"{artifact.reference.uri} tells labels apart, such as topics for mix, and has no signal; take it out of "
            "the inputs of filter"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(artifact.read_bytes(files[0]))
        return Classifier(path, files[0].meta["label"])


def add_classifiers(measured: Measured, models: dict[str, Classifier]) -> None:
    """Adds classifier_<name>: per sentence the probability of the label, per line the largest of its sentences, per
    document the share of its characters in sentences with a probability above 0.5.
    """
    sentences, data = measured.sentences, measured.data.tobytes() if models else b""
    for name, model in models.items():
        texts = [
            data[start:end].decode(errors="ignore")
            for start, end in zip(sentences.start.tolist(), sentences.end.tolist(), strict=True)
        ]
        probability = np.round(model.probabilities(texts), DECIMALS)
        line = np.zeros(len(measured.lines.parent))
        np.maximum.at(line, sentences.parent, probability)
        documents = len(measured.document["characters"])
        characters = measured.sentence["characters"] * (probability > LIKELY)
        likely = np.bincount(measured.lines.parent[sentences.parent], weights=characters, minlength=documents)
        share = np.round(likely / np.maximum(measured.document["characters"], 1), DECIMALS)
        signal = CLASSIFIER + name
        measured.sentence[signal], measured.paragraph[signal], measured.document[signal] = (
            probability,
            line,
            share,
        )
