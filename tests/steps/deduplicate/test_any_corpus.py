"""The whole step on corpora and settings by draw of lots: three dumps, every stage, against brute force."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from steps.core.corpus import Corpus
from steps.core.dedup_index import members
from steps.core.step import Outcome
from tests.fuzz import FUZZ_INPUTS
from tests.steps.deduplicate.oracle import Settings, first_with
from tests.steps.deduplicate.test_deduplicate import all_pairs, deduplicate, ledger, record, related_texts
from tests.steps.documents import make_corpus

Records = list[dict[str, Any]]
SHORT = 16  # letters and digits, below which texts are compared whole: the default
PAGE = re.compile(r"a\.cn[^/]*/(\d+)", re.IGNORECASE)
ADDRESSES = (
    "http://a.cn/{}",
    "https://A.cn:443/{}#top",
    "HTTP://a.CN:80/{}?utm_source=q",
    "http://a.cn/{}?&spm=1",
)
NOISE = ("！", "😀", " ", "…\n", "。")
SNIPPETS = ("", " ", "好", "!!!", "？？", "C++", "C#", "1.5", "15", "😀", "字" * 15, "字" * 16)


def some_records(rng: random.Random) -> Records:
    """Families of texts, copies with other punctuation, snippets; some with the address of a page, in any form."""
    texts = [r["text"] for r in related_texts(rng.getrandbits(32), 35)]
    texts += ["".join(c + rng.choice(NOISE) * (rng.random() < 0.1) for c in t) for t in rng.sample(texts, 12)]
    texts += rng.choices(SNIPPETS, k=12)
    rng.shuffle(texts)
    return [
        record(
            text,
            rng.getrandbits(120),
            rng.choice(ADDRESSES).format(rng.randrange(60)) if rng.random() < 0.3 else "",
        )
        for text in texts
    ]


def text_key(text: str) -> str:
    stripped = re.sub(r"[\W_]", "", text)
    return stripped if len(stripped) >= SHORT else f"whole: {text.strip()}" if text.strip() else ""


def page(record: dict[str, Any]) -> str:
    found = PAGE.search(record["url"])
    return found[1] if found else ""


def expected(before: Records, new: Records, settings: Settings, minhash: bool) -> dict[str, tuple[str, str]]:
    """{doc_id that goes: (rule, doc_id that it goes for)}."""
    everything = [*before, *new]
    order = sorted(range(len(everything)), key=lambda i: (i >= len(before), everything[i]["doc_id"]))
    texts = [r["text"] for r in everything]
    gone: dict[int, tuple[str, int]] = {}
    for rule, keys in (
        ("duplicate_url", [page(r) for r in everything]),
        ("exact_duplicate", [text_key(text) for text in texts]),
    ):
        found = first_with(keys, [i for i in order if i not in gone], lambda key: not key)
        gone |= {i: (rule, match) for i, match in found.items() if i >= len(before)}
    left = [i for i in order if i not in gone]
    near, _ = all_pairs(texts, settings).decide(left, settings, minhash)
    gone |= {i: ("near_duplicate", match) for i, (match, _, _) in near.items()}
    return {everything[i]["doc_id"]: (rule, everything[match]["doc_id"]) for i, (rule, match) in gone.items()}


def removals(outcome: Outcome) -> dict[str, tuple[str, str]]:
    return {row["doc_id"]: (row["rule"], row["match_doc_id"]) for row in ledger(outcome)}


def kept_ids(outcome: Outcome) -> set[str]:
    shards = Corpus.open(outcome.artifact).shards
    return {doc_id for shard in shards for doc_id in shard.read(["doc_id"])["doc_id"].to_pylist()}


@pytest.mark.fuzz
def test_what_goes_and_for_what_is_what_brute_force_finds(tmp_path: Path) -> None:
    rules = set[str]()
    for seed in range(max(2, FUZZ_INPUTS // 150)):
        rng = random.Random(seed)
        settings = Settings(rng.choice((0, 3, 6)), rng.choice((0.6, 0.8)), rng.choice((0.8, 0.87, 1.0)))
        minhash = rng.random() < 0.7
        config = {**settings._asdict(), "minhash": minhash, "max_source_removal": 1.0}
        config = {name: value for name, value in config.items() if name not in ("han_gram", "verify_gram")}
        records, live, before = some_records(rng), dict[str, Outcome](), Records()
        for dump in range(3):
            mine = records[dump::3]
            corpus = make_corpus(tmp_path / f"{seed}-{dump}", [mine[i::2] for i in range(2)])
            index = {name: made.ref for name, made in live.items()}
            runs = [
                deduplicate(tmp_path, corpus, index=index, partition_documents=size, **config)
                for size in rng.sample((15, 40, 90, 1000), 1 + (dump == 2))
            ]
            wanted = expected(before, mine, settings, minhash)
            for made in runs:
                assert removals(made) == wanted, f"corpus {seed}, dump {dump}"
                assert kept_ids(made) == {r["doc_id"] for r in mine} - wanted.keys()
            rules |= {rule for rule, _ in wanted.values()}
            before += [r for r in mine if r["doc_id"] not in wanted]
            taken = set(members(runs[0].artifact))
            live = {n: m for n, m in live.items() if not taken & set(members(m.artifact))} | {
                str(dump): runs[0]
            }
    assert rules == {"duplicate_url", "exact_duplicate", "near_duplicate"}
