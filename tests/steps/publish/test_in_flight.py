"""Two dumps in flight: whichever is published second leaves out what the first one has, under the same verdict."""

from __future__ import annotations

import itertools
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog, index_dumps, live_indexes
from steps.core.corpus import Corpus
from steps.core.errors import ReviewNeeded
from steps.core.step import Outcome
from steps.core.store import FileStore, open_store
from steps.core.verification import verify_corpus
from tests.steps.documents import make_corpus
from tests.steps.gate.line import records, step
from tests.steps.publish.test_three_dumps import again, posts, removed

POLICY = {"limit": 0.1, "stratum_ceiling": None}
CENSUS = {"policy": POLICY, "seeded": 60, "sample_fraction": 1.0}
FEWEST = {"policy": POLICY, "seeded": 60, "sample_fraction": 0.0, "minimum": 1}
"""Just enough documents that the bound is as high as the limit lets it be: none to spare where some are removed."""
HOWS = ("url", "text", "near")
AUTOMATIC = {"readers": ["automatic"]}
Line = dict[str, str]


def deduplicated(root: Path, dump: str, documents: list[dict[str, Any]]) -> Outcome:
    """The dump's documents, compared with what the catalog says is published."""
    made = make_corpus(root, [documents[::2], documents[1::2]], dump)
    store = open_store(f"file://{root}")
    indexes, _ = live_indexes(Catalog(store).get("dedup_index"), "own", dump)
    given = {f"index.{number}": Artifact.open(ref, store).ref for number, ref in indexes.items()}
    return step(root, "deduplicate", {}, {"corpus": made.ref, **given})


def through_the_gate(root: Path, corpus: Outcome, config: dict[str, Any]) -> Line:
    """Everything that publish takes."""
    inputs = {"corpus": corpus.ref}
    inputs["sample"] = step(root, "evaluate", config, inputs).ref
    inputs["labels"] = step(root, "review", {"mode": "automatic"}, {"sample": inputs["sample"]}).ref
    return {**inputs, "verdict": step(root, "gate", {"look": config.get("look", 1)}, inputs).ref}


def publish(root: Path, dump: str, line: Line) -> Outcome:
    here = {name: f"file://{root}/" + "/".join(ref.split("/")[-2:]) for name, ref in line.items()}
    return step(root, "publish", {}, here, run={"recipe": {"name": "own"}, "dump": dump})


def live(root: Path) -> set[str]:
    value = Catalog(open_store(f"file://{root}")).get("dedup_index")
    return {held["dump"] for entry in value["live"] for held in index_dumps(entry)}


def urls(artifact: Artifact) -> set[str]:
    return {u for shard in Corpus.open(artifact).shards for u in shard.read(["url"])["url"].to_pylist()}


@pytest.fixture(scope="module")
def dumps() -> dict[str, list[dict[str, Any]]]:
    """D1, and two later dumps of which the second repeats twelve documents of the first, in three ways."""
    both = records(45)
    documents = [d for pair in zip(both[:45], both[45:], strict=True) for d in pair]
    two, three = posts(documents, "D2", 20, 54), posts(documents, "D3", 54, 86)
    copies = [again(d, "D3", how) for d, how in zip(two[:12], itertools.cycle(HOWS), strict=False)]
    return {"D1": posts(documents, "D1", 0, 20), "D2": two, "D3": three + copies}


@pytest.fixture(scope="module")
def gated(
    dumps: dict[str, list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Line]]:
    """D1 published; D2 and D3 de-duplicated before either is published, and through the gate."""
    root = tmp_path_factory.mktemp("gated")
    publish(root, "D1", through_the_gate(root, deduplicated(root, "D1", dumps["D1"]), CENSUS))
    corpora = {dump: deduplicated(root, dump, dumps[dump]) for dump in ("D2", "D3")}
    assert all(not removed(corpus) for corpus in corpora.values())
    return root, {dump: through_the_gate(root, corpus, CENSUS) for dump, corpus in corpora.items()}


@pytest.fixture
def lines(gated: tuple[Path, dict[str, Line]], tmp_path: Path) -> tuple[Path, dict[str, Line]]:
    """A copy of that, to publish in."""
    root = tmp_path / "root"
    shutil.copytree(gated[0], root)
    return root, gated[1]


