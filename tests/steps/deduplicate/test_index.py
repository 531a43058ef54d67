"""Indexes that took over earlier ones: as good as their parts, few, and the same bytes whoever makes them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from steps.core.artifact import Artifact
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.dedup_index import HOLDS, members
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.deduplicate import index as index_module
from steps.deduplicate.config import Config
from steps.deduplicate.index import MERGED, keys_of, taken_over
from steps.deduplicate.keys import settings_digest
from tests.steps.deduplicate.oracle import Settings
from tests.steps.deduplicate.test_deduplicate import (
    LONG_ZH,
    all_pairs,
    deduplicate,
    dumps,
    kept,
    ledger,
    record,
    related_texts,
)
from tests.steps.documents import make_corpus


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Outcome]:
    """A dump's index, and a later one's that took it over."""
    root = tmp_path_factory.mktemp("merged")
    one, two = dumps(3)
    first = deduplicate(root, make_corpus(root / "1", one))
    second = deduplicate(root, make_corpus(root / "2", two), index={"a": first.ref}, partition_documents=100)
    return root, first, second


def later(root: Path) -> Outcome:
    """A dump that repeats both."""
    one, two = dumps(3)
    records = [
        {**r, "doc_id": f"{i:032x}", "url": f"http://e.cn/{i}"}
        for i, r in enumerate(one[0] + two[0] + two[1])
    ]
    return make_corpus(root / "3", [records[::2], records[1::2]])


def removals(outcome: Outcome) -> list[tuple[Any, ...]]:
    names = ("row", "rule", "match_shard", "match_row", "distance", "similarity", "detail")
    return [tuple(row[name] for name in names) for row in ledger(outcome)]


def test_a_merged_index_is_as_good_as_its_parts(merged: tuple[Path, Outcome, Outcome]) -> None:
    root, first, second = merged
    assert second.facts[HOLDS] == [first.digest]
    assert set(members(second.artifact)) == {first.digest, second.digest}
    assert len(second.artifact.files(MERGED)) == 2, "100 documents a partition, 25 a file, but whole shards"
    found, parts = keys_of(second.artifact), keys_of(first.artifact)
    assert len(parts) == 2
    for place, keys in parts.items():
        assert found[place].read() == keys.read()
    corpus = later(root)
    by_one = deduplicate(root, corpus, index={"b": second.ref})
    by_both = deduplicate(root, corpus, index={"a": first.ref, "b": second.ref})
    assert removals(by_one) == removals(by_both)
    assert by_one.facts["published_documents"] == by_both.facts["published_documents"] == 60 + 35
    assert {row["detail"] for row in ledger(by_one)} >= {
        f"published in {made.artifact.reference.folder}" for made in (first, second)
    }


def test_the_dump_s_own_publication_inside_a_merged_index_is_left_out(
    merged: tuple[Path, Outcome, Outcome],
) -> None:
    root, first, second = merged
    again = {"index.b": second.ref, "own": first.ref}
    one = dumps(3)[0]
    edited = [
        [{**r, "text": r["text"] + "。"} for r in shard] for shard in one
    ]  # as other rules might leave it
    corpus = make_corpus(root / "1b", edited)
    met = deduplicate(root, corpus, index={"b": second.ref})
    assert met.counts.total.kept.documents == 0, "without saying so, all of it is there already"
    inputs = {"corpus": corpus.ref, **again}
    left = run_step(
        "deduplicate", config={}, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=1)
    )
    assert left.counts.total.removed.documents == 0
    assert left.facts["published_documents"] == second.counts.total.kept.documents
    assert left.facts[HOLDS] == [second.digest], "the rest of that index is taken over, whatever its size"


def test_other_settings_make_keys_anew_from_the_texts_of_every_dump(
    merged: tuple[Path, Outcome, Outcome],
) -> None:
    root, first, second = merged
    corpus = later(root)
    found = deduplicate(root, corpus, index={"b": second.ref}, ideograph_gram=3)
    as_before = deduplicate(root, corpus, index={"b": second.ref})
    assert found.facts["published_documents"] == 95
    assert kept(found) == kept(as_before), "they are re-posts by any settings"
    wanted = settings_digest(Config.model_validate({"ideograph_gram": 3}))
    third = deduplicate(root, corpus, index={"a": first.ref}, ideograph_gram=3)
    assert {keys.settings for keys in keys_of(third.artifact).values()} == {wanted}
    assert {keys.settings for keys in keys_of(second.artifact).values()} != {wanted}


def test_a_shard_of_which_nothing_was_kept_has_no_keys_in_a_merged_index(tmp_path: Path) -> None:
    first = deduplicate(tmp_path, make_corpus(tmp_path / "a", [[record(LONG_ZH, 1)], [record(LONG_ZH, 2)]]))
    second = deduplicate(
        tmp_path, make_corpus(tmp_path / "b", [[record("something else", 3)]]), index={"a": first.ref}
    )
    merged_keys = keys_of(second.artifact)
    assert sorted(0 if (t := keys.read()) is None else t.num_rows for keys in merged_keys.values()) == [
        0,
        1,
        1,
    ]
    third = deduplicate(
        tmp_path, make_corpus(tmp_path / "c", [[record(LONG_ZH, 4)]]), index={"b": second.ref}
    )
    assert kept(third) == set()
    assert third.facts["published_documents"] == 2


def test_the_same_bytes_for_any_number_of_workers_and_after_a_restart(tmp_path: Path) -> None:
    records = related_texts(2, 90)
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", [records[i:60:6] for i in range(6)]))
    corpus = make_corpus(tmp_path / "2", [records[60:]])
    settings: dict[str, Any] = {"partition_documents": 80, "index": {"a": first.ref}}
    one = deduplicate(tmp_path / "one", corpus, 1, **settings)
    two = deduplicate(tmp_path / "two", corpus, 2, **settings)
    assert one.digest == two.digest and len(one.artifact.files(MERGED)) > 2
    folder = next((tmp_path / "two" / "deduplicate").iterdir())
    (folder / "manifest.json").unlink()
    for marker in sorted((folder / "parts").iterdir())[1::2]:
        marker.unlink()
    again = deduplicate(tmp_path / "two", corpus, 1, **settings)
    assert not again.cached and again.digest == one.digest


def test_a_damaged_merged_index_is_named(tmp_path: Path) -> None:
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", [[record(LONG_ZH, 1)]]))
    second = deduplicate(
        tmp_path, make_corpus(tmp_path / "2", [[record("something else", 2)]]), index={"a": first.ref}
    )
    (entry,) = second.artifact.files(MERGED)
    path = tmp_path / second.artifact.folder / entry.object_name
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    corpus = make_corpus(tmp_path / "3", [[record(LONG_ZH, 3)]])
    with pytest.raises(DataError, match=f"{entry.sha256}.* checksum is wrong"):
        deduplicate(tmp_path, corpus, index={"b": second.ref})


def test_few_indexes_are_live_whatever_is_published_and_published_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index_module, "members", dict.fromkeys)  # an index is the set of its members here
    for again in (0.0, 0.3):
        rng = random.Random(int(10 * again))
        live: list[frozenset[str]] = []
        newest: dict[int, str] = {}
        for step in range(150):
            repeats = newest and rng.random() < again
            dump = rng.choice(sorted(newest)) if repeats else len(newest)
            old, newest[dump] = newest.get(dump), f"{dump}-{step}"
            inputs: dict[str, Any] = {f"index.{n}": held for n, held in enumerate(live) if held != {old}}
            held = taken_over(inputs, {old} if old else set())
            stay = [kept for kept in inputs.values() if not kept & held]
            assert all(kept - held <= {old} for kept in inputs.values() if kept & held), "whole indexes only"
            live = [*stay, held | {newest[dump]}]
            assert sorted(m for kept in live for m in kept) == sorted(newest.values())
            assert len(live) <= len(newest).bit_length()  # floor(log2(dumps)) + 1


def test_an_artifact_without_indexes_is_its_own_only_member(tmp_path: Path) -> None:
    corpus: Artifact = make_corpus(tmp_path, [[record(LONG_ZH, 1)]]).artifact
    assert set(members(corpus)) == {corpus.digest}
    assert keys_of(corpus) == {}


@pytest.mark.parametrize("hamming", [0, 3, 6, 8])
def test_against_published_dumps_too_the_result_is_that_of_all_pairs(tmp_path: Path, hamming: int) -> None:
    """Three dumps of one family of texts; what is published comes first in keeper order, and stays."""
    records = related_texts(20 + hamming, 110)
    third = len(records) // 3
    settings = Settings(hamming, 0.6)
    config = {"hamming": hamming, "similarity": 0.6, "short_characters": 0, "partition_documents": 60}
    before: list[dict[str, Any]] = []
    last: Outcome | None = None
    for number in range(3):
        mine = records[number * third : (number + 1) * third]
        corpus = make_corpus(tmp_path / str(number), [mine[::2], mine[1::2]])
        index = {"index.a": last.ref} if last else {}
        last = run_step(
            "deduplicate",
            config=config,
            inputs={"corpus": corpus.ref, **index},
            root=f"file://{tmp_path}",
            runtime=Runtime(workers=1),
        )
        everything = [*before, *mine]
        texts = [r["text"] for r in everything]
        order = sorted(range(len(texts)), key=lambda i: (i >= len(before), everything[i]["doc_id"]))
        expected, _ = all_pairs(texts, settings).decide(order, settings, True)
        assert not [i for i in expected if i < len(before)], "published documents stay"
        places = {(n % 2, n // 2): len(before) + n for n in range(len(mine))}
        shards = Corpus.open(corpus.artifact).shards
        numbers = {(shards[s].sha256, row): number for (s, row), number in places.items()}
        found = {numbers[row["shard"], row["row"]]: row for row in ledger(last)}
        assert set(found) == set(expected)
        ids = [r["doc_id"] for r in everything]
        assert {i: row["match_doc_id"] for i, row in found.items()} == {
            i: ids[match] for i, (match, _, _) in expected.items()
        }
        if number:
            assert any(match < len(before) for match, _, _ in expected.values()) or hamming == 0
        published = len(before)
        before = before + [r for n, r in enumerate(mine) if published + n not in expected]
