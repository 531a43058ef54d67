"""The comparison with the dump that was published before."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from steps.core.catalog import Catalog
from steps.core.config import Runtime
from steps.core.step import Outcome, run_step
from steps.core.store import open_store
from steps.report.distribution import Distribution
from steps.report.drift import distances
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import records


def test_distances_are_those_of_the_formulas() -> None:
    before, now = Distribution.of(np.arange(1, 1001.0)), Distribution.of(np.arange(1, 1001.0))
    assert distances(before, now) == (0.0, 0.0)
    moved = Distribution.of(np.arange(1, 451.0))
    psi, ks = distances(before, moved)
    share = [100 / 450] * 4 + [50 / 450] + [1e-4] * 5
    expected = sum((q - 0.1) * math.log(q / 0.1) for q in share)
    assert ks == pytest.approx(0.55, abs=0.01)
    assert psi == pytest.approx(expected, rel=0.05)


def scored(root: Path, corpus: Outcome, models: dict[str, str]) -> Outcome:
    return run_step(
        "score",
        config={"rank_by": "perplexity"},
        inputs={"corpus": corpus.ref, **models},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )


def page(made: Outcome) -> str:
    (entry,) = [view for view in made.artifact.manifest.views if view.key == "report.html"]
    return made.artifact.read_bytes(entry).decode()


def test_a_dump_is_compared_with_the_one_published_before_and_stays_the_same_artifact(tmp_path: Path) -> None:
    first = make_corpus(tmp_path, records(40))
    models = {
        "language_models.en": run_step(
            "language_model",
            config={"language": "en", "vocabulary": 300, "order": 3},
            inputs={"corpus": first.ref},
            root=f"file://{tmp_path}",
            runtime=Runtime(workers=1),
        ).ref
    }
    english = [[row for row in shard if row["language"] == "en"] for shard in records(40)]
    before = scored(tmp_path / "a", make_corpus(tmp_path / "a", english), models)
    assert "No other dump" in page(before) and not [m for m in before.metrics if "drift" in m]
    Catalog(open_store(f"file://{tmp_path / 'b'}")).update(
        "corpora", lambda _: {"own": {"latest": "D0", "dumps": {"D0": {"corpus": before.ref}}}}
    )
    worse = [[{**row, "text": " ".join(sorted(row["text"].split()))} for row in shard] for shard in english]
    corpus = make_corpus(tmp_path / "b", worse)
    now = scored(tmp_path / "b", corpus, models)
    assert now.metrics["corpus/drift_psi_en_all"] > 0.25
    assert "changed" in page(now) and "D0" not in page(now) and before.artifact.folder in page(now)
    alone = scored(tmp_path / "c", corpus, models)
    assert alone.digest == now.digest


def test_another_language_model_is_not_compared(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, records(40))
    made = [
        run_step(
            "language_model",
            config={"language": language, "vocabulary": 300, "order": order},
            inputs={"corpus": corpus.ref},
            root=f"file://{tmp_path}",
            runtime=Runtime(workers=1),
        ).ref
        for language, order in (("zh", 2), ("en", 2), ("en", 3))
    ]
    first = scored(tmp_path, corpus, {"language_models.zh": made[0], "language_models.en": made[1]})
    Catalog(open_store(f"file://{tmp_path}")).update(
        "corpora", lambda _: {"own": {"latest": "D0", "dumps": {"D0": {"corpus": first.ref}}}}
    )
    second = scored(tmp_path, corpus, {"language_models.zh": made[0], "language_models.en": made[2]})
    names = {name.split("_")[2] for name in second.metrics if "drift_psi" in name}
    assert names == {"zh"}
    assert second.metrics["corpus/drift_psi_zh_all"] == 0