def expect_no_repeats(root: Path, first: Outcome, second: Outcome, size: int) -> None:
    """The second publication lacks the twelve repeats and is approved; no document of it repeats the first's."""
    assert not first.artifact.has_input("removals")
    removals = second.artifact.input("removals")
    assert removals.manifest.identity.counts.total.removed.documents == 12
    assert second.facts["repeated_by_others"] == 12
    assert second.counts.total.kept.documents == len(urls(second.artifact)) == size - 12
    assert {d.rpartition("/")[2] for d in urls(first.artifact)}.isdisjoint(
        d.rpartition("/")[2] for d in urls(second.artifact)
    )
    rules = {row["rule"] for e in removals.files("ledger") for row in removals.read_table(e).to_pylist()}
    assert rules == {"duplicate_url", "exact_duplicate", "near_duplicate"}
    for made in (first, second):
        assert verify_corpus(made.artifact, AUTOMATIC).status == "pass"
    assert live(root) == {"D1", "D2", "D3"}


@pytest.mark.parametrize("order", [("D2", "D3"), ("D3", "D2")])
def test_the_dump_that_is_published_second_leaves_out_what_the_first_has(
    lines: tuple[Path, dict[str, Line]], dumps: dict[str, list[dict[str, Any]]], order: tuple[str, str]
) -> None:
    root, gated = lines
    first, second = (publish(root, dump, gated[dump]) for dump in order)
    expect_no_repeats(root, first, second, len(dumps[order[1]]))
    before = Catalog(open_store(f"file://{root}")).get("dedup_index")
    repeated = publish(root, order[1], gated[order[1]])
    assert repeated.cached and repeated.ref == second.ref, "a task that is run again publishes the same"
    assert Catalog(open_store(f"file://{root}")).get("dedup_index") == before


def test_of_two_publications_at_the_same_moment_one_loses_the_swap_and_is_done_again(
    lines: tuple[Path, dict[str, Line]],
    dumps: dict[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, gated = lines
    together, calls, replace = threading.Barrier(2, timeout=120), itertools.count(), FileStore.replace
    answers: list[bool] = []

    def both_at_once(self: FileStore, key: str, data: bytes, etag: str | None) -> bool:
        if key != "catalog/dedup_index.json":
            return replace(self, key, data, etag)
        if next(calls) < 2:  # both have read the same value; now both write
            together.wait()
        answers.append(replace(self, key, data, etag))
        return answers[-1]

    monkeypatch.setattr(FileStore, "replace", both_at_once)
    with ThreadPoolExecutor(2) as pool:
        running = {dump: pool.submit(publish, root, dump, gated[dump]) for dump in ("D2", "D3")}
        made = {dump: future.result() for dump, future in running.items()}
    assert sorted(answers) == [False, True, True]
    order = sorted(made, key=lambda dump: made[dump].artifact.has_input("removals"))
    expect_no_repeats(root, made[order[0]], made[order[1]], len(dumps[order[1]]))


def test_where_too_little_is_left_for_the_bound_the_dump_goes_back_to_review(
    lines: tuple[Path, dict[str, Line]], dumps: dict[str, list[dict[str, Any]]]
) -> None:
    root, gated = lines
    corpus = step(root, "deduplicate", {}, _inputs(root, gated["D3"]["corpus"]))
    few = through_the_gate(root, corpus, {**FEWEST, "look": 2})
    first = publish(root, "D2", gated["D2"])
    before = Catalog(open_store(f"file://{root}")).get("dedup_index")
    said = (
        r"shrank to 32 of 44 documents: up to \d of them may be defective .* evaluate.look and gate.look 3$"
    )
    with pytest.raises(ReviewNeeded, match=said) as refused:
        publish(root, "D3", few)
    assert refused.value.exit_code == 79
    assert Catalog(open_store(f"file://{root}")).get("dedup_index") == before
    # a new run compares the dump with what is published now, and has a new look at what is left
    rerun = deduplicated(root, "D3", dumps["D3"])
    assert rerun.counts.total.removed.documents == 12
    third = publish(root, "D3", through_the_gate(root, rerun, {**FEWEST, "look": 3}))
    assert not third.artifact.has_input("removals") and first.counts.total.kept.documents == 34
    assert live(root) == {"D1", "D2", "D3"}


def _inputs(root: Path, ref: str) -> dict[str, str]:
    artifact = Artifact.open("/".join(ref.split("/")[-2:]), open_store(f"file://{root}"))
    return {name: artifact.input(name).ref for name in artifact.input_names()}
