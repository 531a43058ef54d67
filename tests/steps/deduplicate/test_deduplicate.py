"""The step from corpus to masks, ledger and index, against brute force and against itself."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.deduplicate.verify import likeness
from steps.text.hashing import words
from steps.text.minhash import alike, min_hash
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes
from tests.steps.deduplicate.oracle import AllPairs, Settings, simhash
from tests.steps.documents import make_corpus

HAN = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动"
    "同工也能下过子说产种面而方后多定行学法所民得经"
)
EN = [
    f"{a}{b}"
    for a in ("ka", "lo", "mi", "nu", "pe", "ra", "so", "tu")
    for b in ("bel", "dor", "fin", "gar", "hul")
]


def deduplicate(
    root: Path, corpus: Outcome, workers: int = 1, index: dict[str, str] | None = None, **config: Any
) -> Outcome:
    inputs = {"corpus": corpus.ref, **{f"index.{key}": ref for key, ref in (index or {}).items()}}
    return run_step(
        "deduplicate", config=config, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=workers)
    )


def kept(outcome: Outcome) -> set[tuple[int, int]]:
    """(shard number, row) of every document that stayed."""
    shards = Corpus.open(outcome.artifact).shards
    return {(shard.index, int(row)) for shard in shards for row in shard.keep().nonzero()[0]}


def ledger(outcome: Outcome) -> list[dict[str, Any]]:
    artifact = outcome.artifact
    return [row for entry in artifact.files("ledger") for row in artifact.read_table(entry).to_pylist()]


def record(text: str, number: int = 0, url: str = "", **more: Any) -> dict[str, Any]:
    return {"text": text, "url": url, "doc_id": f"{number:032x}", **more}


def sentence(rng: random.Random, language: str, length: int) -> list[str]:
    return rng.choices(HAN if language == "zh" else EN, k=length)


def text_of(tokens: list[str], language: str) -> str:
    return ("" if language == "zh" else " ").join(tokens)


def edited(rng: random.Random, tokens: list[str], share: float, language: str) -> list[str]:
    pool = HAN if language == "zh" else EN
    return [rng.choice(pool) if rng.random() < share else token for token in tokens]


def related_texts(seed: int, originals: int) -> list[dict[str, Any]]:
    """Originals with chains of edited copies (copy of a copy of …), so that similarity is not transitive."""
    rng = random.Random(seed)
    records = []
    for number in range(originals):
        language = "zh" if number % 2 else "en"
        tokens = sentence(rng, language, rng.choice([5, 30, 120, 400]))
        for _ in range(rng.choice([1, 1, 2, 5])):
            records.append({"text": text_of(tokens, language), "language": language})
            tokens = edited(rng, tokens, rng.choice([0.01, 0.03, 0.08]), language)
    rng.shuffle(records)
    distinct = {r["text"]: r for r in records}.values()  # an edit may have changed nothing
    return [record(r["text"], rng.getrandbits(100), language=r["language"]) for r in distinct]


def band_keys(texts: list[str], similarity: float) -> tuple[list[list[int]], Callable[[int, int], bool]]:
    """MinHash band keys of each text's bigrams, and which pairs' sketches are alike; tests/steps/text compare the
    kernels with plain Python."""
    tokens = words(*text_buffers(pa.array(texts, pa.large_string())), classes())
    keys, sketch, size = min_hash(tokens.offsets, tokens.hash, np.full(len(texts), 2))
    bounds = likeness(similarity)
    return keys.tolist(), lambda i, j: alike(*sketch[i], size[i], *sketch[j], size[j], *bounds)


def all_pairs(texts: list[str], settings: Settings, cache: list[tuple[int, int]] | None = None) -> AllPairs:
    """The oracle's pairs of some texts; ``cache`` holds their fingerprints."""
    fingerprints = cache or [simhash(text, settings) for text in texts]
    return AllPairs(texts, fingerprints, *band_keys(texts, settings.similarity), settings.hamming)


