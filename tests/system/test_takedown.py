"""`tokenmill takedown` on a published corpus that a model was trained on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.corpus import Corpus
from steps.core.store import open_store
from steps.core.verification import verify_corpus
from tests.system.mill import Mill, Turned
from tests.system.test_inspection import TRAINING, documents_in

pytestmark = pytest.mark.timeout(600)
REASON = "--reason=asked for by its author"


@pytest.fixture
def copy(trained: Turned, tmp_path: Path) -> Mill:
    """The trained mill's root, copied: the others' stays as it is."""
    shutil.copytree(trained.mill.root.removeprefix("file://"), tmp_path / "root")
    return Mill(tmp_path, trained.mill.inbox)


def published(mill: Mill) -> tuple[str, Artifact]:
    """Dump and artifact of the corpus that the catalog points to."""
    store = open_store(mill.root)
    (corpus,) = Catalog(store).get("corpora").values()
    return corpus["latest"], Artifact.open(corpus["dumps"][corpus["latest"]]["corpus"], store)


def ids(artifact: Artifact) -> set[str]:
    return {i for shard in Corpus.open(artifact).shards for i in shard.read(["doc_id"])["doc_id"].to_pylist()}


def test_a_document_goes_and_what_was_made_with_it_is_named(trained: Turned, copy: Mill) -> None:
    document, _ = documents_in(trained, 0)[0]
    dump, before = published(copy)
    done = copy.here("takedown", f"doc_id:{document}", REASON)
    assert done.code == 0, done.output
    again, after = published(copy)
    assert again == dump
    assert ids(before) - ids(after) == {document}
    assert verify_corpus(after, {"readers": ["automatic"]}).status == "pass"
    assert ids(Artifact.open(before.ref)) >= {document}, "the earlier version is not touched"
    entries = Catalog(open_store(copy.root)).get("takedowns")
    assert entries["entries"] == [f"doc_id:{document}"]
    assert entries["reasons"] == {f"doc_id:{document}": REASON.partition("=")[2]}

    made = {
        name: trained.artifact(TRAINING, name).reference.folder for name in ("pack_1", "train_1", "export")
    }
    said = done.output.split("\n")
    assert any(line.startswith("token files ") and f"{made['pack_1']}: " in line for line in said)
    saw = next(line for line in said if line.startswith("checkpoint ") and made["train_1"] in line)
    assert saw.endswith(" of 2 optimizer steps, first in 1")
    assert any(line.startswith("export ") and f"{made['export']}: rests on " in line for line in said)

    second = copy.here("takedown", f"doc_id:{document}", REASON)
    assert second.code == 0 and "an earlier version" in second.output and "anew" not in second.output
    assert published(copy)[1].digest == after.digest


def test_a_domain_goes_and_a_dry_run_takes_nothing(trained: Turned, copy: Mill) -> None:
    _, before = published(copy)
    table = Corpus.open(before).shards[0].read(["url"])
    host = table["url"][0].as_py().split("/")[2]
    done = copy.here("takedown", f"domain:{host}", "--dry-run")
    assert done.code == 0, done.output
    assert published(copy)[1].digest == before.digest
    assert Catalog(open_store(copy.root)).get("takedowns") == {}
    done = copy.here("takedown", f"domain:{host}", REASON)
    assert done.code == 0, done.output
    urls = [u for s in Corpus.open(published(copy)[1]).shards for u in s.read(["url"])["url"].to_pylist()]
    assert urls and not any(u.split("/")[2] == host for u in urls)


def test_bad_requests_are_refused(copy: Mill) -> None:
    assert (
        "'example.org' is not doc_id:ID, url:URL or domain:NAME" in copy.here("takedown", "example.org").error
    )
    assert "no entry" in copy.here("takedown", REASON).error
    assert "give --reason" in copy.here("takedown", "domain:example.org").error
