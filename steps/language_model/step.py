"""language_model: kept documents of one language, or a published model → sp.model and lm.bin."""

from __future__ import annotations

import json
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
from steps.core.errors import DataError, UsageError
from steps.core.manifest import FileEntry
from steps.core.parts import PartResult
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.language_model.config import Config
from steps.language_model.imported import import_model
from steps.language_model.reference import MOST, hold_out_every, reference
from steps.language_model.report import report
from steps.language_model.train import encode_lines, find_lmplz, train_ngrams, train_pieces
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import normalise

MODEL_KINDS = ("sentencepiece", "kenlm")
BATCH = 2_000  # documents or lines that are held as Python strings at once


def run(ctx: StepContext) -> None:
    """Train the scorer on the corpus, or take over a published one; then measure it on text it has not seen."""
    if not {"corpus", "source"} & set(ctx.inputs):
        raise UsageError("step language_model needs the input corpus, source (a published model), or both")
    ctx.set("language", ctx.config.language)
    ctx.set("normalisation", ctx.config.normalisation)
    if "source" in ctx.inputs:
        model = ctx.part("import", import_model)
        ctx.set("vocabulary", model.result["vocabulary"])
        ctx.set("order", model.result["order"])
        held_out = draw_lines(ctx, train=False)[1] if "corpus" in ctx.inputs else []
    else:
        held_out = train(ctx)
    files = [entry.model_dump() for part in ctx.parts for entry in part.files if entry.kind in MODEL_KINDS]
    task = {"folder": ctx.folder, "texts": held_out, "model": files}
    ctx.set("reference", ctx.part("reference", measure_reference, task).result)


def train(ctx: StepContext) -> list[dict[str, Any]]:
    """Normalise the lines, learn the pieces, write lines as pieces, count the n-grams; returns held-out texts."""
    find_lmplz()  # a missing program ends the step before the work, not after it
    config: Config = ctx.config
    line_parts, held_out = draw_lines(ctx, train=True)
    lines = sum(part.result for part in line_parts)
    files = [part.temporary[0].model_dump() for part in line_parts]
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

    ctx.set("vocabulary", vocabulary.result)
    ctx.set("lines", lines)
    ctx.set("pieces", sum(part.result for part in piece_parts))
    ctx.set("order", config.order)
    if vocabulary.result < config.vocabulary:
        ctx.log.info("the corpus holds %d pieces, less than %d", vocabulary.result, config.vocabulary)
    ctx.metric("corpus/vocabulary", vocabulary.result)
    return held_out


def draw_lines(ctx: StepContext, *, train: bool) -> tuple[list[PartResult], list[dict[str, Any]]]:
    """Parts with the lines to train on, and the files of the texts that are held out."""
    config: Config = ctx.config
    shards = [{"shard": shard.index} for shard in ctx.corpus().shards]
    sizes = [part.result for part in ctx.map("count", count_documents, shards)]
    if sum(sizes) == 0:
        raise DataError(
            f"{ctx.inputs['corpus'].reference.uri} has no kept document of language {config.language!r}; "
            "set language, or keep it in preprocess"
        )
    before = np.cumsum([0, *sizes[:-1]]).tolist()
    take = [min(size, max(0, config.max_documents - b)) for size, b in zip(sizes, before, strict=True)]
    every = hold_out_every(sum(take)) if train else -(-sum(take) // MOST)
    tasks = [
        {**shard, "take": t, "before": b, "every": every, "train": train}
        for shard, t, b in zip(shards, take, before, strict=True)
    ]
    parts = ctx.map("lines", write_lines, tasks)
    if train and sum(part.result for part in parts) == 0:
        raise DataError(f"the {sum(take)} documents of language {config.language!r} hold no text to train on")
    ctx.set("documents", sum(take))
    ctx.metric("corpus/training_documents", sum(take))
    return parts, [part.temporary[-1].model_dump() for part in parts]


def count_documents(task: dict[str, Any], part: PartWriter) -> int:
    """Kept documents of the language in one shard."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["language", "metadata"])
    if table.num_rows and json.loads(table["metadata"][0].as_py() or "{}").get("kind") == "supervised":
        return 0  # labelled texts are for the classifier, not prose to learn from; a shard holds one kind of record
    return int(pc.sum(pc.equal(table["language"], part.config.language)).as_py() or 0)


def write_lines(task: dict[str, Any], part: PartWriter) -> int:
    """Normalised lines of the first `take` documents of a shard, but for every n-th, whose text is held out.

    Returns how many lines.
    """
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["source", "language", "text"])
    table = table.filter(pc.equal(table["language"], part.config.language)).slice(0, task["take"])
    sizes = text_bytes(table["text"])
    for source in sorted(set(table["source"].to_pylist())):
        mine = sizes[pc.equal(table["source"], source).to_numpy(zero_copy_only=False)]
        part.count.add_input(source, part.config.language, len(mine), int(mine.sum()))
        part.count.add_kept(source, part.config.language, len(mine), int(mine.sum()))
    held_out = (task["before"] + np.arange(table.num_rows)) % task["every"] == task["every"] - 1
    lines = pa.chunked_array([], pa.large_string())
    if task["train"]:
        texts = table["text"].filter(pa.array(~held_out))
        batches = [
            pa.array(normalise(texts.slice(at, BATCH), part.config.normalisation).text, pa.large_string())
            for at in range(0, len(texts), BATCH)
        ]
        lines = pa.chunked_array(batches, pa.large_string())
    name = f"{task['shard']:05d}.parquet"
    part.put_table(f"lines/{name}", pa.table({"line": lines}), "lines", temporary=True)
    texts = table.filter(pa.array(held_out)).select(["text"])
    part.put_table(f"held_out/{name}", texts, "held_out", temporary=True)
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


def measure_reference(task: dict[str, Any], part: PartWriter) -> dict[str, Any] | None:
    """What the model finds in held-out texts (`reference.reference`)."""
    files = Files(part.store, task["folder"])
    entries = {entry.key: entry for entry in map(FileEntry.model_validate, task["model"])}
    pieces, model = (files.fetch(entries[name], part.scratch) for name in ("sp.model", "lm.bin"))
    texts = (files.read_table(FileEntry.model_validate(entry))["text"] for entry in task["texts"])
    return reference(Scorer(pieces, model, part.config.normalisation), texts)


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
    version=2,
    config=Config,
    run=run,
    inputs=(Input("corpus", optional=True), Input("source", optional=True)),
    libraries=("sentencepiece", "kenlm"),
    after_commit=enter_catalog,
    report=report,
)