def expect_oracle(
    outcome: Outcome,
    shards: list[list[dict[str, Any]]],
    settings: Settings,
    pairs: AllPairs,
    minhash: bool = True,
) -> int:
    """Masks, ledger and the number of candidates equal the oracle's; returns how many documents it removed."""
    missed, wrong, counted, removed = differences(outcome, shards, settings, pairs, minhash)
    assert (missed, wrong) == ([], [])
    assert outcome.facts["near"].get("candidate_pairs", 0) == counted
    return removed


def differences(
    outcome: Outcome,
    shards: list[list[dict[str, Any]]],
    settings: Settings,
    pairs: AllPairs,
    minhash: bool,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int, int]:
    """(removals of the oracle that the step has not got, or not with that match, distance and similarity; removals of
    the step that the oracle has not got; the oracle's candidate pairs; its removals)."""
    places = [(s, r) for s, shard in enumerate(shards) for r in range(len(shard))]
    order = sorted(range(len(places)), key=lambda i: shards[places[i][0]][places[i][1]]["doc_id"])
    expected, counted = pairs.decide(order, settings, minhash)
    sha = [shard.sha256 for shard in Corpus.open(outcome.artifact).shards]
    found = {(row["shard"], row["row"]): row for row in ledger(outcome)}
    stayed = {(sha[s], r) for s, r in kept(outcome)}
    missed = []
    for i, (match, distance, similarity) in expected.items():
        s, r = places[match]
        at = sha[places[i][0]], places[i][1]
        wanted = {
            "rule": "near_duplicate",
            "match_shard": sha[s],
            "match_row": r,
            "match_doc_id": shards[s][r]["doc_id"],
            "distance": distance,
            "similarity": pytest.approx(similarity, abs=1e-12),
        }
        row = found.get(at, {})
        if at in stayed or {name: row.get(name) for name in wanted} != wanted:
            missed.append(wanted)
    removed = {(sha[places[i][0]], places[i][1]) for i in expected}
    everything = {(sha[s], r) for s, r in places}
    wrong = [found.get(at, {}) for at in sorted((found.keys() | (everything - stayed)) - removed)]
    return missed, wrong, counted, len(expected)


@pytest.mark.parametrize(
    ("hamming", "minhash"),
    [(0, False), (3, False), (6, False), (8, False), (10, False), (0, True), (6, True)],
)
def test_near_duplicates_equal_all_pairs_on_synthetic_texts(
    tmp_path: Path, hamming: int, minhash: bool
) -> None:
    records = related_texts(hamming, 120)
    shards = [records[i::3] for i in range(3)]
    corpus = make_corpus(tmp_path, shards)
    settings = Settings(hamming, 0.6)
    pairs = all_pairs([r["text"] for shard in shards for r in shard], settings)
    outcome = deduplicate(
        tmp_path,
        corpus,
        hamming=hamming,
        similarity=0.6,
        verify_documents=60,
        partition_documents=90,
        short_characters=0,
        minhash=minhash,
    )
    removed = expect_oracle(outcome, shards, settings, pairs, minhash)
    assert removed > (0 if hamming == 0 and not minhash else 10)
    assert outcome.facts["near"]["groups_cut"] == 0


def test_caps_hold_as_in_the_oracle(tmp_path: Path) -> None:
    rng = random.Random(4)
    tokens = sentence(rng, "zh", 300)
    records = [record(text_of(edited(rng, tokens, 0.01, "zh"), "zh"), i, language="zh") for i in range(40)]
    shards = [records[i::2] for i in range(2)]
    corpus = make_corpus(tmp_path, shards)
    settings = Settings(10, 0.7, max_candidates=2, max_cluster=7)
    pairs = all_pairs([r["text"] for shard in shards for r in shard], settings)
    outcome = deduplicate(tmp_path, corpus, hamming=10, similarity=0.7, max_candidates=2, max_cluster=7)
    removed = expect_oracle(outcome, shards, settings, pairs)
    assert removed == 35  # five keepers, seven copies each
    assert outcome.facts["near"]["clusters_at_max"] == 5


