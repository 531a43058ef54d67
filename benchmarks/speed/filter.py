"""Signals and rules beside datatrove's Gopher repetition + Gopher quality + C4 + FineWeb chain.

    python -m benchmarks.speed.filter [--megabytes 3] [--repeat 10]

The same English articles on one core, CPU seconds: both sides go over all of them once to warm up, and the best of
ROUNDS more counts. The whole step also reads and writes Parquet, edits texts, writes the ledger and the report, and
starts; it runs once, on more articles. Chinese has no peer: datatrove's thresholds are not for it. Published beside
it, on other documents and machines: NeMo Curator's heuristic chain, 0.64 MB/s and core (reference/peers.md).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import make_corpus, run_process, step_command
from steps.core.corpus import Corpus
from steps.core.parts import PartWork, PartWriter
from steps.core.step import Outcome
from steps.filter.config import Config
from steps.filter.signals import compile_words, measure
from steps.filter.step import batches, filter_batch, filter_shard, measured_batch

ROUNDS = 5  # of ours and of datatrove's, after one that does not count


def texts_of(corpus: Outcome) -> list[str]:
    """The texts of a corpus."""
    shards = Corpus.open(corpus.artifact).shards
    return [text for shard in shards for text in shard.read(["text"])["text"].to_pylist()]


def best(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of ROUNDS rounds, after one that compiles expressions and fills caches."""
    taken = []
    for _ in range(1 + ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken[1:])


def signals_rate(language: str, texts: list[str]) -> float:
    """MB/s of all signals."""
    words, column = compile_words(Config()), pa.array(texts, pa.large_string())
    languages = [language] * len(texts)
    return size_of(texts) / best(lambda: measure(column, languages, words))


def rules_rate(corpus: Outcome, folder: Path) -> float:
    """MB/s of signals and rules: documents and spans judged, texts edited, ledger rows made; no files."""
    store = corpus.artifact.store
    shards = [(shard, shard.read(signals=())) for shard in Corpus.open(corpus.artifact).shards]

    def judge() -> None:
        work = PartWork(store.uri, "", "filter", Config(), {}, folder, "filter", 0, filter_shard, {})
        part = PartWriter(work, store, folder)
        for shard, table in shards:
            for batch in batches(table):
                measured, found = measured_batch(batch, shard, part)
                filter_batch(measured, found, shard, {}, [], part)

    return corpus.counts.total.kept.bytes / 1e6 / best(judge)


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
    parser.add_argument("--megabytes", type=float, default=3.0, help="articles")
    parser.add_argument("--repeat", type=int, default=10, help="times as many for the whole step")
    options = parser.parse_args()
    rows: list[list[str]] = []
    theirs = 0.0
    for language in ("en", "zh"):
        with tempfile.TemporaryDirectory(prefix="filter-") as name:
            folder = Path(name)
            corpus = make_corpus(folder, language, options.megabytes)
            texts = texts_of(corpus)
            if language == "en":
                script = Path(__file__).with_name("filter_datatrove.py")
                theirs = size_of(texts) / run_peer("datatrove", script, texts, str(ROUNDS))["seconds"]
                rows.append(["datatrove chain, en", f"{theirs:.2f}", "1", "-"])
            rate = signals_rate(language, texts)
            rows.append([f"signals, {language}", f"{rate:.1f}", f"{rate / theirs:.1f}", "-"])
            rate = rules_rate(corpus, folder)
            rows.append([f"signals + rules, {language}", f"{rate:.1f}", f"{rate / theirs:.1f}", "-"])
            many = make_corpus(folder, language, options.megabytes * options.repeat)
            rate, memory = step_rate(many, folder)
            rows.append(
                [
                    f"whole filter step, {language}",
                    f"{rate:.1f}",
                    f"{rate / theirs:.1f}",
                    f"{memory / 1e6:.0f}",
                ]
            )
    print(markdown(["on one core", "MB/s", "x datatrove", "peak memory, MB"], rows))


if __name__ == "__main__":
    main()
