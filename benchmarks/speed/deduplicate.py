"""Fingerprinting on one core, beside the `simhash` package, text-dedup's SimHash and datatrove's MinHash.

    python -m benchmarks.speed.deduplicate [--documents 300]

The same articles for all, in one run. The `simhash` package gets the very features that tokenmill uses, cut in plain
Python, and its fingerprints must be equal; its second row has its own features, 4
characters, each once (counted, they overflow in NumPy 2). Peers run in
environments of their own, with their own default features. CPU seconds, loading and compiling left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from simhash import Simhash

from benchmarks.peers import run_peer
from benchmarks.speed.corpora import articles
from steps.core.corpus import ROW
from steps.core.document import doc_id
from steps.deduplicate.config import Config
from steps.deduplicate.keys import document_keys, fingerprints, text_batches
from steps.text.hashing import mostly_ideographs, words
from steps.text.segment import text_buffers
from steps.text.simhash import new_cache
from steps.text.unicode_tables import classes

FOLDER = Path(__file__).parent


def our_fingerprints(texts: list[str], config: Config) -> np.ndarray:
    """Fingerprints as the step makes them, tokens included."""
    cache = new_cache()
    batches = text_batches(pa.chunked_array([texts], pa.large_string()))
    return np.concatenate(
        [fingerprints(words(*text_buffers(batch), classes()), config, cache)[0] for batch in batches]
    )


def features(text: str, config: Config) -> list[tuple[str, int]]:
    """The same features in plain Python, as one would write it around the package."""
    tokens = words(*text_buffers(pa.array([text], pa.large_string())), classes())
    data = tokens.data.tobytes()
    pieces = [data[a:b].decode() for a, b in zip(tokens.start.tolist(), tokens.end.tolist(), strict=True)]
    single = tokens.ideograph.tolist()
    mostly = bool(mostly_ideographs(tokens.offsets, tokens.ideograph)[0])
    longest = config.ideograph_gram if mostly else config.word_gram
    found = []
    for n in range(config.ideograph_shortest if mostly else config.word_shortest, longest + 1):
        for i in range(len(pieces) - n + 1):
            feature = pieces[i]
            for j in range(i + 1, i + n):
                feature += pieces[j] if single[j] or single[j - 1] else " " + pieces[j]
            found.append((feature, longest + 1 - n))
    once = (config.ideograph_weight if mostly else config.word_weight) == "once"
    return sorted(set(found)) if once else found


def windows(text: str) -> list[str]:
    """Every different run of 4 characters, in lower case."""
    return list({text[i : i + 4] for text in [text.lower()] for i in range(max(len(text) - 3, 1))})


def best(work: Callable[[], Any], times: int) -> float:
    """CPU seconds of the fastest of some runs."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken)


def table(language: str, documents: int, config: Config) -> list[tuple[str, float, str]]:
    """(what, MB/s, note), first ours."""
    texts = articles(language)[:documents]
    size = sum(len(text.encode()) for text in texts) / 1e6
    values = our_fingerprints(texts, config)
    corpus = pa.table(
        {
            ROW: np.arange(len(texts)),
            "doc_id": [doc_id("", text) for text in texts],
            "url": pa.nulls(len(texts), pa.string()),
            "text": pa.array(texts, pa.large_string()),
        }
    )
    document_keys(corpus, config)
    theirs = [features(text, config) for text in texts]
    equal = sum(Simhash(f).value == int(v) for f, v in zip(theirs, values, strict=True))
    request = {"texts": texts, "language": language}
    rows = [
        ("tokenmill, SimHash", best(lambda: our_fingerprints(texts, config), 5), ""),
        ("tokenmill, all keys", best(lambda: document_keys(corpus, config), 5), "exact, SimHash, MinHash"),
        (
            "simhash, same features",
            best(lambda: [Simhash(features(text, config)).value for text in texts], 1),
            f"{equal} of {len(texts)} fingerprints equal",
        ),
        ("simhash", best(lambda: [Simhash(windows(text)).value for text in texts], 1), "4 characters"),
        (
            "text-dedup, SimHash",
            run_peer("text_dedup", FOLDER / "deduplicate_textdedup.py", request)["seconds"],
            "3 characters",
        ),
        (
            "datatrove, MinHash",
            run_peer("datatrove", FOLDER / "deduplicate_datatrove.py", request)["seconds"],
            "5 words, 14 x 8",
        ),
    ]
    return [(name, size / seconds, note) for name, seconds, note in rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=300, help="articles per language")
    options = parser.parse_args()
    print("| | zh MB/s | en MB/s | tokenmill's SimHash is | |")
    print("|---|---|---|---|---|")
    zh, en = (table(language, options.documents, Config()) for language in ("zh", "en"))
    for (name, chinese, note), (_, english, other) in zip(zh, en, strict=True):
        times = (
            f"{zh[0][1] / chinese:.1f} and {en[0][1] / english:.1f} times as fast" if name != zh[0][0] else ""
        )
        print(
            f"| {name} | {chinese:.2f} | {english:.2f} | {times} | {note if note == other else f'{note}; {other}'} |"
        )


if __name__ == "__main__":
    main()
