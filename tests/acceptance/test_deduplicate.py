"""De-duplication against all pairs, on every shared set of up to 10,000 documents and their changed copies.

python -m tests.acceptance.test_deduplicate [SET ...]    the table of docs/deduplication.md
"""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import random
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DATA
from tests.steps.deduplicate.oracle import AllPairs, Settings, simhash
from tests.steps.deduplicate.test_deduplicate import (
    band_keys,
    deduplicate,
    differences,
    labelled,
    record,
)
from tests.steps.documents import make_corpus

SETS = {
    "wiki_zh": "wiki_zh/train.jsonl.gz",
    "wiki_en": "wiki_en/train.jsonl.gz",
    "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
    "lctt_opensource": "lctt_opensource/lctt_opensource_zh_en.jsonl.gz",
    "laws_zh": "laws_zh/laws.jsonl.gz",
    "oi_wiki_zh": "oi_wiki_zh/docs.jsonl.gz",
    "cc_en_samples": "cc_en_samples/c4_demo.jsonl.gz",
    "sft_gsm8k": "sft_gsm8k/train.jsonl.gz",
    "math_train": "math_train/MATH_train_1500.jsonl.gz",
    "sft_alpaca": "sft_alpaca/alpaca_zh_demo.json.gz",
    "tox_cold_zh": "tox_cold_zh/train.csv.gz",
    "crawl_mix": "crawl_mix",
    "html_debian_docs": "html_debian_docs/libreoffice-help.tar.xz",
    "neardup_minhash_articles": "neardup_minhash_articles",
}
MOST = 10_000  # documents of a set, its changed copies included
CHARACTERS = 1_000  # of each text: the oracle is slow, and similarity does not depend on length
BOUNDS = (*((bound, False) for bound in range(9)), (6, True))  # Hamming bound; whether bands find pairs too


def texts_of(name: str, data: Path) -> Iterator[str]:
    """The set's texts as they are: no extraction, no rules."""
    path = data / SETS[name]
    if name == "neardup_minhash_articles":
        for size in ("100", "1000", "2500"):
            yield from labelled(data, size)[0]
    elif name == "crawl_mix":
        for file in sorted(path.glob("*.wet.gz")):
            records = gzip.decompress(file.read_bytes()).decode("utf-8", "replace").split("WARC/1.0\r\n")
            yield from (some.partition("\r\n\r\n")[2] for some in records if "WARC-Type: conversion" in some)
    elif name == "html_debian_docs":
        with tarfile.open(path) as archive:
            for member in archive:
                page = archive.extractfile(member)
                if page and member.name.endswith("html"):
                    yield html.unescape(re.sub(r"<[^>]*>", " ", page.read().decode("utf-8", "replace")))
    else:
        raw = gzip.decompress(path.read_bytes()).decode("utf-8-sig")
        if path.suffixes[-2] == ".csv":
            yield from (row["TEXT"] for row in csv.DictReader(io.StringIO(raw, newline="")))
        else:
            rows = (
                json.loads(raw)
                if path.suffixes[-2] == ".json"
                else (json.loads(line) for line in raw.split("\n") if line)
            )
            names = ("text", "question", "answer", "problem", "solution", "instruction", "input", "output")
            for row in rows:
                yield "\n".join(row[field] for field in names if row.get(field))


def with_copies(texts: list[str], name: str) -> list[str]:
    """The set's texts, cut, and as many changed copies as there is room for, sorted; no two equal but for
    punctuation, so that all goes to the near stage."""
    rng = random.Random(name)
    # the oracle's tokens are Han characters and ASCII words; kana, marks and rarer scripts are tested with the kernels
    some = texts if len(texts) <= MOST else texts[: MOST // 2]
    found = [re.sub(r"[^\x00-\x7f\u4e00-\u9fff]", " ", text[:CHARACTERS]) for text in some]
    for text in found[: MOST - len(found)]:
        share = rng.choice([0.005, 0.01, 0.02, 0.04])
        found.append("".join(c for c in text if rng.random() > share))
    different = {re.sub(r"[\W_]", "", text): text for text in found}
    return sorted(text for content, text in different.items() if content)


def rows_of(name: str, data: Path, root: Path) -> Iterator[tuple[int, bool, int, int, int, int, int]]:
    """For each of BOUNDS: bound, whether bands count, documents, candidate pairs, removals of the oracle, how many of
    those the step has not got or with another match, and removals that the oracle has not got."""
    rng = random.Random(name)
    records = [record(text, rng.getrandbits(100)) for text in with_copies(list(texts_of(name, data)), name)]
    shards = [records[i::5] for i in range(5)]
    corpus = make_corpus(root, shards)
    texts = [r["text"] for shard in shards for r in shard]
    settings = Settings(max(bound for bound, _ in BOUNDS), 0.8)
    fingerprints = [simhash(text, settings) for text in texts]
    pairs = AllPairs(texts, fingerprints, *band_keys(texts, settings.similarity), settings.hamming)
    for bound, minhash in BOUNDS:
        outcome = deduplicate(root, corpus, 2, hamming=bound, minhash=minhash, short_characters=0)
        missed, wrong, candidates, removed = differences(
            outcome, shards, settings._replace(hamming=bound), pairs, minhash
        )
        found = outcome.facts["near"].get("candidate_pairs", 0)
        assert found == candidates or missed or wrong, f"{found} candidates, {candidates} by all pairs"
        yield bound, minhash, len(texts), candidates, removed, len(missed), len(wrong)


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", sorted(SETS))
def test_no_candidate_is_missed_and_nothing_else_is_removed(
    name: str, tmp_path: Path, shared_data: Path
) -> None:
    everything = 0
    for bound, _, _, _, removed, missed, wrong in rows_of(name, shared_data, tmp_path):
        assert (missed, wrong) == (0, 0), f"within {bound} bits"
        everything += removed
    assert everything > 0


def main() -> None:
    print("| set | documents | Hamming bound | candidate pairs | removed | missed | wrong |")
    print("|---|---|---|---|---|---|---|")
    for name in sys.argv[1:] or sorted(SETS):
        with tempfile.TemporaryDirectory() as folder:
            for bound, minhash, *counts in rows_of(name, DATA, Path(folder)):
                shown = " | ".join(f"{count:,}" for count in counts[1:])
                print(
                    f"| {name} | {counts[0]:,} | {bound}{', bands' if minhash else ''} | {shown} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