def test_a_group_too_large_for_one_task_is_cut_and_each_piece_keeps_a_document(tmp_path: Path) -> None:
    rng = random.Random(6)
    tokens = sentence(rng, "zh", 300)
    records = [record(text_of(edited(rng, tokens, 0.005, "zh"), "zh"), i, language="zh") for i in range(40)]
    records = list({r["text"]: r for r in records}.values())
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, [records]), verify_documents=10)
    near = outcome.facts["near"]
    assert (near["groups_cut"], near["candidate_groups"], near["largest_group"]) == (1, 1, len(records))
    pieces = -(-len(records) // 10)
    assert len(kept(outcome)) == pieces
    assert all(row["similarity"] >= 0.8 for row in ledger(outcome))


@pytest.mark.data
@pytest.mark.parametrize("hamming", [3, 8])
def test_near_duplicates_equal_all_pairs_on_real_articles(
    tmp_path: Path, shared_data: Path, hamming: int
) -> None:
    texts, _ = labelled(shared_data, "1000")
    rng = random.Random(hamming)
    for text in texts[:200]:  # the set's own copies are all but identical
        copy = [w for w in text.split(" ") if rng.random() > 0.05 * rng.random()]
        texts.append(" ".join([*copy, copy[0]]))
    records = [record(text, rng.getrandbits(100)) for text in texts]
    shards = [records[i::4] for i in range(4)]
    outcome = deduplicate(
        tmp_path, make_corpus(tmp_path, shards), hamming=hamming, similarity=0.8, minhash=False
    )
    settings = Settings(hamming, 0.8)
    exact = {(row["shard"], row["row"]) for row in ledger(outcome) if row["rule"] == "exact_duplicate"}
    assert not exact
    pairs = all_pairs([r["text"] for shard in shards for r in shard], settings)
    assert expect_oracle(outcome, shards, settings, pairs, False) > 5


def labelled(shared_data: Path, size: str) -> tuple[list[str], set[frozenset[int]]]:
    """Texts and labelled pairs of one of the sets."""
    folder = shared_data / "neardup_minhash_articles"
    path = folder / f"articles_{size}.train"
    raw = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{path.name}.gz").read_bytes())
    rows = [line.split(" ", 1) for line in raw.decode("utf-8", "replace").split("\n") if " " in line]
    number = {name: i for i, (name, _) in enumerate(rows)}
    truth = (folder / f"articles_{size}.truth").read_text().split("\n")
    pairs = {frozenset(number[name] for name in line.split()) for line in truth if line.strip()}
    return [text for _, text in rows], pairs


@pytest.mark.data
@pytest.mark.parametrize("size", ["100", "1000", "2500"])
def test_labelled_pairs_are_found_and_nothing_else(tmp_path: Path, shared_data: Path, size: str) -> None:
    texts, pairs = labelled(shared_data, size)
    shards = [[record(text, i) for i, text in enumerate(texts)]]
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, shards))
    found = {frozenset((row["row"], row["match_row"])) for row in ledger(outcome)}
    assert found == pairs


LONG_ZH = "春天来了，花园里的花都开了，孩子们在草地上奔跑，老人们坐在长椅上晒太阳，远处传来悠扬的琴声。"
LONG_EN = (
    "The quick brown fox jumps over the lazy dog while seven wise owls watch "
    "from an old oak near our quiet river bank at dawn."
)


@pytest.mark.parametrize(
    ("first", "second", "rule"),
    [
        (LONG_ZH, LONG_ZH, "exact_duplicate"),
        (LONG_ZH, LONG_ZH.replace("，", " ").replace("。", "！😀👍🏽❤️"), "exact_duplicate"),
        (LONG_EN, LONG_EN.replace(" ", "  ").replace(".", "..."), "exact_duplicate"),
        (LONG_ZH * 3, LONG_ZH * 3 + "转载", "near_duplicate"),
        (LONG_EN, LONG_EN.replace("seven", "eight"), "near_duplicate"),
        (LONG_ZH, LONG_EN, None),
        (LONG_ZH, LONG_ZH[::-1], None),
        ("", "", None),
        ("   ", "\n\n", None),
        ("!!!", "!!!", "exact_duplicate"),
        ("!!!", "???", None),
        ("😀", "😁", None),
        ("C++", "C#", None),
        ("1.5", "15", None),
        ("好的", "好的 ", "exact_duplicate"),
        ("好的", "好吧", None),
        ("a b c d e f", "a b c d e f g", None),
    ],
)
def test_two_documents(tmp_path: Path, first: str, second: str, rule: str | None) -> None:
    corpus = make_corpus(tmp_path, [[record(first, 1)], [record(second, 2)]])
    outcome = deduplicate(tmp_path, corpus)
    assert [row["rule"] for row in ledger(outcome)] == ([rule] if rule else [])
    assert kept(outcome) == ({(0, 0)} if rule else {(0, 0), (1, 0)})


