"""classifier: supervised records (text, label) → model.bin, with its figures on texts held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from steps.classifier.config import Config
from steps.classifier.train import macro, per_label, precision_recall, train
from steps.core.artifact import Artifact, Files
from steps.core.catalog import Catalog
from steps.core.corpus import Corpus
from steps.core.document import text_bytes
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.text.classifier import Classifier, features

BACKGROUND = "background"  # the label of lines of plain documents
MIN_CHARACTERS = 10  # of a background line; shorter ones are headings
MIN_PER_LABEL = 20  # texts with and without the label, below which there is nothing to learn


def run(ctx: StepContext) -> None:
    """Collect the labelled texts and lines of plain ones, train on most of them, measure on the others.

    A corpus without any labelled text gives an artifact without a model, which its facts say: the pipeline has this
    stage whether or not a recipe has a labelled source.
    """
    config: Config = ctx.config
    shards = [{"shard": shard.index} for shard in ctx.corpus().shards]
    parts = ctx.map("labelled", labelled_texts, shards)
    labels: dict[str, int] = {}
    for part in parts:
        for label, number in part.result["labels"].items():
            labels[label] = labels.get(label, 0) + number
    ctx.set("name", config.name)
    ctx.set("label", config.label)
    ctx.set("labels", dict(sorted(labels.items())))
    ctx.set("trained", bool(labels))
    if not labels:
        ctx.log.info("the corpus has no labelled (supervised) record: there is no classifier to train")
        return
    check_labels(labels, config.label)
    plain = [shard for shard, part in zip(shards, parts, strict=True) if not part.temporary]
    parts += ctx.map("background", background_lines, plain) if config.background_lines else []
    files = [entry.model_dump() for part in parts for entry in part.temporary]
    figures = ctx.part("train", train_model, {"folder": ctx.folder, "texts": files}).result
    for name, value in figures.items():
        ctx.set(name, value)
    for name in ("precision", "recall", "f1"):
        ctx.metric(f"corpus/classifier_{name}", figures["overall"][name])


def check_labels(labels: Mapping[str, int], wanted: str | None) -> None:
    """Raise DataError where there are too few texts to tell the wanted label, or any, from others."""
    if wanted is None:
        few = {label: number for label, number in labels.items() if number < MIN_PER_LABEL}
        if few or len(labels) < 2:
            raise DataError(
                f"classifier: {MIN_PER_LABEL} labelled texts of each of two labels or more are needed; there are "
                + ", ".join(f"{number} of {label!r}" for label, number in sorted(labels.items())[:20])
            )
        return
    rest = sum(number for label, number in labels.items() if label != wanted)
    if min(labels.get(wanted, 0), rest) < MIN_PER_LABEL:
        raise DataError(
            f"classifier.label: {labels.get(wanted, 0)} labelled texts have the label {wanted!r} and "
            f"{rest} another, fewer than {MIN_PER_LABEL}; the labels are: {', '.join(sorted(labels)[:20])}"
        )


def labelled_texts(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Labelled texts of a shard of supervised records with the lowest hashes; nothing of one of plain documents."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(signals=())
    count(table, part)
    if "prompt" not in table.column_names:
        return {"labels": {}}
    labels = ["_".join(label.split()) for label in table["response"].to_pylist()]
    return {"labels": put_texts(task, part, zip(labels, table["prompt"].to_pylist(), strict=True))}


def background_lines(task: dict[str, Any], part: PartWriter) -> None:
    """Lines of a shard of plain documents with the lowest hashes."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(["text"])
    lines = (line for text in table["text"] for line in text.as_py().split("\n"))
    put_texts(task, part, ((BACKGROUND, line) for line in lines if len(line) >= MIN_CHARACTERS))


def count(table: pa.Table, part: PartWriter) -> None:
    """Counts the documents of a shard as taken and kept, by source and language."""
    sizes = text_bytes(table["text"])
    groups = list(zip(table["source"].to_pylist(), table["language"].to_pylist(), strict=True))
    for source, language in sorted(set(groups)):
        mine = sizes[[group == (source, language) for group in groups]]
        part.count.add_input(source, language, len(mine), int(mine.sum()))
        part.count.add_kept(source, language, len(mine), int(mine.sum()))


