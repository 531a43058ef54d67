"""The mix step: verdicts, scan, choice, plans."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.digest import canonical_json
from steps.core.document import text_bytes, text_digests
from steps.core.document_set import corpus_documents
from steps.core.errors import ConfigError, DataError, VerdictRefused
from steps.core.parts import PartWriter, open_artifact
from steps.core.step import Input, Step, StepContext
from steps.core.verification import Acceptance, verify_corpus
from steps.mix.choose import STAGES, Choice, Rows, choose
from steps.mix.config import Config
from steps.mix.keys import row_keys, text_keys
from steps.mix.templates import TEMPLATES

HELD_OUT = 0  # the "stage" of held-out rows in row lists


def run(ctx: StepContext) -> None:
    """Check every verdict, key every document, choose, and write one plan per stage and one row list per shard."""
    config: Config = ctx.config
    acceptance = Acceptance(policy_digest=config.policy_digest, readers=config.accept_readers)
    for name, artifact in ctx.input_list("corpora").items():
        verify_corpus(artifact, acceptance)
        verify_documents(artifact, ctx.scratch)
        ctx.log.info("mix: corpus %s carries a verdict that this recipe accepts", name)
    shards = list_shards(ctx.inputs)
    scans = ctx.map("scan", scan, [{"shard": shard} for shard in shards])
    chosen = ctx.part(
        "choose",
        write_plans,
        {"shards": shards, "scans": [part.temporary[0].model_dump() for part in scans], "folder": ctx.folder},
    )
    for key, value in chosen.result.items():
        ctx.set(key, value)
    ctx.set("ungated", {name: found.ungated for name, found in sorted(config.supervised.items())})
    for shortfall in chosen.result["shortfalls"]:
        ctx.log.warning(
            "mix: stage %(stage)s asks %(set)s for %(asked)s %(unit)s, and it has %(supplied)s; nothing is repeated",
            shortfall,
        )


def verify_documents(artifact: Artifact, scratch: Path) -> None:
    """Raise VerdictRefused unless the corpus holds the documents that its manifest, and so its verdict, names.

    The side files are checked here, and each text against them by `scan`, which reads all texts anyway.
    """
    if corpus_documents(Corpus.open(artifact), scratch) != artifact.manifest.identity.documents:
        raise VerdictRefused(f"mix: {artifact.reference.uri} does not hold the documents that were approved")


def list_shards(inputs: dict[str, Artifact]) -> list[dict[str, Any]]:
    """Every base shard of every corpus: the input it came by, its place there, its digest and rows."""
    found = []
    for name in sorted(inputs):
        for shard in Corpus.open(inputs[name]).shards:
            found.append({"input": name, "index": shard.index, "sha256": shard.sha256, "rows": shard.rows})
    return found


@lru_cache(maxsize=8)
def _corpus(ref: str) -> Corpus:
    return Corpus.open(open_artifact(ref))


def _shard(part: PartWriter, where: dict[str, Any]) -> CorpusShard:
    return _corpus(part.inputs[where["input"]].ref).shards[where["index"]]


def scan(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Keys, sizes and data set of every kept row of one shard, as a temporary table."""
    config: Config = part.config
    shard = _shard(part, task["shard"])
    supervised = task["shard"]["input"] == "supervised"
    columns = ["source", "language", "text", *(("prompt", "response", "task") if supervised else ())]
    try:
        table = shard.read(columns)
    except (KeyError, pa.ArrowInvalid) as error:
        raise DataError(f"shard {shard.sha256[:12]} of {task['shard']['input']}: {error}") from None
    if not np.array_equal(text_digests(table["text"].to_pylist()), shard.kept_text_digests()):
        raise VerdictRefused(f"mix: texts of shard {shard.sha256[:12]} are not those that were approved")
    rows = table[ROW].to_numpy()
    sources = pc.fill_null(table["source"], "").to_pylist()
    languages = pc.fill_null(table["language"], "").to_pylist()
    tasks = pc.fill_null(table["task"], "").to_pylist() if supervised else [""] * len(rows)
    sets = [_data_set(source, kind, supervised, config) for source, kind in zip(sources, tasks, strict=True)]
    groups = (
        [kind or source for kind, source in zip(tasks, sources, strict=True)] if supervised else languages
    )
    keys = pa.table(
        {
            "row": pa.array(rows),
            "key": pa.array(row_keys(shard.sha256, rows, config.seed)),
            "text_key": pa.array(text_keys(table["text"], config.seed)),
            "bytes": pa.array(text_bytes(table["text"])),
            "set": pa.array(sets, pa.string()),
            "group": pa.array(groups, pa.string()),
            "source": pa.array(sources, pa.string()),
            "language": pa.array(languages, pa.string()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    name = f"scan/{task['shard']['input']}-{shard.index:05d}.parquet"
    part.put_table(name, keys, "scan", temporary=True)
    return {"rows": len(rows)}


def _data_set(source: str, task: str, supervised: bool, config: Config) -> str | None:
    """The name of a document's data set, or None where the recipe does not use it."""
    if supervised:
        for name in (f"{source}/{task}", source):
            if name in config.supervised:
                return f"supervised/{name}"
        return None
    return f"web/{source}" if source in config.web or "*" in config.web else None


def write_plans(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Read all scans, choose, and write plans, row lists, templates; returns facts. Memory: about 100 bytes per row."""
    from steps.core.artifact import Files
    from steps.core.manifest import FileEntry

    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["scans"]]
    sizes = [table.num_rows for table in tables]
    table = pa.concat_tables(tables).combine_chunks()
    table = table.append_column("shard", pa.array(np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)))
    rows = _rows(table, part.config)
    choice = choose(rows, part.config)
    for stage in STAGES:
        _write_plan(stage, table, choice, part)
    for index, shard in enumerate(task["shards"]):
        _write_row_list(index, shard, table, rows, choice, part)
    part.put_bytes("shards.json", canonical_json(task["shards"]), "shards")
    part.put_bytes("templates.json", canonical_json(_templates(part.config)), "templates")
    _count(table, rows, choice, part)
    return _facts(table, rows, choice)


def _rows(table: pa.Table, config: Config) -> Rows:
    sets, groups = (
        table["set"].combine_chunks().dictionary_encode(),
        table["group"].combine_chunks().dictionary_encode(),
    )
    names = sets.dictionary.to_pylist()
    missing = [name for name in config.supervised if f"supervised/{name}" not in names] + [
        name for name in config.web if name != "*" and f"web/{name}" not in names
    ]
    if missing:
        raise ConfigError(
            f"mix: the inputs have no documents of {', '.join(sorted(missing))}; correct web or supervised"
        )
    return Rows(
        key=table["key"].to_numpy(),
        text_key=table["text_key"].to_numpy(),
        bytes=table["bytes"].to_numpy(),
        data_set=pc.fill_null(sets.indices, -1).to_numpy().astype(np.int32),
        group=groups.indices.to_numpy().astype(np.int32),
        sets=names,
        groups=groups.dictionary.to_pylist(),
    )


def _write_plan(stage: int, table: pa.Table, choice: Choice, part: PartWriter) -> None:
    """The stage's documents in training order."""
    rows = choice.rows[stage]
    for number, start in enumerate(range(0, max(len(rows), 1), part.config.plan_rows)):
        piece = slice(start, start + part.config.plan_rows)
        picked = table.take(pa.array(rows[piece]))
        plan = pa.table(
            {
                "order": pa.array(np.arange(start, start + picked.num_rows, dtype=np.int64)),
                "shard": picked["shard"],
                "row": picked["row"],
                "pass": pa.array(choice.passes[stage][piece].astype(np.int16)),
                "replay": pa.array(choice.replayed[stage][piece]),
                "set": picked["set"],
                "task": picked["task"],
                "language": picked["language"],
                "bytes": picked["bytes"],
            }
        )
        part.put_table(f"plan/stage-{stage}/{number:05d}.parquet", plan, "plan", stage=stage)


def _write_row_list(
    index: int, shard: dict[str, Any], table: pa.Table, rows: Rows, choice: Choice, part: PartWriter
) -> None:
    """Which rows of one shard are used, by which stages (a bit each; bit 0 is held out), for packing shard by shard."""
    own = np.flatnonzero(table["shard"].to_numpy() == index)
    bits = np.zeros(table.num_rows, np.uint8)
    bits[choice.heldout & (rows.data_set >= 0)] |= 1 << HELD_OUT
    for stage in STAGES:
        bits[choice.rows[stage]] |= 1 << stage
    used = own[bits[own] > 0]
    picked = table.take(pa.array(used))
    found = pa.table(
        {
            "row": picked["row"],
            "stages": pa.array(bits[used]),
            "set": picked["set"],
            "group": picked["group"],
            "task": picked["task"],
            "key": picked["key"],
        }
    )
    key = f"rows/{shard['input']}-{shard['index']:05d}.parquet"
    part.put_table(
        key, found, "rows", shard=shard["sha256"], input=shard["input"], index=shard["index"], number=index
    )


def _templates(config: Config) -> dict[str, Any]:
    """The prompt of each supervised data set, by language, as it must be written around its documents."""
    return {
        f"supervised/{name}": TEMPLATES.get(found.template)
        for name, found in sorted(config.supervised.items())
    }


def _count(table: pa.Table, rows: Rows, choice: Choice, part: PartWriter) -> None:
    """Documents and bytes per source and language: used by a stage or held out, or not taken."""
    used = choice.heldout & (rows.data_set >= 0)
    for stage in STAGES:
        used[choice.rows[stage]] = True
    fate = np.where(used, "used", np.where(rows.data_set < 0, "not_in_recipe", "beyond_amount"))
    grouped = (
        pa.table(
            {"source": table["source"], "language": table["language"], "fate": fate, "bytes": table["bytes"]}
        )
        .group_by(["source", "language", "fate"], use_threads=False)
        .aggregate([("bytes", "sum"), ("bytes", "count")])
    )
    for entry in grouped.to_pylist():
        where = (entry["source"], entry["language"], entry["bytes_count"], entry["bytes_sum"])
        part.count.add_input(*where)
        if entry["fate"] == "used":
            part.count.add_kept(*where)
        else:
            part.count.add_removed(entry["fate"], *where)


def _facts(table: pa.Table, rows: Rows, choice: Choice) -> dict[str, Any]:
    heldout = {}
    for index, name in enumerate(rows.groups):
        mask = choice.heldout & (rows.group == index) & (rows.data_set >= 0)
        heldout[name] = {"documents": int(mask.sum()), "bytes": int(rows.bytes[mask].sum())}
    unused = pc.unique(table["source"].filter(pa.array(rows.data_set < 0))).to_pylist()
    return {
        "stages": sorted(choice.sets, key=lambda entry: (entry["stage"], entry["set"])),
        "shortfalls": choice.shortfalls,
        "heldout": heldout,
        "not_in_recipe": sorted(unused),
    }


STEP = Step(
    name="mix",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("corpora", many=True), Input("supervised", optional=True)),
    libraries=("xxhash",),
)