def test_same_url_keeps_the_better_document_and_an_earlier_stages_victim_keeps_nobody_out(
    tmp_path: Path,
) -> None:
    rng = random.Random(2)
    other = text_of(sentence(rng, "zh", 200), "zh")
    low, high = {"_signals": {"quality": "low"}}, {"_signals": {"quality": "high"}}
    records = [
        record(LONG_ZH * 4, 1, "http://a.cn/1?utm_source=x", **low),  # loses its URL to the next
        record(other, 2, "https://A.cn/1#part", **high),
        record(LONG_ZH * 4 + "！", 3, "http://a.cn/3", **low),  # equal text to the first, which is gone
        record("", 4, "", **low),
        record("", 5, "", **low),
    ]
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, [records]))
    assert kept(outcome) == {(0, 1), (0, 2), (0, 3), (0, 4)}
    (row,) = ledger(outcome)
    assert (row["rule"], row["row"], row["match_row"], row["match_doc_id"]) == (
        "duplicate_url",
        0,
        1,
        f"{2:032x}",
    )
    assert outcome.facts["bloom"]["candidates"] == 1


@pytest.mark.parametrize(("every", "removed"), [(18, True), (7, False)])
def test_a_copy_is_found_by_its_edits_where_its_bigrams_are_too_different(
    tmp_path: Path, every: int, removed: bool
) -> None:
    """A character in 18 changed: edit similarity 0.94, Jaccard similarity 0.8 and below; one in 7: 0.86 and 0.55."""
    first = [chr(0x4E00 + i) for i in range(360)]
    second = [chr(0x8000 + i) if i % every == 4 else c for i, c in enumerate(first)]
    records = [record("".join(text), i, language="zh") for i, text in enumerate((first, second))]
    corpus = make_corpus(tmp_path, [records])
    outcome = deduplicate(tmp_path, corpus, similarity=0.85, hamming=12)
    assert len(kept(outcome)) == 2 - removed
    (row,) = ledger(outcome) or [{"similarity": 0.0}]
    assert row["similarity"] == (pytest.approx(319 / 399) if removed else 0.0)
    alone = deduplicate(tmp_path, corpus, similarity=0.85, edit_similarity=1.0, hamming=12)
    assert len(kept(alone)) == 2


def test_similarity_is_not_transitive(tmp_path: Path) -> None:
    rng = random.Random(8)
    a = sentence(rng, "zh", 400)
    b = a[:300] + sentence(rng, "zh", 40) + a[340:]
    c = b[:100] + sentence(rng, "zh", 60) + b[160:]
    texts = [text_of(t, "zh") for t in (a, b, c)]
    corpus = make_corpus(tmp_path, [[record(text, i, language="zh") for i, text in enumerate(texts)]])
    outcome = deduplicate(tmp_path, corpus, hamming=12, similarity=0.7, minhash=False)
    rows = {row["row"]: row["match_row"] for row in ledger(outcome)}
    settings = Settings(12, 0.7)
    expected, _ = all_pairs(texts, settings).decide([0, 1, 2], settings, False)
    assert rows == {i: match for i, (match, _, _) in expected.items()}
    assert rows == {1: 0}  # c is like b, but b is gone and c is not like a


