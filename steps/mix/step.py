"""The mix step: verdicts, benchmark items, scan, choice, plans."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.document import PAIR, check_pairs, is_supervised, text_bytes, text_digests
from steps.core.document_set import corpus_documents
from steps.core.errors import ConfigError, DataError, VerdictRefused
from steps.core.parts import PartWriter, open_artifact
from steps.core.step import Input, PartResult, Step, StepContext
from steps.core.verification import Acceptance, verify_corpus
from steps.mix.config import Config
from steps.mix.decontaminate import BENCHMARKS, collect_items, leave_out, write_found
from steps.mix.keys import row_keys, text_keys
from steps.mix.plans import write_plans
from steps.mix.report import report
from steps.mix.templates import code_language
from steps.mix.topics import by_topic, topic_groups

SUPERVISED = "supervised"  # the input of the run's own sets, and the first part of their names in plans


def run(ctx: StepContext) -> None:
    """Check every verdict, key every document, choose, and write one plan per stage and one row list per shard."""
    config: Config = ctx.config
    ungated = ungated_sets(ctx.inputs, config)
    acceptance = Acceptance(policy_digest=config.policy_digest, readers=config.accept_readers)
    for name, artifact in ctx.input_list("corpora").items():
        verify_corpus(artifact, acceptance)
        verify_documents(artifact, ctx.scratch)
        ctx.log.info("mix: corpus %s carries a verdict that this recipe accepts", name)
    shards = list_shards(ctx.inputs)
    benchmarks = collect(ctx)
    scans = ctx.map("scan", scan, [{"shard": shard, **benchmarks} for shard in shards])
    note_found(ctx, benchmarks, scans)
    chosen = ctx.part(
        "choose",
        write_plans,
        {"shards": shards, "scans": temporary(scans, "scan"), "folder": ctx.folder},
    )
    for key, value in chosen.result.items():
        ctx.set(key, value)
    ctx.set("left_out", matched([part.result["matched"] for part in scans]))
    ctx.set("ungated", {name: config.supervised[name].ungated for name in ungated})
    for shortfall in chosen.result["shortfalls"]:
        ctx.log.warning(
            "mix: stage %(stage)s asks %(set)s for %(asked)s %(unit)s, and it has %(supplied)s; nothing is repeated",
            shortfall,
        )


def ungated_sets(inputs: dict[str, Artifact], config: Config) -> list[str]:
    """The supervised sets that the run's own sources hold, which no gate has judged.

    Raises ConfigError for one whose recipe does not say why that is well.
    """
    if SUPERVISED not in inputs:
        return []
    groups = inputs[SUPERVISED].manifest.identity.counts.groups
    sources = {group.rpartition("|")[0] for group in groups}
    found = sorted(name for name in config.supervised if {name, name.partition("/")[0]} & sources)
    if silent := [name for name in found if not config.supervised[name].ungated]:
        raise ConfigError(
            "\n".join(
                f"mix.supervised.{name}.ungated: the set is the run's own, which no gate has judged; say why "
                "it needs no verdict, or take it from a published corpus"
                for name in silent
            )
        )
    return found


def collect(ctx: StepContext) -> dict[str, Any]:
    """Collect the benchmarks' items, if the recipe has any; what a scan needs to look for them."""
    if BENCHMARKS not in ctx.inputs:
        ctx.log.warning("mix: the recipe has no benchmarks: training data is not compared with test items")
        ctx.set("benchmarks", {})
        return {}
    found = ctx.part(BENCHMARKS, collect_items)
    ctx.set("benchmarks", found.result)
    for name, counted in found.result.items():
        if not counted["items"]:
            ctx.log.warning("mix: no test items were read of %s: nothing is compared with it", name)
        if counted["too_short"]:
            ctx.log.warning(
                "mix: %d of %d items of %s have fewer than %d tokens of their own and cannot be looked for",
                counted["too_short"],
                counted["items"],
                name,
                ctx.config.decontamination.tokens,
            )
    return {"items": found.temporary[0].model_dump(), "folder": ctx.folder}


def note_found(ctx: StepContext, benchmarks: dict[str, Any], scans: list[PartResult]) -> None:
    """Write down which items the documents held: `benchmark` tells their scores from those of the others."""
    if benchmarks:
        found = ctx.part("found", write_found, {**benchmarks, "held": temporary(scans, "held")}).result
        counted = {
            name: {**known, "found": found.get(name, 0)} for name, known in ctx.facts["benchmarks"].items()
        }
        ctx.set("benchmarks", counted)


def temporary(parts: list[PartResult], kind: str) -> list[dict[str, Any]]:
    """What the parts wrote of a kind for later phases."""
    return [entry.model_dump() for part in parts for entry in part.temporary if entry.kind == kind]


