"""The initialize step: base, characters, tokenizer, rows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.approval import verify_training
from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.digest import file_digest, json_digest
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.core.store import open_store
from steps.initialize.characters import count_characters, most_frequent
from steps.initialize.config import Config

STAGE_1, HELD_OUT = 1 << 1, 1 << 0  # bits of mix's row lists
BASE_FILES = ("config.json", "tokenizer.model")
SAMPLE_LANGUAGES = ("en", "zh")


def run(ctx: StepContext) -> None:
    """Count characters and sample text shard by shard, then make the model in one part."""
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


def make_model(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Tokenizer and weights of the extended model, written as a Hugging Face folder; returns facts."""
    from steps.initialize import tokenizer

    config: Config = part.config
    files = Files(part.store, task["folder"])
    counts, samples = (
        pa.concat_tables(
            files.read_table(FileEntry.model_validate(entries[kind])) for entries in task["scans"]
        )
        for kind in (0, 1)
    )
    training = samples.filter(pc.invert(samples["held"]))
    folder = part.scratch / "base"
    if config.from_scratch:
        lines = (line for text in training["text"].to_pylist() for line in text.split("\n") if line)
        model = tokenizer.train_tokenizer(lines, config.from_scratch.vocabulary)
    else:
        fetch_base(config, folder)
        model = (folder / "tokenizer.model").read_bytes()
    characters = choose_characters(config, counts, set(tokenizer.pieces_of(model)))
    extended = tokenizer.extend(model, characters)
    former = tokenizer.former_pieces(model, characters)
    facts = write_model(part, folder, len(tokenizer.pieces_of(model)), former)
    part.put_bytes("tokenizer.model", extended, "tokenizer")
    part.put_bytes("tokenizer.json", tokenizer.fast_tokenizer(extended).encode(), "tokenizer")
    settings = tokenizer.tokenizer_config(extended, facts["max_positions"])
    part.put_bytes("tokenizer_config.json", json.dumps(settings, indent=1).encode(), "tokenizer")
    held = samples.filter(samples["held"])
    return facts | {
        "characters_added": len(characters),
        "characters": "".join(characters),
        "bytes_per_token": bytes_per_token(held, model, extended, config.measured_bytes),
    }


def choose_characters(config: Config, counts: pa.Table, known: set[str]) -> list[str]:
    """The characters to add: the recipe's list without those known, or the most frequent ones of stage 1."""
    if config.character_list:
        return [c for c in dict.fromkeys(config.character_list) if c not in known]
    summed = counts.group_by("point", use_threads=False).aggregate([("count", "sum")])
    points, sizes = summed["point"].to_numpy(), summed["count_sum"].to_numpy()
    return most_frequent(points, sizes, known, config.characters)


def fetch_base(config: Config, folder: Path) -> None:
    """Download the base below TOKENMILL_MODELS and check it against its pinned digest."""
    assert config.base is not None
    place = os.environ.get("TOKENMILL_MODELS", "")
    if not place:
        raise ConfigError("initialize.base needs TOKENMILL_MODELS, the folder or s3:// prefix of base models")
    store = open_store(place if "://" in place else Path(place).resolve().as_uri())
    names = [info.key for info in store.list(f"{config.base.name}/")]
    wanted = [n for n in names if n.endswith(".safetensors") or Path(n).name in BASE_FILES]
    missing = [n for n in BASE_FILES if f"{config.base.name}/{n}" not in wanted]
    if missing or not any(n.endswith(".safetensors") for n in wanted):
        raise ConfigError(f"{place}/{config.base.name} lacks {', '.join(missing) or 'safetensors files'}")
    folder.mkdir(parents=True)
    for name in wanted:
        store.download(name, folder / Path(name).name)
    digest = json_digest({path.name: file_digest(path) for path in sorted(folder.iterdir())})
    if digest != config.base.sha256:
        raise ConfigError(
            f"initialize.base.sha256: {config.base.name} has {digest}; pin that if it is the model you mean"
        )


def write_model(part: PartWriter, folder: Path, old: int, former: list[list[int]]) -> dict[str, Any]:
    """Write config.json and safetensors with new rows; returns facts about sizes."""
    from steps.initialize import weights
    from steps.initialize.rows import extend_rows, padded

    config: Config = part.config
    total = padded(old + len(former), config.vocabulary_multiple)

    def change(name: str, tensor: Any) -> Any:
        if name not in (weights.EMBEDDING, weights.HEAD):
            return tensor
        if len(tensor) < old:
            raise ConfigError(f"{name} has {len(tensor)} rows, the tokenizer {old} pieces: not one model")
        return extend_rows(tensor[:old], former, config.row_weights, total)

    if config.from_scratch:
        from safetensors.torch import save_file

        described = weights.scratch_config(config.from_scratch, total)
        folder.mkdir(parents=True)
        save_file(
            weights.scratch_weights(config.from_scratch, old, config.seed), folder / "model.safetensors"
        )
    else:
        described = json.loads((folder / "config.json").read_text()) | {"vocab_size": total}
        if described.get("model_type") != "llama" or described.get("tie_word_embeddings"):
            raise ConfigError("initialize.base must be a LLaMA model with an output head of its own")
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
    part.put_bytes("config.json", json.dumps(described, indent=1, sort_keys=True).encode(), "config")
    return {
        "vocabulary_before": old,
        "vocabulary": total,
        "max_positions": described["max_position_embeddings"],
    }


def bytes_per_token(held: pa.Table, before: bytes, after: bytes, limit: int) -> dict[str, dict[str, float]]:
    """UTF-8 bytes per token of held-out text, per language, with the base's and the extended tokenizer."""
    from steps.initialize.tokenizer import processor

    found = {}
    for language in SAMPLE_LANGUAGES:
        texts, size = [], 0
        for row in held.to_pylist():
            if row["language"] == language and size < limit:
                texts.append(row["text"])
                size += len(row["text"].encode())
        if texts:
            tokens = [sum(map(len, processor(model).encode(texts))) for model in (before, after)]
            found[language] = {"before": round(size / tokens[0], 4), "after": round(size / tokens[1], 4)}
    return found


STEP = Step(
    name="initialize",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("mix"),),
    libraries=("sentencepiece", "torch", "safetensors"),
)
