"""score: overlay, ledger, languages without a model, exempt sources, one and two workers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.core.step import Outcome, run_step
from steps.score.config import Config
from steps.score.measure import BATCH, BATCH_BYTES, batches
from steps.text.kenlm_score import Scorer, Scores
from steps.text.scorer_text import normalise_lines
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


def table_of(made: Outcome, *names: str) -> list[dict]:
    return [
        row
        for shard in Corpus.open(made.artifact).shards
        for row in shard.read(["language", "text"], kept=False, signals=list(names)).to_pylist()
    ]


def test_by_default_the_best_are_those_of_the_quality_score(made: tuple, tmp_path: Path) -> None:
    _, corpus, models = made
    found = score(tmp_path, {"corpus": corpus.ref, **models}, rank_by="quality_score")
    cutoffs = found.facts["cutoffs"]["en"]
    assert cutoffs["rank_by"] == "quality_score" and 0 < cutoffs["medium"] <= cutoffs["high"] < 1
    rows = [r for r in table_of(found, "quality_score", "quality") if r["language"] == "en"]
    assert all(row["quality_score"] >= cutoffs["high"] for row in rows if row["quality"] == "high")
    assert all(row["quality_score"] < cutoffs["medium"] for row in rows if row["quality"] == "low")
    assert 36 <= sum(row["quality"] != "low" for row in rows) < 60
    ledger = [r for e in found.artifact.files("ledger") for r in found.artifact.read_table(e).to_pylist()]
    assert ledger and all(r["value"] < found.facts["cutoffs"][r["language"]]["medium"] for r in ledger)


def test_a_language_without_weights_is_ranked_by_perplexity(made: tuple, tmp_path: Path) -> None:
    _, corpus, models = made
    weights = {"zh": Config().quality_weights["zh"].model_dump()}
    inputs = {"corpus": corpus.ref, **models}
    found = score(tmp_path, inputs, rank_by="quality_score", quality_weights=weights)
    assert {lang: cut["rank_by"] for lang, cut in found.facts["cutoffs"].items()} == {
        "zh": "quality_score",
        "en": "perplexity",
    }
    rows = table_of(found, "quality_score")
    assert all((row["quality_score"] is None) == (row["language"] == "en") for row in rows)


def test_the_share_of_bad_lines_is_that_of_lines_beyond_the_documents_cutoff(
    made: tuple, tmp_path: Path
) -> None:
    _, corpus, models = made
    found = score(tmp_path, {"corpus": corpus.ref, **models})
    model = Artifact.open(models["language_models.en"])
    pieces, grams = (model.fetch(model.file(name), tmp_path / "m") for name in ("sp.model", "lm.bin"))
    scorer = Scorer(pieces, grams)
    limit = math.log10(found.facts["cutoffs"]["en"]["line"])
    shares = []
    for row in table_of(found, "perplexity_bad_lines", "perplexity_line_spread"):
        if row["language"] == "en":
            lines = normalise_lines([row["text"]])[0]
            scores = [-s / n for s, n in zip(*scorer.line_scores(lines), strict=True)]
            sizes = [len(line.encode()) for line in lines]
            bad = sum(size for size, s in zip(sizes, scores, strict=True) if s > limit)
            shares.append(bad / sum(sizes))
            assert row["perplexity_bad_lines"] == pytest.approx(shares[-1], abs=1e-4)
            mean = np.average(scores, weights=sizes)
            spread = math.sqrt(np.average((np.array(scores) - mean) ** 2, weights=sizes))
            assert row["perplexity_line_spread"] == pytest.approx(spread, abs=1e-4)
    assert 0 < np.mean(shares) < 1


def test_a_model_that_reads_documents_as_one_line_gives_a_quality_score_without_lines(
    made: tuple, tmp_path: Path
) -> None:
    _, corpus, _ = made
    model = run_step(
        "language_model",
        config={"language": "en", "vocabulary": 300, "order": 3, "normalisation": "cc_net"},
        inputs={"corpus": corpus.ref},
        root=f"file://{tmp_path}",
        runtime=Runtime(workers=1),
    )
    inputs = {"corpus": corpus.ref, "language_models.en": model.ref}
    found = score(tmp_path, inputs, rank_by="quality_score", without_model="unscored")
    assert found.facts["normalisation"] == {"en": "cc_net"}
    assert found.facts["cutoffs"]["en"]["rank_by"] == "quality_score"
    rows = table_of(found, "perplexity", "quality_score", "perplexity_bad_lines", "perplexity_line_spread")
    for row in (row for row in rows if row["language"] == "en"):
        assert row["perplexity"] == round(row["perplexity"], 1) and 0 < row["quality_score"] < 1
        assert row["perplexity_bad_lines"] is None and row["perplexity_line_spread"] is None


def test_batches_are_bounded_in_bytes_and_documents() -> None:
    sizes = np.array([BATCH_BYTES + 5, 1, 1, BATCH_BYTES, 1, *[0] * BATCH])
    rows = np.arange(len(sizes))
    found = [batch.tolist() for batch in batches(rows, sizes)]
    assert [row for batch in found for row in batch] == rows.tolist()
    assert found[:3] == [[0], [1, 2], [3]]
    assert all(len(batch) <= BATCH for batch in found)


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
