"""What one stage wrote is what the next took, and every document that went has one row that says why."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.pipeline import PIPELINES
from tests.system.mill import Turned

CORPUS_STAGES = ("ingest", "preprocess", "score", "filter", "deduplicate", "publish")
FACTORY = [(dag, s.section) for dag in ("language_models", "data_factory") for s in PIPELINES[dag]]
TRAINING = [("continual_pretraining", s.section) for s in PIPELINES["continual_pretraining"]]


def removals(artifact: Artifact) -> list[dict[str, object]]:
    """Document-level rows of the ledger that say that a document is gone."""
    rows = [row for entry in artifact.files("ledger") for row in artifact.read_table(entry).to_pylist()]
    return [row for row in rows if row["level"] == "document" and row["action"] == "removed"]


def quarantined(artifact: Artifact) -> list[dict[str, object]]:
    return [row for entry in artifact.files("quarantine") for row in artifact.read_table(entry).to_pylist()]


def assert_nothing_is_lost(artifact: Artifact) -> None:
    counts = artifact.manifest.identity.counts
    counts.check(artifact.step)
    gone, aside = removals(artifact), quarantined(artifact)
    for rows, total, reasons in (
        (gone, counts.total.removed, counts.removed_by),
        (aside, counts.total.quarantined, counts.quarantined_by),
    ):
        assert len(rows) == total.documents
        assert sum(row["bytes"] for row in rows) == total.bytes
        assert Counter(row["rule"] for row in rows) == {
            name: tally.documents for name, tally in reasons.items() if tally.documents
        }
        assert all(row["shard"] and row["row"] is not None for row in rows)
    places = Counter((row["shard"], row["row"]) for row in [*gone, *aside])
    assert max(places.values(), default=1) == 1, f"{places.most_common(1)} has more than one fate"


@pytest.mark.parametrize(("dag", "section"), FACTORY)
def test_every_document_that_a_stage_of_the_factory_removed_has_one_row(
    factory: Turned, dag: str, section: str
) -> None:
    assert_nothing_is_lost(factory.artifact(dag, section))


def test_what_one_stage_wrote_the_next_one_took(factory: Turned) -> None:
    for dag, names in (
        ("language_models", ("ingest", "preprocess")),
        ("data_factory", CORPUS_STAGES),
    ):
        made = [factory.artifact(dag, name) for name in names]
        for before, after in pairwise(made):
            wrote, took = (
                before.manifest.identity.counts.total.written,
                after.manifest.identity.counts.total.input,
            )
            assert (wrote.documents, wrote.bytes) == (took.documents, took.bytes), after.step
        for artifact in made:
            counts = artifact.manifest.identity.counts.total
            there = Corpus.open(artifact).totals()
            assert (there.documents, there.bytes) == (counts.written.documents, counts.written.bytes)
            assert there.documents == counts.kept.documents


def test_the_demo_dump_loses_documents_in_every_stage_that_may_remove(factory: Turned) -> None:
    removed = {
        name: factory.artifact("data_factory", name).manifest.identity.counts.total.removed.documents
        for name in CORPUS_STAGES[:-1]
    }
    assert min(removed.values()) > 0, removed
    ingest = factory.artifact("data_factory", "ingest")
    assert (
        ingest.manifest.identity.counts.total.quarantined.documents == 1
    )  # the record that a disk destroyed


def test_the_sample_and_the_verdict_are_on_the_documents_that_are_published(factory: Turned) -> None:
    documents = {
        name: factory.artifact("data_factory", name).manifest.identity.documents
        for name in ("deduplicate", "publish")
    }
    assert documents["deduplicate"] == documents["publish"]
    kept = factory.artifact("data_factory", "deduplicate").manifest.identity.counts.total.kept.documents
    assert factory.artifact("data_factory", "gate").facts["population"] == kept


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("dag", "section"), TRAINING)
def test_every_document_that_a_stage_of_training_left_out_has_one_row(
    trained: Turned, dag: str, section: str
) -> None:
    assert_nothing_is_lost(trained.artifact(dag, section))


def test_the_mix_took_every_document_of_its_corpora(trained: Turned) -> None:
    mix = trained.artifact("continual_pretraining", "mix")
    given = [Corpus.open(mix.input(name)).totals() for name in mix.input_names()]
    took = mix.manifest.identity.counts.total.input
    assert len(given) == 2
    assert took.documents == sum(tally.documents for tally in given)
    assert took.bytes == sum(tally.bytes for tally in given)