def matched(results: list[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Documents that were left out, by benchmark and by their own source, from all shards."""
    total: dict[str, dict[str, int]] = {}
    for result in results:
        for benchmark, sources in result.items():
            found = total.setdefault(benchmark, {})
            for source, documents in sources.items():
                found[source] = found.get(source, 0) + documents
    return total


def verify_documents(artifact: Artifact, scratch: Path) -> None:
    """Raise VerdictRefused unless the corpus holds the documents that its manifest, and so its verdict, names.

    The side files are checked here, and each text against them by `scan`, which reads all texts anyway.
    """
    if corpus_documents(Corpus.open(artifact), scratch) != artifact.manifest.identity.documents:
        raise VerdictRefused(f"mix: {artifact.reference.uri} does not hold the documents that were approved")


def list_shards(inputs: dict[str, Artifact]) -> list[dict[str, Any]]:
    """Every base shard of every corpus: the input it came by, its place there, its digest and rows."""
    found = []
    corpora = (name for name in inputs if name != BENCHMARKS and not name.startswith("classifiers."))
    for name in sorted(corpora):
        for shard in Corpus.open(inputs[name]).shards:
            found.append({"input": name, "index": shard.index, "sha256": shard.sha256, "rows": shard.rows})
    return found


@lru_cache(maxsize=8)
def _corpus(ref: str) -> Corpus:
    return Corpus.open(open_artifact(ref))


def _shard(part: PartWriter, where: dict[str, Any]) -> CorpusShard:
    return _corpus(part.inputs[where["input"]].ref).shards[where["index"]]


def scan(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Keys, sizes and data set of every kept row of one shard that holds no benchmark item, as a temporary table."""
    config: Config = part.config
    shard = _shard(part, task["shard"])
    table = read_shard(shard, task["shard"]["input"])
    if not np.array_equal(text_digests(table["text"].to_pylist()), shard.kept_text_digests()):
        raise VerdictRefused(f"mix: texts of shard {shard.sha256[:12]} are not those that were approved")
    check_pairs(table)
    sets = data_sets(table, task["shard"]["input"] == SUPERVISED, config)
    if any(found.topics for found in config.web.values()):
        sets = by_topic(sets, table, part)
    table = table.append_column("set", pa.array(sets, pa.string()))
    found: dict[str, dict[str, int]] = {}
    if "items" in task:
        # what the recipe does not use is not worth a look
        used = pc.is_valid(table["set"]).to_numpy(zero_copy_only=False)
        held = np.zeros(table.num_rows, bool)
        held[used], found = leave_out(table.filter(pa.array(used)), shard.sha256, task, part)
        table = table.filter(pa.array(~held))
    name = f"scan/{task['shard']['input']}-{shard.index:05d}.parquet"
    part.put_table(name, keys_of(table, shard.sha256, config), "scan", temporary=True)
    return {"rows": table.num_rows, "matched": found}


def read_shard(shard: CorpusShard, name: str) -> pa.Table:
    """The kept rows; columns that are missing or null are empty texts, but for the text itself."""
    table = shard.read(["doc_id", "url", "source", "language", "text", "metadata", *PAIR, "task"])
    if "text" not in table.column_names:
        raise DataError(f"shard {shard.sha256[:12]} of {name} has no column text; ingest it again")
    for column in ("source", "language", "task"):
        values = (
            pc.fill_null(table[column], "")
            if column in table.column_names
            else pa.array([""] * table.num_rows, pa.string())
        )
        table = table.drop_columns([column] if column in table.column_names else []).append_column(
            column, values
        )
    return table


def keys_of(table: pa.Table, shard: str, config: Config) -> pa.Table:
    """What choosing and packing need to know of each document, without its text; about 60 bytes a row."""
    rows, sets = table[ROW].to_numpy(), table["set"].to_pylist()
    supervised = pc.fill_null(pc.starts_with(table["set"], f"{SUPERVISED}/"), False)
    # a pair that is trained on as plain text has no task
    task = pc.if_else(supervised, table["task"], "")
    # a document of a supervised set is held out with its task, one with a topic with that, others with their language
    tasked = pc.if_else(pc.equal(task, ""), table["source"], task)
    fenced = {name for name in set(sets) if name and config.template(name) == "code"}
    tags = [""] * len(rows)
    if fenced:
        places = zip(sets, table["url"].to_pylist(), table["metadata"].to_pylist(), strict=True)
        tags = [code_language(url, metadata) if name in fenced else "" for name, url, metadata in places]
    text = pa.dictionary(pa.int32(), pa.string())
    groups = pc.if_else(supervised, tasked, topic_groups(table))
    return pa.table(
        {
            "row": pa.array(rows),
            "key": pa.array(row_keys(shard, rows, config.seed)),
            "text_key": pa.array(text_keys(table["text"], config.seed)),
            "bytes": pa.array(text_bytes(table["text"])),
            "set": table["set"].cast(text),
            "group": groups.cast(text),
            "source": table["source"].cast(text),
            "language": table["language"].cast(text),
            "task": task.cast(text),
            "tag": pa.array(tags, pa.string()).cast(text),
        }
    )


def data_sets(table: pa.Table, own: bool, config: Config) -> list[str | None]:
    """The data set of each document, or None where the recipe does not use it.

    A pair belongs to the supervised set of its name, whether it comes from the run's ``own`` sources or a gated corpus;
    gated ones that have no such set are plain text. Own plain texts are a supervised set too, or nothing.
    """
    named_sets = own or is_supervised(table.column_names)

    def named(source: str, task: str) -> str | None:
        for name in (f"{source}/{task}", source) if named_sets else ():
            if name in config.supervised:
                return f"{SUPERVISED}/{name}"
        return f"web/{source}" if not own and config.web_set(source) is not None else None

    return [named(*row) for row in zip(table["source"].to_pylist(), table["task"].to_pylist(), strict=True)]


STEP = Step(
    name="mix",
    version=6,  # 6: every pass over a set has an order of its own
    config=Config,
    run=run,
    inputs=(
        Input("corpora", optional=True, many=True),
        Input(SUPERVISED, optional=True),
        Input(BENCHMARKS, optional=True),
        Input("classifiers", optional=True, many=True),
    ),
    libraries=("xxhash", "numba", "fasttext-predict"),
    report=report,
)