def test_same_digest_for_any_number_of_workers_and_after_a_restart(tmp_path: Path) -> None:
    records = related_texts(1, 80)
    records += [dict(r, text=r["text"] + "！", doc_id=f"{i:032x}") for i, r in enumerate(records[:20])]
    records += [record(f"page {i}", i, f"http://a.cn/{i % 30}") for i in range(60)]
    corpus = make_corpus(tmp_path / "corpus", [records[i::5] for i in range(5)])
    settings = {"partition_documents": 100, "verify_documents": 30}
    one = deduplicate(tmp_path / "one", corpus, 1, **settings)
    two = deduplicate(tmp_path / "two", corpus, 2, **settings)
    assert two.digest == one.digest
    assert set(one.counts.removed_by) == {"duplicate_url", "exact_duplicate", "near_duplicate"}
    folder = next((tmp_path / "two" / "deduplicate").iterdir())
    (folder / "manifest.json").unlink()
    markers = sorted((folder / "parts").iterdir())
    for marker in markers[1::2]:
        marker.unlink()
    again = deduplicate(tmp_path / "two", corpus, 1, **settings)
    assert not again.cached
    assert again.digest == one.digest
    total = one.counts.total
    assert total.input.documents == total.kept.documents + total.removed.documents == len(records)


def test_the_same_digest_on_s3(tmp_path: Path, s3_root: str) -> None:
    records = related_texts(9, 40)
    corpus = make_corpus(tmp_path, [records[i::2] for i in range(2)])
    here = deduplicate(tmp_path, corpus)
    there = run_step(
        "deduplicate", config={}, inputs={"corpus": corpus.ref}, root=s3_root, runtime=Runtime(workers=1)
    )
    assert there.digest == here.digest
    assert there.counts.total.removed.documents > 5


def dumps(seed: int) -> tuple[list[list[dict[str, Any]]], list[list[dict[str, Any]]]]:
    """A dump, and a later one with 30 new documents, 10 same URLs, 10 re-posts, 10 near copies and 5 short ones."""
    rng = random.Random(seed)
    languages = ["zh", "en"]
    first = [sentence(rng, languages[i % 2], 150) for i in range(60)]

    def post(tokens: list[str], i: int, url: str, end: str = "") -> dict[str, Any]:
        language = languages[i % 2]
        return record(text_of(tokens, language) + end, rng.getrandbits(90), url, language=language)

    one = [post(tokens, i, f"http://a.cn/{i}") for i, tokens in enumerate(first)]
    two = [post(sentence(rng, languages[i % 2], 150), i, f"http://b.cn/{i}") for i in range(30)]
    two += [
        post(sentence(rng, languages[i % 2], 150), i, f"https://a.cn/{i}?utm_source=z") for i in range(10)
    ]
    two += [post(first[i], i, f"http://c.cn/{i}", "！！😀") for i in range(10, 20)]
    two += [
        post([*edited(rng, first[i], 0.01, languages[i % 2]), first[i][0]], i, f"http://c.cn/{i}")
        for i in range(20, 30)
    ]
    two += [post(list("好"), 1, f"http://d.cn/{i}", str(i)) for i in range(5)]
    return [one[:30], one[30:]], [two[:33], two[33:]]


def test_re_posts_of_a_published_dump_are_removed_from_the_next(tmp_path: Path) -> None:
    one, two = dumps(3)
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", one))
    assert first.counts.total.removed.documents == 0
    corpus = make_corpus(tmp_path / "2", two)
    alone = deduplicate(tmp_path, corpus)
    assert alone.counts.total.removed.documents == 0
    second = deduplicate(tmp_path, corpus, index={"crawl_1": first.ref})
    removed = {name: tally.documents for name, tally in second.counts.removed_by.items()}
    assert removed == {"duplicate_url": 10, "exact_duplicate": 10, "near_duplicate": 10}
    shards = {shard.sha256: shard for shard in Corpus.open(first.artifact).shards}
    for row in ledger(second):
        match = shards[row["match_shard"]].read(["doc_id"], kept=False)["doc_id"][row["match_row"]].as_py()
        assert match == row["match_doc_id"]
        assert first.artifact.reference.folder in row["detail"]
    # the index holds what stayed, and a third dump meets both
    third = deduplicate(tmp_path, make_corpus(tmp_path / "3", two), index={"a": first.ref, "b": second.ref})
    removed = {name: tally.documents for name, tally in third.counts.removed_by.items()}
    assert removed == {"duplicate_url": 45, "exact_duplicate": 10, "near_duplicate": 10}
    other_names = deduplicate(
        tmp_path, make_corpus(tmp_path / "3", two), index={"z": first.ref, "b": second.ref}
    )
    assert kept(other_names) == kept(third)


