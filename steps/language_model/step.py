"""language_model: kept documents of one language → sp.model and lm.bin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece
import zstandard

from steps.core.artifact import Artifact, Files
from steps.core.catalog import Catalog
from steps.core.corpus import Corpus
from steps.core.document import text_bytes
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.language_model.config import Config
from steps.language_model.report import report
from steps.language_model.train import encode_lines, find_lmplz, train_ngrams, train_pieces
from steps.text.scorer_text import NORMALISATION, normalise_lines

BATCH = 2_000  # documents or lines that are held as Python strings at once


def run(ctx: StepContext) -> None:
    """Normalise the lines, learn the pieces, write lines as pieces, count the n-grams."""
    find_lmplz()  # a missing program ends the step before the work, not after it
    config: Config = ctx.config
    shards = [{"shard": shard.index} for shard in ctx.corpus().shards]
    sizes = [part.result for part in ctx.map("count", count_documents, shards)]
    if sum(sizes) == 0:
        raise DataError(
            f"{ctx.inputs['corpus'].reference.uri} has no kept document of language {config.language!r}; "
            "set language, or keep it in preprocess"
        )
    before = np.cumsum([0, *sizes[:-1]])
    take = [int(min(size, max(0, config.max_documents - b))) for size, b in zip(sizes, before, strict=True)]
    line_parts = ctx.map("lines", write_lines, [{**s, "take": t} for s, t in zip(shards, take, strict=True)])
    lines = sum(part.result for part in line_parts)
    if lines == 0:
        raise DataError(f"the {sum(take)} documents of language {config.language!r} hold no text to train on")
    files = [entry.model_dump() for part in line_parts for entry in part.temporary]
    stride = -(-lines // config.max_piece_lines)
    vocabulary = ctx.part(
        "vocabulary", learn_pieces, {"folder": ctx.folder, "lines": files, "stride": stride}
    )
    model = vocabulary.files[0].model_dump()
    piece_parts = ctx.map(
        "pieces", write_pieces, [{"folder": ctx.folder, "lines": entry, "model": model} for entry in files]
    )
    pieces = [entry.model_dump() for part in piece_parts for entry in part.temporary]
    ctx.part("ngrams", count_ngrams, {"folder": ctx.folder, "pieces": pieces})

    ctx.set("language", config.language)
    ctx.set("normalisation", NORMALISATION)
    ctx.set("vocabulary", vocabulary.result)
    ctx.set("documents", sum(take))
    ctx.set("lines", lines)
    ctx.set("pieces", sum(part.result for part in piece_parts))
    ctx.set("order", config.order)
    if vocabulary.result < config.vocabulary:
        ctx.log.info("the corpus holds %d pieces, less than %d", vocabulary.result, config.vocabulary)
    ctx.metric("corpus/training_documents", sum(take))
    ctx.metric("corpus/vocabulary", vocabulary.result)


def count_documents(task: dict[str, Any], part: PartWriter) -> int:
    """Kept documents of the language in one shard."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["language"])
    return int(pc.sum(pc.equal(table["language"], part.config.language)).as_py() or 0)


def write_lines(task: dict[str, Any], part: PartWriter) -> int:
    """Normalised lines of the first `take` documents of a shard; returns how many."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["source", "language", "text"])
    table = table.filter(pc.equal(table["language"], part.config.language)).slice(0, task["take"])
    sizes = text_bytes(table["text"])
    for source in sorted(set(table["source"].to_pylist())):
        mine = sizes[pc.equal(table["source"], source).to_numpy(zero_copy_only=False)]
        part.count.add_input(source, part.config.language, len(mine), int(mine.sum()))
        part.count.add_kept(source, part.config.language, len(mine), int(mine.sum()))
    batches = [
        pa.array(
            [line for text in normalise_lines(table["text"].slice(at, BATCH)) for line in text],
            pa.large_string(),
        )
        for at in range(0, table.num_rows, BATCH)
    ]
    lines = pa.chunked_array(batches, pa.large_string())
    part.put_table(f"lines/{task['shard']:05d}.parquet", pa.table({"line": lines}), "lines", temporary=True)
    return len(lines)


def learn_pieces(task: dict[str, Any], part: PartWriter) -> int:
    """sp.model from every `stride`-th line of the corpus; returns its number of pieces."""
    files, config = Files(part.store, task["folder"]), part.config

    def lines() -> Any:
        at = 0
        for entry in map(FileEntry.model_validate, task["lines"]):
            column = files.read_table(entry)["line"]
            first = -at % task["stride"]
            at += len(column)
            for line in column.take(pa.array(range(first, len(column), task["stride"]), pa.int64())):
                yield line.as_py()

    model = train_pieces(
        lines(),
        vocabulary=config.vocabulary,
        character_coverage=config.character_coverage,
        max_line_bytes=config.max_line_bytes,
        threads=config.training_threads,
    )
    part.put_bytes("sp.model", model, "sentencepiece")
    return sentencepiece.SentencePieceProcessor(model_proto=model).get_piece_size()


def write_pieces(task: dict[str, Any], part: PartWriter) -> int:
    """One shard's lines as pieces, compressed; returns how many pieces."""
    files = Files(part.store, task["folder"])
    model = files.read_bytes(FileEntry.model_validate(task["model"]))
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    entry = FileEntry.model_validate(task["lines"])
    column = files.read_table(entry)["line"]
    path, count = part.scratch / "pieces.zst", 0
    with path.open("wb") as raw, zstandard.ZstdCompressor(level=3).stream_writer(raw) as out:
        for at in range(0, len(column), BATCH):
            data = encode_lines(processor, column.slice(at, BATCH).to_pylist())
            count += data.count(b" ") + data.count(b"\n")
            out.write(data)
    part.put_file(entry.key.replace("lines/", "pieces/") + ".zst", path, "pieces", temporary=True)
    return count


def count_ngrams(task: dict[str, Any], part: PartWriter) -> None:
    """lm.bin from all pieces."""
    files, text = Files(part.store, task["folder"]), part.scratch / "pieces.txt"
    with text.open("wb") as out:
        for entry in map(FileEntry.model_validate, task["pieces"]):
            with files.fetch(entry, part.scratch).open("rb") as raw:
                zstandard.ZstdDecompressor().copy_stream(raw, out)
    model, config = part.scratch / "lm.bin", part.config
    train_ngrams(
        text, model, order=config.order, prune=config.prune, structure=config.structure, scratch=part.scratch
    )
    part.put_file("lm.bin", model, "kenlm")


def enter_catalog(artifact: Artifact, run: Mapping[str, Any]) -> None:
    """Name the scorer in the catalog, under the recipe's name and the language, for data_factory to find."""
    if not run:
        return
    name, language = run["recipe"]["name"], artifact.config["language"]
    Catalog(artifact.store).update(
        "language_models", lambda all_: {**all_, name: {**all_.get(name, {}), language: artifact.local_ref}}
    )


STEP = Step(
    name="language_model",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("corpus"),),
    libraries=("sentencepiece", "kenlm"),
    after_commit=enter_catalog,
    report=report,
)
