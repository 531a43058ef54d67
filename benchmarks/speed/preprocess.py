"""Language, normalisation and masking: MB of UTF-8 per second and core, parts and the whole step, and peak memory.

    python -m benchmarks.speed.preprocess [--megabytes 4] [--repeat 10]

Texts are real (shared data): Chinese documents behind search results, Traditional and Simplified articles, English
web pages and technical articles. A part is measured alone on the same documents; "kernels" is all that happens to a
batch. The whole step also reads and writes Parquet, counts, draws its report, and starts. Beside it: fastText's
lid.176 and OpenCC, the bare libraries, called once per document.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.quality.chain import markdown, read_jsonl, shared
from benchmarks.speed.corpora import articles, make_corpus, run_process, step_command
from steps.preprocess.config import Config
from steps.preprocess.kernels import prepare
from steps.text import language
from steps.text.normalise import Batch, Settings, converter, lookup, normalise_batch
from steps.text.personal_data import mask_lines
from steps.text.scan import scan
from steps.text.scan_tables import tables
from steps.text.segment import text_buffers

SETS = {
    "web zh (DuReader)": "dureader_web_zh/docs.jsonl.gz",
    "wiki zh, part Traditional": "wiki_zh/train.jsonl.gz",
    "web en (C4)": "cc_en_samples/c4_demo.jsonl.gz",
}
BATCH = 512


def some(texts: list[str], megabytes: float) -> list[str]:
    """The first documents of so many MB, or all."""
    sizes = np.cumsum([len(text.encode()) for text in texts])
    return texts[: int(np.searchsorted(sizes, megabytes * 1e6)) + 1]


def best_rate(texts: list[str], work: Callable[[list[str]], object]) -> float:
    """MB per CPU second of the best of three runs, in batches."""
    work(texts[:BATCH])
    taken = []
    for _ in range(3):
        began = time.process_time()
        for start in range(0, len(texts), BATCH):
            work(texts[start : start + BATCH])
        taken.append(time.process_time() - began)
    return sum(len(text.encode()) for text in texts) / 1e6 / min(taken)


def as_batch(texts: list[str], chinese: bool) -> Batch:
    data, offsets = text_buffers(pa.array(texts, pa.string()))
    return Batch(data, offsets, np.full(len(texts), chinese), np.ones(len(texts), bool))


def parts(chinese: bool) -> dict[str, Callable[[list[str]], object]]:
    settings = Settings()

    def scanned(texts: list[str]) -> object:
        batch = as_batch(texts, chinese)
        return scan(batch.data, batch.offsets, batch.prose, lookup(settings))

    def masked(texts: list[str]) -> object:
        batch = as_batch(texts, chinese)
        return mask_lines(batch.data, scan(batch.data, batch.offsets, batch.prose, tables()))

    def bare(texts: list[str]) -> None:
        predict, convert = language._model().f.predict, converter("t2s").convert
        for text in texts:
            predict(text.replace("\n", " ") + "\n", 1, 0.0, "replace")
            convert(text)

    def kernels(texts: list[str]) -> object:
        return prepare(pa.array(texts, pa.string()), [""] * len(texts), np.ones(len(texts), bool), Config())

    return {
        "scan": scanned,
        "language": language.identify,
        "normalise": lambda texts: normalise_batch(as_batch(texts, chinese), settings),
        "scan and mask": masked,
        "kernels": kernels,
        "lid.176 + OpenCC, bare": bare,
    }


def step_rate(code: str, megabytes: float, folder: Path) -> list[str]:
    """MB per CPU second and the peak memory of the whole step on one core."""
    corpus = make_corpus(folder, code, megabytes)
    cost = run_process(step_command("preprocess", folder, {"corpus": corpus.ref}), {"TOKENMILL_WORKERS": "1"})
    return [f"{corpus.counts.total.kept.bytes / 1e6 / cost.cpu:.1f}", f"{cost.memory / 1e6:.0f} MB"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=4.0, help="documents per set")
    parser.add_argument("--repeat", type=int, default=10, help="times as many for the whole step")
    options = parser.parse_args()
    texts = {name: [row["text"] for row in read_jsonl(shared(path))] for name, path in SETS.items()}
    texts |= {f"articles {code}": articles(code) for code in ("zh", "en")}
    rows = []
    for name, found in texts.items():
        chosen = some(found, options.megabytes)
        rates = {part: best_rate(chosen, work) for part, work in parts("zh" in name).items()}
        whole = ["", ""]
        if name.startswith("articles"):
            with tempfile.TemporaryDirectory() as folder:
                whole = step_rate(name[-2:], options.megabytes * options.repeat, Path(folder))
        rows.append([name, *(f"{rate:.1f}" for rate in rates.values()), *whole])
    print(markdown(["MB/s per core", *parts(True), "whole step", "peak memory"], rows))


if __name__ == "__main__":
    main()
