"""A scorer trained on real articles ranks texts as a reader would."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

from steps.core.config import Runtime
from steps.core.step import run_step
from steps.text.kenlm_score import Scorer
from tests.steps.documents import make_corpus

DATA = Path(__file__).parents[3].parent / "shared" / "data"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data at {DATA}"),
]


def read(name: str, limit: int) -> list[str]:
    with gzip.open(DATA / name, "rb") as file:
        lines = file.read().split(b"\n")
    return [text for line in lines if line.strip() if len(text := json.loads(line)["text"]) > 100][:limit]


def test_shuffled_text_is_worse_and_web_answers_are_worse_than_articles(tmp_path: Path) -> None:
    articles = read("wiki_zh/train.jsonl.gz", 400)
    train, held_out = articles[:300], articles[300:]
    corpus = make_corpus(tmp_path, [[{"text": text, "language": "zh", "source": "wiki"} for text in train]])
    model = run_step(
        "language_model",
        config={"language": "zh", "vocabulary": 8000, "order": 4},
        inputs={"corpus": corpus.ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
    ).artifact
    pieces, grams = (model.fetch(model.file(name), tmp_path / "model") for name in ("sp.model", "lm.bin"))
    scorer = Scorer(pieces, grams)
    natural = scorer.perplexities(held_out)
    pick = random.Random(1)
    shuffled = scorer.perplexities(["".join(pick.sample(text, len(text))) for text in held_out])
    web = scorer.perplexities(read("dureader_web_zh/docs.jsonl.gz", 100))
    assert np.mean(shuffled > natural) >= 0.95
    assert np.median(natural) < np.median(web)
