"""The initialize step: base, characters, tokenizer, rows, and the loss that training begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.approval import verify_training
from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.memory import host_memory
from steps.core.parts import PartWriter
from steps.core.progress import human_bytes
from steps.core.step import Input, PartResult, Step, StepContext
from steps.initialize import vocabulary as vocab
from steps.initialize.characters import count_characters
from steps.initialize.config import Config
from steps.initialize.needs import forecast
from steps.initialize.report import LOSS, report

STAGE_1, HELD_OUT = 1 << 1, 1 << 0  # bits of mix's row lists
SAMPLE_LANGUAGES = ("en", "zh")
CHARACTERS_SAID = 20  # in a warning
BASE_TOKENIZER = "base_tokenizer"


def run(ctx: StepContext) -> None:
    """Count characters and sample text shard by shard, make the model in one part, and measure its initial loss."""
    mix = ctx.inputs["mix"]
    verify_training(mix)
    lists = sorted(mix.files("rows"), key=lambda entry: entry.meta["number"])
    totals = english_bytes(mix)
    tasks = [{"rows": entry.key, "english": totals} for entry in lists]
    scans = ctx.map("scan", scan, tasks)
    found = ctx.part(
        "model",
        make_model,
        {"scans": [[entry.model_dump() for entry in part.temporary] for part in scans], "folder": ctx.folder},
    )
    for key, value in found.result.items():
        ctx.set(key, value)
    if why := shortfall(ctx.config.character_list, found.result):
        ctx.log.warning("initialize: %s", why)
    if ctx.config.loss_bytes:
        held = read_held(ctx.files(), [part.temporary[1] for part in scans], ctx.config.loss_bytes)
        for name, value in initial_loss(ctx, found, held).items():
            ctx.metric(f"{LOSS}{name}", value)


def shortfall(listed: str, facts: Mapping[str, Any]) -> str:
    """Why fewer characters were added than asked for, and what to do; empty where all were. ``listed``: those given."""
    asked, added, left_out = (facts[f"characters_{name}"] for name in ("asked", "added", "left_out"))
    if added >= asked:
        return ""
    missing = asked - added - len(left_out)
    reasons = [f"stage 1's text has {missing} too few that are not one token already"] if missing else []
    do = f"set it to {added}, or give stage 1 more Chinese text"
    if listed:
        known = [name for name in dict.fromkeys(listed) if name not in facts["characters"] + left_out]
        reasons = [f"{_some(known)} one token already"] if known else []
        do = "the others may be taken out of it"
    if left_out:
        reasons.append(f"{_some(left_out)} in longer pieces of the base's {vocab.FAST}, which would be cut")
    setting = "character_list" if listed else "characters"
    return f"{added} of {asked} characters of the setting {setting} were added: {'; '.join(reasons)}; {do}"


def _some(characters: Sequence[str]) -> str:
    shown = "".join(characters[:CHARACTERS_SAID]) + ("…" if len(characters) > CHARACTERS_SAID else "")
    return f"{len(characters)} ({shown}) {'is' if len(characters) == 1 else 'are'}"


def english_bytes(mix: Artifact) -> int:
    """English bytes that the mix uses, from its counts."""
    groups = mix.manifest.identity.counts.groups
    return sum(group.kept.bytes for name, group in groups.items() if name.endswith("|en"))


def scan(task: dict[str, Any], part: PartWriter) -> None:
    """Character counts of one shard's stage-1 text; its share of tokenizer text; its held-out text."""
    mix = part.inputs["mix"]
    entry = mix.file(task["rows"])
    listed = mix.read_table(entry)
    shard = Corpus.open(mix.input(entry.meta["input"])).shards[entry.meta["index"]]
    table = shard.read(["language", "text"], kept=False).take(listed["row"])
    bits = listed["stages"].to_numpy()
    trained, held = (bits & STAGE_1) > 0, (bits & HELD_OUT) > 0
    points, counts = count_characters(table["text"].filter(pa.array(trained)))
    name = entry.key.removeprefix("rows/")
    counted = pa.table({"point": pa.array(points, pa.int64()), "count": pa.array(counts, pa.int64())})
    part.put_table(f"characters/{name}", counted, "characters", temporary=True)
    # Keys are uniform, so those below a share of 2^64 are that share of the documents.
    share = min(1.0, part.config.tokenizer_bytes / max(task["english"], 1))
    low = listed["key"].to_numpy() <= np.uint64(min(int(share * 2**64), 2**64 - 1))
    english = np.array([language == "en" for language in table["language"].to_pylist()], bool)
    wanted = (trained & english & low) | held  # what is held out is never trained on, so the two are disjoint
    sample = table.filter(pa.array(wanted)).select(["language", "text"])
    sample = sample.append_column("held", pa.array(held[wanted]))
    part.put_table(f"sample/{name}", sample, "sample", temporary=True)


