"""Signals and rules beside datatrove's Gopher repetition + Gopher quality + C4 + FineWeb chain.

    python -m benchmarks.speed.filter [--megabytes 3] [--repeat 8]

The same English articles on one core, CPU seconds; the whole step also reads and writes Parquet, edits texts, writes
the ledger and the report, and starts. Chinese has no peer: datatrove's thresholds are not for it. Published beside
it, on other documents and machines: NeMo Curator's heuristic chain, 0.64 MB/s and core (reference/peers.md).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import articles, make_corpus, run_process, step_command
from steps.core.corpus import Corpus
from steps.core.parts import PartWork, PartWriter
from steps.core.step import Outcome
from steps.filter.config import Config
from steps.filter.signals import compile_words, measure
from steps.filter.step import batches, filter_batch, filter_shard, measured_batch


def some_articles(language: str, megabytes: float) -> list[str]:
    """The first articles of so many MB."""
    texts, size = [], 0
    for text in articles(language):
        texts.append(text)
        size += len(text.encode())
        if size >= megabytes * 1e6:
            break
    return texts


def signals_rate(language: str, texts: list[str]) -> float:
    """MB/s of all signals, the best of five."""
    words, column = compile_words(Config()), pa.array(texts, pa.large_string())
    languages = [language] * len(texts)
    measure(column, languages, words)
    taken = []
    for _ in range(5):
        began = time.process_time()
        measure(column, languages, words)
        taken.append(time.process_time() - began)
    return size_of(texts) / min(taken)


def rules_rate(corpus: Outcome, folder: Path) -> float:
    """MB/s of signals and rules: documents and spans judged, texts edited, ledger rows made; nothing read or written.

    The best of five over the first shard.
    """
    shard = Corpus.open(corpus.artifact).shards[0]
    table = shard.read(signals=())
    store = corpus.artifact.store
    taken = []
    for _ in range(6):  # the first compiles expressions and fills caches
        work = PartWork(store.uri, "", "filter", Config(), {}, folder, "filter", 0, filter_shard, {})
        part = PartWriter(work, store, folder)
        began = time.process_time()
        for batch in batches(table):
            measured, found = measured_batch(batch, shard, part)
            filter_batch(measured, found, shard, {}, [], part)
        taken.append(time.process_time() - began)
    return part.count.total.input.bytes / 1e6 / min(taken)


def step_rate(corpus: Outcome, folder: Path) -> tuple[float, int]:
    """(MB/s of the whole step on one core, its peak memory in bytes)."""
    settings = folder / "filter.yaml"
    settings.write_text("max_source_loss: 1.0\n")
    cost = run_process(
        step_command("filter", folder, {"corpus": corpus.ref}, settings), {"TOKENMILL_WORKERS": "1"}
    )
    return corpus.counts.total.kept.bytes / 1e6 / cost.cpu, cost.memory


def size_of(texts: list[str]) -> float:
    """MB of UTF-8."""
    return sum(len(text.encode()) for text in texts) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=3.0, help="articles for datatrove")
    parser.add_argument("--repeat", type=int, default=10, help="times as many for the whole step")
    options = parser.parse_args()
    english = some_articles("en", options.megabytes)
    peer = run_peer("datatrove", Path(__file__).with_name("filter_datatrove.py"), english)
    theirs = size_of(english) / peer["seconds"]
    rows = [["datatrove chain, en", f"{theirs:.2f}", "1", "-"]]
    for language in ("en", "zh"):
        texts = english if language == "en" else some_articles("zh", options.megabytes)
        rate = signals_rate(language, texts)
        rows.append([f"signals, {language}", f"{rate:.1f}", f"{rate / theirs:.0f}", "-"])
        with tempfile.TemporaryDirectory(prefix="filter-") as folder:
            corpus = make_corpus(Path(folder), language, options.megabytes * options.repeat)
            judged = rules_rate(corpus, Path(folder))
            rate, memory = step_rate(corpus, Path(folder))
        rows.append([f"signals + rules, {language}", f"{judged:.1f}", f"{judged / theirs:.0f}", "-"])
        rows.append(
            [f"whole filter step, {language}", f"{rate:.1f}", f"{rate / theirs:.0f}", f"{memory / 1e6:.0f}"]
        )
    print(markdown(["on one core", "MB/s", "x datatrove", "peak memory, MB"], rows))


if __name__ == "__main__":
    main()
