"""Scoring survives what crawls bring: no crash, no text that is not accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from steps.score.features import FEATURES, measure
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import NORMALISATIONS, normalise
from tests.fuzz import FUZZ_INPUTS, mutations
from tests.steps.language_model.corpora import chinese, english

SEEDS = [
    english(1, 5).encode(),
    chinese(2, 5).encode(),
    "• Home\n• Über 2024 １\n\n“Σίσυφος” 한국어 — x…\t\u2028\x85https://a.b/c?d=e&f=".encode(),
    b"\n \n" + b"aa bb " * 200,
]
BATCH = 200


def decoded(data: bytes) -> str:
    """As ingest hands a text on: valid UTF-8."""
    return data.decode("utf-8", "replace")


@pytest.mark.fuzz
def test_any_text_is_normalised_and_measured() -> None:
    texts = [decoded(data) for data in mutations(SEEDS)]
    assert len(texts) == FUZZ_INPUTS
    for at in range(0, len(texts), BATCH):
        batch = pa.array(texts[at : at + BATCH], pa.large_string())
        for name in NORMALISATIONS:
            lines = normalise(batch, name)
            assert [len(line.encode()) for line in lines.text] == lines.bytes.tolist()
            assert not any("\n" in line for line in lines.text)
            assert (np.diff(lines.parent) >= 0).all() and (lines.parent < len(batch)).all()
        for language in ("en", "zh"):
            found = measure(batch, language)
            shares = [name.endswith("_share") for name in FEATURES]
            assert (
                np.isfinite(found).all() and (found[:, shares] >= 0).all() and (found[:, shares] <= 1).all()
            )


@pytest.mark.fuzz
def test_any_text_has_a_perplexity_or_no_line(scorer_files: tuple[Path, Path]) -> None:
    scorers = [Scorer(*scorer_files, normalisation=name) for name in NORMALISATIONS]
    texts = [decoded(data) for data in mutations(SEEDS, FUZZ_INPUTS // 10, seed=1)]
    for scorer in scorers:
        for at in range(0, len(texts), BATCH):
            batch = texts[at : at + BATCH]
            scores = scorer.score(batch)
            lines = normalise(batch, scorer.normalisation)
            scored = np.bincount(lines.parent, minlength=len(batch)) > 0
            assert (scores.perplexity[~np.isnan(scores.perplexity)] >= 1).all()
            assert np.isnan(scores.perplexity[~scored]).all()
            if scorer.normalisation == NORMALISATIONS[0]:
                assert not np.isnan(scores.perplexity[scored]).any()