def read_held(files: Files, entries: list[FileEntry], limit: int) -> dict[str, list[str]]:
    """Held-out texts by language, whole ones, until they have ``limit`` bytes."""
    found: dict[str, list[str]] = {}
    sizes = dict.fromkeys(SAMPLE_LANGUAGES, 0)
    for entry in entries:
        table = files.read_table(entry)
        for row in table.filter(table["held"]).to_pylist():
            language = row["language"]
            if language in sizes and sizes[language] < limit and row["text"]:
                found.setdefault(language, []).append(row["text"])
                sizes[language] += len(row["text"].encode())
    return found


def make_model(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Tokenizer and weights of the extended model, written as a Hugging Face folder; returns facts."""
    from steps.initialize.base import fetch_base, make_base, read_settings
    from steps.initialize.weights import check_weights

    config: Config = part.config
    files = Files(part.store, task["folder"])
    counts, samples = (
        [FileEntry.model_validate(entries[kind]) for entries in task["scans"]] for kind in (0, 1)
    )
    folder = part.scratch / "base"
    if config.from_scratch:
        texts = pa.concat_tables(files.read_table(entry) for entry in samples)
        make_base(
            config.from_scratch,
            config.seed,
            texts.filter(pc.invert(texts["held"]))["text"].to_pylist(),
            folder,
        )
    else:
        fetch_base(config, folder)
    described = read_settings(folder)
    check_weights(folder, described)
    base = vocab.Base.of_folder(folder)
    counted = count_all(pa.concat_tables(files.read_table(entry) for entry in counts))
    characters = vocab.choose(base, config.character_list, counted, config.characters)
    extended = vocab.extend(base, characters, described)
    sizes = write_model(part, folder, described, base.size, extended.former)
    for name, data in extended.files.items():
        part.put_bytes(name, data, "tokenizer")
    part.put_bytes(BASE_TOKENIZER, base.data, BASE_TOKENIZER, temporary=True, name=base.name)
    held = read_held(files, samples, config.measured_bytes)
    return sizes | {
        "characters_asked": len(set(config.character_list)) or config.characters,
        "characters_added": len(extended.characters),
        "characters": "".join(extended.characters),
        "characters_left_out": "".join(extended.left_out),
        "tokenizer_files": sorted(extended.files),
        "bytes_per_token": bytes_per_token(held, base, extended),
    }


def count_all(counts: pa.Table) -> list[tuple[str, int]]:
    """Chinese characters and how often they occur in all shards, by code point."""
    summed = counts.group_by("point", use_threads=False).aggregate([("count", "sum")]).sort_by("point")
    return [(chr(row["point"]), row["count_sum"]) for row in summed.to_pylist()]


def write_model(
    part: PartWriter, folder: Path, described: dict[str, Any], old: int, former: list[list[int]]
) -> dict[str, Any]:
    """Write config.json and safetensors with new rows for embedding and head; returns facts about sizes.

    A base whose head is its embedding (LLaMA 3.2) gets one of its own, which starts from the same rows.
    """
    from steps.initialize import weights
    from steps.initialize.rows import extend_rows, padded

    config: Config = part.config
    total = padded(old + len(former), config.vocabulary_multiple)
    tied = bool(described.get("tie_word_embeddings"))
    dropped = 0

    def change(name: str, tensor: Any) -> dict[str, Any]:
        nonlocal dropped
        if name not in (weights.EMBEDDING, weights.HEAD):
            return {name: tensor}
        if len(tensor) < old:
            raise ConfigError(f"{name} has {len(tensor)} rows, the tokenizer {old} pieces: not one model")
        dropped = len(tensor) - old  # a base that was padded before
        heads = {weights.HEAD: extend_rows(tensor[:old], former, config.head_weights, total)}
        if name == weights.HEAD:
            return heads
        embedding = extend_rows(tensor[:old], former, config.embedding_weights, total)
        return {name: embedding} | (heads if tied else {})

    places = {}
    for path in sorted(folder.glob("*.safetensors")):
        target = part.scratch / path.name
        names = weights.rewrite(path, target, change)
        places.update(dict.fromkeys(names, path.name))
        part.put_file(path.name, target, "weights")
        target.unlink()
    absent = [name for name in (weights.EMBEDDING, weights.HEAD) if name not in places]
    if absent:
        raise ConfigError(f"initialize.base has no tensor {', '.join(absent)}")
    if len(set(places.values())) > 1:
        index = {"metadata": {}, "weight_map": dict(sorted(places.items()))}
        part.put_bytes("model.safetensors.index.json", json.dumps(index, indent=1).encode(), "index")
    written = described | {"vocab_size": total, "tie_word_embeddings": False}
    part.put_bytes("config.json", json.dumps(written, indent=1, sort_keys=True).encode(), "config")
    return {
        "vocabulary_before": old,
        "vocabulary": total,
        "base_rows_dropped": dropped,
        "max_positions": described["max_position_embeddings"],
    }


def bytes_per_token(
    held: dict[str, list[str]], base: vocab.Base, extended: vocab.Extended
) -> dict[str, dict[str, float]]:
    """UTF-8 bytes per token of held-out text, per language, with the base's and the extended tokenizer."""
    found = {}
    both = (vocab.encoder(base.name, base.data), vocab.encoder(base.name, extended.files[base.name]))
    for language, texts in sorted(held.items()):
        size = sum(len(text.encode()) for text in texts)
        tokens = [sum(map(len, encode(texts))) for encode in both]
        found[language] = {"before": round(size / tokens[0], 4), "after": round(size / tokens[1], 4)}
    return found


def initial_loss(ctx: StepContext, made: PartResult, held: dict[str, list[str]]) -> dict[str, float]:
    """Losses of held-out text as metrics, before and after; none where there is no text or too little memory.

    The base is the extended model without its new rows. Not part of the artifact: sums of floating-point numbers
    differ in their last bits from machine to machine.
    """
    files = [entry for entry in made.files if entry.kind in ("weights", "config", "index")]
    size = sum(entry.bytes for entry in files)
    free = min(psutil.virtual_memory().available, host_memory())
    if not held or 3 * size > free:
        if held:
            ctx.log.warning(
                "initialize: the initial loss is not measured: it takes about %s of memory, and %s are free",
                human_bytes(3 * size),
                human_bytes(free),
            )
        return {}
    import torch

    from steps.initialize.loss import measure
    from steps.text.causal_model import load_model

    folder = ctx.scratch / "measured"
    for entry in files:
        ctx.files().fetch(entry, ctx.scratch / "fetched").rename(_below(folder, entry.key))
    config = next(json.loads((folder / entry.key).read_text()) for entry in files if entry.kind == "config")
    base = next(entry for entry in made.temporary if entry.kind == BASE_TOKENIZER)
    after = next(entry for entry in made.files if entry.key == base.meta["name"])
    before = made.result["vocabulary_before"]
    encoders = {
        "before": (vocab.encoder(base.meta["name"], ctx.files().read_bytes(base)), before),
        "after": (
            vocab.encoder(base.meta["name"], ctx.files().read_bytes(after)),
            before + made.result["characters_added"],
        ),
    }
    model = load_model(folder, "cuda" if torch.cuda.is_available() else "cpu")
    first = config.get("bos_token_id")
    texts = len(encoders) * sum(map(len, held.values()))
    ctx.progress.start("initial loss", texts, 0, "texts, once per tokenizer")
    found = measure(model, held, encoders, first, made.result["max_positions"], ctx.progress.advance)
    return {f"{name}_{unit}": value for name, units in found.items() for unit, value in units.items()}


def _below(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


STEP = Step(
    name="initialize",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("mix"),),
    libraries=("sentencepiece", "tokenizers", "torch", "safetensors"),
    report=report,
    forecast=forecast,
)