def test_an_index_made_with_other_settings_is_made_anew_from_its_texts(tmp_path: Path) -> None:
    one, two = dumps(4)
    corpus_one, corpus_two = make_corpus(tmp_path / "1", one), make_corpus(tmp_path / "2", two)
    same = deduplicate(tmp_path, corpus_one, ideograph_gram=3)
    other = deduplicate(tmp_path, corpus_one)
    wanted = deduplicate(tmp_path, corpus_two, index={"a": same.ref}, ideograph_gram=3)
    found = deduplicate(tmp_path, corpus_two, index={"a": other.ref}, ideograph_gram=3)
    assert wanted.counts.total.removed.documents > 20
    assert kept(found) == kept(wanted)


def test_a_repeated_run_never_meets_itself_and_a_corpus_without_index_files_will_do_as_one(
    tmp_path: Path,
) -> None:
    one, two = dumps(5)
    corpus_one, corpus_two = make_corpus(tmp_path / "1", one), make_corpus(tmp_path / "2", two)
    first = deduplicate(tmp_path, corpus_one)
    again = deduplicate(tmp_path, corpus_one, index={"one": first.ref})
    assert kept(again) == kept(first)
    assert again.facts["published_documents"] == 0
    by_index = deduplicate(tmp_path, corpus_two, index={"one": first.ref})
    by_text = deduplicate(tmp_path, corpus_two, index={"one": corpus_one.ref})
    assert by_text.facts["published_documents"] == by_index.facts["published_documents"] == 60
    assert kept(by_text) == kept(by_index)
    assert by_index.counts.total.removed.documents == 30


def test_index_files_hold_the_keys_of_kept_documents_and_no_text(tmp_path: Path) -> None:
    records = related_texts(6, 30)
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, [records]))
    (entry,) = outcome.artifact.files("dedup_index")
    keys = outcome.artifact.read_table(entry)
    assert {(0, row) for row in keys["row"].to_pylist()} == kept(outcome)
    assert entry.meta["shard"] == Corpus.open(outcome.artifact).shards[0].sha256
    assert not [field for field in keys.schema if "string" in str(field.type)]


def test_a_source_that_near_duplicates_would_wipe_out_raises_an_alarm(tmp_path: Path) -> None:
    rng = random.Random(7)
    tokens = sentence(rng, "zh", 200)
    template = [text_of([*tokens, *sentence(rng, "zh", 4)], "zh") for _ in range(120)]
    records = [record(text, i, source="templates", language="zh") for i, text in enumerate(template)]
    records += [record(text_of(sentence(rng, "en", 100), "en"), 500 + i) for i in range(120)]
    corpus = make_corpus(tmp_path, [records])
    with pytest.raises(DataError, match=r"templates: 119 of 120"):
        deduplicate(tmp_path, corpus)
    outcome = deduplicate(tmp_path, corpus, max_source_removal=1.0)
    assert outcome.counts.groups["templates|zh"].kept.documents == 1


def test_an_empty_corpus_and_one_without_survivors(tmp_path: Path) -> None:
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, [[]]))
    assert outcome.counts.total.input.documents == 0
    assert outcome.artifact.manifest.identity.documents is not None
    first = deduplicate(tmp_path, make_corpus(tmp_path / "a", [[record(LONG_ZH, 1, "http://a.cn/")]]))
    second = deduplicate(
        tmp_path, make_corpus(tmp_path / "b", [[record(LONG_ZH, 2, "http://a.cn/")]]), index={"a": first.ref}
    )
    assert kept(second) == set()


def test_the_bloom_filter_s_error_is_measured_and_costs_no_document(tmp_path: Path) -> None:
    records = [record("", i, f"http://site{i % 100}.cn/page/{i % 20_000}") for i in range(25_000)]
    outcome = deduplicate(tmp_path, make_corpus(tmp_path, [records]), bloom_false_positives=0.05)
    facts = outcome.facts["bloom"]
    assert outcome.counts.removed_by["duplicate_url"].documents == len(records) - facts["urls"]
    assert facts["urls"] == len({r["url"] for r in records})
    assert facts["false_positives"] == facts["candidates"] - (len(records) - facts["urls"]) > 0
    assert 0 < facts["measured"] < 0.05
    assert facts["measured_full"] < 0.05
