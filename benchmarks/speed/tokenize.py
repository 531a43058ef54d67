"""Tokenising inside pack beside the tokenizer libraries' own batch calls, both files that `initialize` writes.

    python -m benchmarks.speed.tokenize [--documents 800] [--rounds 4]

A LLaMA-like tokenizer of 8,000 pieces and 3,000 characters is trained on the articles that are not timed. Ours is
pack's code from Parquet rows to tokens on disk (reading, prompts, <eos>, lengths, narrowing, writing); bare is
SentencePiece's ``encode_as_numpy`` and tokenizers' ``encode_batch_fast`` on the same texts in memory; what the latter
returns is not read, though ours has to. One thread each, in the same run, one after the other; the best of the rounds
counts, in processor time, so that other work matters little.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece
from tokenizers import Tokenizer

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import articles
from steps.initialize.characters import count_characters
from steps.initialize.tokenizer import extend, fast_tokenizer, train_tokenizer
from steps.initialize.vocabulary import SENTENCEPIECE, Base, choose
from steps.pack.tokenize import BATCH, encode_texts, render
from steps.text.encoder import Encode, fast_encoder, sentencepiece_encoder

EOS = 2


def tokenizer(texts: dict[str, list[str]]) -> tuple[bytes, str]:
    """Both files of a tokenizer trained on English and given Chinese characters."""
    lines = (line for text in texts["en"] for line in text.split("\n") if line)
    base = train_tokenizer(lines, 8000)
    points, counts = count_characters(pa.chunked_array([texts["zh"]]))
    counted = [(chr(point), int(count)) for point, count in zip(points, counts, strict=True)]
    model = extend(base, choose(Base.of(SENTENCEPIECE, base), "", counted, 3000))
    return model, fast_tokenizer(model)


def ours(encode: Encode, source: Path, target: Path) -> None:
    """From a shard of documents to a token file, as the step does it."""
    table = pq.ParquetFile(source).read(use_threads=False)
    listed = pa.table({"set": ["web/x"] * table.num_rows})
    with target.open("wb") as file:
        for at in range(0, table.num_rows, BATCH):
            encode_texts(encode, render(table.slice(at, BATCH), listed.slice(at, BATCH), {}), "uint16", file)


def seconds(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=800, help="of each language")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    count = options.documents
    model, described = tokenizer({name: articles(name)[count:] for name in ("en", "zh")})
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    fast = Tokenizer.from_str(described)
    rows = []
    with tempfile.TemporaryDirectory(prefix="tokenize-") as scratch:
        folder = Path(scratch)
        for language in ("en", "zh"):
            texts = articles(language)[:count]
            size = sum(len(text.encode()) for text in texts) / 1e6
            source = folder / f"{language}.parquet"
            pq.write_table(pa.table({"language": [language] * len(texts), "text": texts}), source)
            kinds = {
                "SentencePiece": (
                    sentencepiece_encoder(model),
                    lambda texts=texts: processor.encode_as_numpy(texts, num_threads=1),
                ),
                "tokenizers": (
                    fast_encoder(described, EOS),
                    lambda texts=texts: fast.encode_batch_fast(texts, add_special_tokens=False),
                ),
            }
            for name, (encode, bare) in kinds.items():
                pairs = [
                    (seconds(lambda e=encode, s=source: ours(e, s, folder / "out")), seconds(bare))  # type: ignore[misc]
                    for _ in range(options.rounds)
                ]
                mine, theirs = (min(column) for column in zip(*pairs, strict=True))
                rows.append(
                    (
                        name,
                        language,
                        f"{size / mine:.2f}",
                        f"{size / theirs:.2f}",
                        f"{100 * (mine / theirs - 1):+.1f} %",
                    )
                )
    header = ("library", "language", "pack, MB/s", "bare, MB/s", "time more than bare")
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
