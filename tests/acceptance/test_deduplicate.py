"""De-duplication against all pairs, on every shared set of up to 10,000 documents and their changed copies."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from tests.steps.deduplicate.oracle import Settings, simhash
from tests.steps.deduplicate.test_deduplicate import deduplicate, expect_oracle, labelled, record
from tests.steps.documents import make_corpus

SETS = {
    "wiki_zh": "wiki_zh/train.jsonl.gz",
    "wiki_en": "wiki_en/train.jsonl.gz",
    "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
    "lctt_opensource": "lctt_opensource/lctt_opensource_zh_en.jsonl.gz",
    "laws_zh": "laws_zh/laws.jsonl.gz",
    "neardup_minhash_articles": "",
}
CHARACTERS = 2_000  # of each text: the oracle is slow, and similarity does not depend on length


def texts_of(name: str, data: Path) -> list[str]:
    """The set's texts, cut, and as many changed copies as 10,000 leave room for."""
    if name == "neardup_minhash_articles":
        found = [text for size in ("100", "1000", "2500") for text in labelled(data, size)[0]]
    else:
        with gzip.open(data / SETS[name], "rb") as file:
            lines = file.read().split(b"\n")
        found = [json.loads(line)["text"] for line in lines if line.strip()]
    rng = random.Random(name)
    # the oracle's tokens are Han characters and ASCII words; kana, marks and rarer scripts are tested with the kernels
    found = [re.sub(r"[^\x00-\x7f\u4e00-\u9fff]", " ", text[:CHARACTERS]) for text in found]
    for text in found[: 10_000 - len(found)]:
        share = rng.choice([0.005, 0.01, 0.02, 0.04])
        found.append("".join(c for c in text if rng.random() > share))
    different = {
        re.sub(r"[\W_]", "", text): text for text in found
    }  # no exact duplicates: the near stage only
    return sorted(text for content, text in different.items() if content)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(SETS))
def test_no_candidate_is_missed_and_nothing_else_is_removed(
    name: str, tmp_path: Path, shared_data: Path
) -> None:
    rng = random.Random(name)
    records = [record(text, rng.getrandbits(100)) for text in texts_of(name, shared_data)]
    shards = [records[i::5] for i in range(5)]
    corpus = make_corpus(tmp_path, shards)
    for hamming, minhash in [*((bound, False) for bound in range(9)), (6, True)]:
        settings = Settings(hamming, 0.8)
        if hamming == 0:
            cache = [simhash(r["text"], settings) for shard in shards for r in shard]
        outcome = deduplicate(tmp_path, corpus, 2, hamming=hamming, minhash=minhash, short_characters=0)
        exact = {
            (row, column) for row, column in outcome.counts.removed_by.items() if row != "near_duplicate"
        }
        assert not exact, "make the set's stripped texts distinct: the oracle knows the near stage only"
        assert expect_oracle(outcome, shards, settings, cache, minhash) > 0
