"""evaluate says how far a corpus has moved from the one published before, and changes nothing by saying so."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from steps.core.catalog import Catalog
from steps.core.step import Outcome
from steps.core.store import open_store
from steps.evaluate.drift import category_psi
from tests.steps.documents import make_corpus
from tests.steps.gate.line import RUN, records, step, through_the_gate


def test_category_psi_is_the_formula() -> None:
    before, now = {"a": 60, "b": 40}, {"a": 20, "b": 70, "c": 10}
    expected = sum((new - old) * math.log(new / old) for old, new in ((0.6, 0.2), (0.4, 0.7), (1e-4, 0.1)))
    assert category_psi(before, now) == pytest.approx(expected, abs=1e-4)
    assert category_psi(before, before) == 0


def page(made: Outcome) -> str:
    (entry,) = [view for view in made.artifact.manifest.views if view.key == "report.html"]
    return made.artifact.read_bytes(entry).decode()


def evaluated(root: Path, corpus: Outcome, **more: str) -> Outcome:
    config = {"sample_fraction": 1.0, "seeded": 24}
    return step(root, "evaluate", config, {"corpus": corpus.ref, **more})


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which a corpus of dump D1 was published."""
    root = tmp_path_factory.mktemp("published")
    line = through_the_gate(root, records(110), seeded=1000)
    line.publish(root, run=RUN)
    assert Catalog(open_store(f"file://{root}")).get("corpora")["own"]["latest"] == "D1"
    return root


def test_the_last_published_corpus_is_compared_with_and_changes_no_byte(
    published: Path, tmp_path: Path
) -> None:
    shorter = [{**row, "text": row["text"][: len(row["text"]) // 4], "dump": "D2"} for row in records(110)]
    corpus = make_corpus(published, [shorter], "shorter")
    now = evaluated(published, corpus)
    assert now.metrics["gate/drift_characters_zh"] > 0.25 < now.metrics["gate/drift_characters_en"]
    assert now.metrics["gate/drift_language"] == 0
    assert "Against own, dump D1" in page(now) and "changed" in page(now)
    alone = evaluated(tmp_path, corpus)
    assert alone.digest == now.digest
    assert not [name for name in alone.metrics if "drift" in name]
    assert "No other dump" in page(alone)


def test_a_dump_is_not_compared_with_itself_nor_with_other_sources(published: Path) -> None:
    again = [{**row, "text": row["text"] + "."} for row in records(110)]
    other = [{**row, "dump": "D3", "source": "elsewhere"} for row in records(110)]
    for name, rows in (("again", again), ("other", other)):
        made = evaluated(published, make_corpus(published, [rows], name))
        assert not [name for name in made.metrics if "drift" in name]


def test_reference_texts_are_those_of_the_language_models(tmp_path: Path) -> None:
    rows = records(110)
    corpus = make_corpus(tmp_path, [rows])
    config = {"language": "en", "vocabulary": 300, "order": 3}
    model = step(tmp_path, "language_model", config, {"corpus": corpus.ref})
    same = evaluated(tmp_path, corpus, **{"language_models.en": model.ref})
    drift = {k: v for k, v in same.metrics.items() if k.startswith("gate/drift_reference_")}
    assert "gate/drift_reference_hard_en" in drift and not [name for name in drift if name.endswith("_zh")]
    assert max(drift.values()) < 0.01, "the sample is all of the texts"
    assert "that the language models were trained on" in page(same)