def put_texts(task: dict[str, Any], part: PartWriter, texts: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Writes (label, features, hash) of the texts with the lowest hashes, each text once; returns texts per label.

    Of all shards' lowest hashes the lowest win again, so that the choice does not depend on how shards were cut.
    """
    config: Config = part.config
    limit, found = max(config.max_records, config.background_lines), dict[int, tuple[str, str]]()
    for label, text in texts:
        found.setdefault(xxhash.xxh3_64_intdigest(text.encode(), seed=config.seed), (label, text))
    chosen = sorted(found)[:limit]
    words = [features(found[key][1]) for key in chosen]
    content = {
        "key": pa.array(chosen, pa.uint64()),
        "label": pa.array([found[key][0] for key in chosen], pa.string()),
        "words": pa.array(words, pa.string()),
    }
    full = pa.array([bool(line) for line in words], pa.bool_())
    table = pa.table(content).filter(full)
    key = f"texts/{task['shard']:05d}.parquet"
    part.put_table(key, table, "texts", temporary=True)
    return dict(sorted(Counter(table["label"].to_pylist()).items()))


def train_model(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """model.bin, and precision and recall on the texts held out."""
    config: Config = part.config
    table = chosen_texts(Files(part.store, task["folder"]), task["texts"], config)
    if pc.all(pc.equal(table["label"], BACKGROUND)).as_py():
        raise DataError("no labelled text is left to train on")
    key = table["key"].to_numpy()
    # the high bits choose what is held out; texts are trained on in the order of the low bits, which mixes the labels
    held_out = (key >> np.uint64(40)) % np.uint64(10_000) < np.uint64(round(config.held_out_share * 10_000))
    order = np.argsort(key & np.uint64((1 << 40) - 1), kind="stable")
    labels, words = table["label"].to_pylist(), table["words"].to_pylist()
    model = train(
        ((labels[i], words[i]) for i in order[~held_out[order]].tolist()),
        part.scratch,
        dimension=config.dimension,
        word_ngrams=config.word_ngrams,
        buckets=config.buckets,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        min_count=config.min_count,
        seed=config.seed,
    )
    part.put_bytes("model.bin", model, "classifier", label=config.label, name=config.name)
    path = part.scratch / "model.bin"
    path.write_bytes(model)
    measured = np.flatnonzero(held_out)
    sizes = {"trained": int((~held_out).sum()), "held_out": len(measured)}
    if config.label is None:
        said = np.array(Classifier(path).labels([words[i] for i in measured.tolist()]), dtype=object)
        by_label = per_label(np.array(labels, dtype=object)[measured], said)
        return {"texts": sizes, "held_out": by_label, "overall": macro(by_label)}
    probability = Classifier(path, config.label).probabilities([words[i] for i in measured.tolist()])
    label = np.array(labels, dtype=object)[measured]
    plain = label == BACKGROUND
    figures = precision_recall(label[~plain] == config.label, probability[~plain])
    return {
        "texts": sizes,
        "held_out": figures,
        "overall": figures[0],
        "held_out_background_above_half": round(
            float((probability[plain] > 0.5).mean()) if plain.any() else 0.0, 6
        ),
    }


def chosen_texts(files: Files, entries: list[dict[str, Any]], config: Config) -> pa.Table:
    """The texts with the lowest hashes, each once: at most max_records labelled ones and background_lines others."""
    table = pa.concat_tables([files.read_table(FileEntry.model_validate(entry)) for entry in entries])
    plain = pc.equal(table["label"], BACKGROUND)
    parts = []
    for some, limit in (
        (table.filter(pc.invert(plain)), config.max_records),
        (table.filter(plain), config.background_lines),
    ):
        some = some.sort_by("key")
        key = some["key"].to_numpy()
        first = np.append(True, key[1:] != key[:-1])[: len(key)]
        parts.append(some.filter(pa.array(first)).slice(0, limit))
    return pa.concat_tables(parts)


def enter_catalog(artifact: Artifact, run: Mapping[str, Any]) -> None:
    """Name the classifier in the catalog, under the recipe's name and its own, for data_factory to find."""
    if not run or not artifact.facts["trained"]:
        return
    name, own = run["recipe"]["name"], artifact.config["name"]
    Catalog(artifact.store).update(
        "classifiers", lambda all_: {**all_, name: {**all_.get(name, {}), own: artifact.local_ref}}
    )


STEP = Step(
    name="classifier",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("corpus"),),
    libraries=("floret", "fasttext-predict"),
    after_commit=enter_catalog,
)
