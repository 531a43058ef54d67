"""What the filter's rule on near-repeated sentences would remove from clean texts, and from web texts.

    python -m benchmarks.quality.near_repeats [--show 5]

Before exemptions by kind of source: the rule leaves code, mathematics, laws and reference works alone. ``--show``
prints so many of the sentences that would go.
"""

from __future__ import annotations

import argparse
import random

import pyarrow as pa

from benchmarks.quality.chain import read_jsonl, shared
from benchmarks.quality.deduplicate import show
from steps.filter.config import Config
from steps.filter.signals import compile_words, measure

RULE = "s09_near_repeat_v1"
SETS = {
    "wiki_zh": "wiki_zh/train.jsonl.gz",
    "wiki_en": "wiki_en/train.jsonl.gz",
    "lctt_opensource": "lctt_opensource/lctt_opensource_zh_en.jsonl.gz",
    "laws_zh": "laws_zh/laws.jsonl.gz",
    "oi_wiki_zh": "oi_wiki_zh/docs.jsonl.gz",
    "dureader_web_zh": "dureader_web_zh/docs.jsonl.gz",
}
DOCUMENTS = 1_500  # of each set
BATCH = 200


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--show", type=int, default=0, help="removed sentences to print, of each set")
    options = parser.parse_args()
    (bound,) = (rule.max for rule in Config().rules if rule.id == RULE)
    assert bound is not None  # the rule has a greatest similarity
    words, rows = compile_words(Config()), []
    for name, path in SETS.items():
        texts = [row["text"] for row in read_jsonl(shared(path))][:DOCUMENTS]
        sentences, removed, gone = 0, 0, []
        for begin in range(0, len(texts), BATCH):
            some = texts[begin : begin + BATCH]
            found = measure(pa.array(some, pa.large_string()), ["zh"] * len(some), words)
            near = (found.sentence["nearly_repeats"] > bound) & (found.sentence["repeats_earlier"] == 0)
            sentences += len(near)
            removed += int(near.sum())
            spans = zip(found.sentences.start[near], found.sentences.end[near], strict=True)
            gone += [found.data[a:b].tobytes().decode() for a, b in spans]
        rows.append([name, f"{len(texts):,}", f"{sentences:,}", f"{removed:,}", f"{removed / sentences:.3%}"])
        for sentence in random.Random(1).sample(gone, min(options.show, len(gone))):
            print(f"{name}: {sentence.strip()}")
    show(["set", "documents", "sentences", "near copies of an earlier one", "share"], rows)


if __name__ == "__main__":
    main()
