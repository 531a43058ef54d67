"""score: overlay, ledger, languages without a model, exempt sources, one and two workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.core.step import Outcome, run_step
from steps.text.kenlm_score import Scorer, Scores
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import records


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, dict[str, str]]:
    root = tmp_path_factory.mktemp("score")
    corpus = make_corpus(root, records(20))
    models = {
        f"language_models.{language}": run_step(
            "language_model",
            config={"language": language, "vocabulary": 300, "order": 3},
            inputs={"corpus": corpus.ref},
            root=f"file://{root}",
            runtime=Runtime(workers=1),
        ).ref
        for language in ("zh", "en")
    }
    return root, corpus, models


def score(root: Path, inputs: dict[str, str], workers: int = 1, **config: object) -> Outcome:
    config = {"rank_by": "perplexity", **config}
    return run_step(
        "score", config=config, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=workers)
    )


def test_the_best_sixty_percent_of_each_language_stay(made: tuple, tmp_path: Path) -> None:
    _, corpus, models = made
    one = score(tmp_path / "a", {"corpus": corpus.ref, **models})
    assert one.digest == score(tmp_path / "b", {"corpus": corpus.ref, **models}, workers=2).digest
    assert one.counts.groups["wiki|zh"].kept.documents == 36
    assert one.counts.groups["wiki|en"].kept.documents == 36
    assert {reason: tally.documents for reason, tally in one.counts.removed_by.items()} == {"low_quality": 48}
    table = [
        row
        for shard in Corpus.open(one.artifact).shards
        for row in shard.read(["language"], kept=False, signals=["perplexity", "quality"]).to_pylist()
    ]
    for language in ("zh", "en"):
        mine = sorted((r for r in table if r["language"] == language), key=lambda r: r["perplexity"])
        assert [r["quality"] for r in mine] == ["high"] * 18 + ["medium"] * 18 + ["low"] * 24
    kept = [row for shard in Corpus.open(one.artifact).shards for row in shard.keep()]
    assert kept == [row["quality"] != "low" for row in table]
    ledger = [r for e in one.artifact.files("ledger") for r in one.artifact.read_table(e).to_pylist()]
    assert len(ledger) == 48 and {r["rule"] for r in ledger} == {"low_quality"}
    assert all(r["value"] > one.facts["cutoffs"][r["language"]]["medium"] for r in ledger)


def test_a_language_without_a_model_is_an_error_or_unscored(made: tuple) -> None:
    root, corpus, models = made
    inputs = {"corpus": corpus.ref, "language_models.zh": models["language_models.zh"]}
    with pytest.raises(ConfigError, match=r"no language model for en .*unscored"):
        score(root, inputs)
    kept = score(root, inputs, without_model="unscored")
    assert kept.counts.groups["wiki|en"].removed.documents == 0
    shard = Corpus.open(kept.artifact).shards[0]
    rows = shard.read(["language"], signals=["perplexity", "quality"]).to_pylist()
    english = [row for row in rows if row["language"] == "en"]
    assert {row["quality"] for row in english} == {"unscored"}
    assert all(row["perplexity"] is None or np.isnan(row["perplexity"]) for row in english)


def test_an_exempt_source_loses_nothing(made: tuple) -> None:
    root, corpus, models = made
    kept = score(root, {"corpus": corpus.ref, **models}, exempt_sources=["wiki"])
    assert kept.counts.total.removed.documents == 0
    cutoffs = kept.facts["cutoffs"]["zh"]
    assert cutoffs == {"rank_by": "perplexity", "high": None, "medium": None, "lowest": None, "line": None}


def test_unnaturally_low_perplexity_has_its_own_reason(made: tuple) -> None:
    root, corpus, models = made
    base = score(root, {"corpus": corpus.ref, **models})
    high = base.facts["cutoffs"]["en"]["high"]
    cut = score(root, {"corpus": corpus.ref, **models}, lowest_perplexity={"en": high})
    reasons = {reason: tally.documents for reason, tally in cut.counts.removed_by.items()}
    assert reasons["unnaturally_low_perplexity"] == 17  # those strictly below the 18th
    assert cut.counts.groups["wiki|zh"] == base.counts.groups["wiki|zh"]


def test_a_text_at_which_the_scorer_raises_is_set_aside(
    made: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, corpus, models = made
    real = Scorer.score
    poison = Corpus.open(corpus.artifact).shards[1].read(["text"])["text"][3].as_py()

    def failing(self: Scorer, texts: pa.ChunkedArray) -> Scores:
        if poison in texts.to_pylist():
            raise RuntimeError("a library failed")
        return real(self, texts)

    monkeypatch.setattr(Scorer, "score", failing)
    out = score(tmp_path, {"corpus": corpus.ref, **models})
    assert out.counts.quarantined_by["scorer_error"].documents == 1
    assert not Corpus.open(out.artifact).shards[1].keep()[3]
    assert out.counts.total.kept.documents == 36 + 36


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(ConfigError, match="together are more than 1"):
        run_step("score", config={"high_share": 0.7, "medium_share": 0.4}, inputs={}, root="file:///nowhere")
