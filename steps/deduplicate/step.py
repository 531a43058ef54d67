"""deduplicate: same URL, then same text, then nearly the same text; against earlier dumps and within this one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steps.core.parts import PartResult
from steps.core.step import Input, Step, StepContext
from steps.deduplicate.candidates import block_bounds, choose_blocks, deal_values
from steps.deduplicate.config import Config
from steps.deduplicate.decide import STAGES, check_wipe_out, collect, write_shard
from steps.deduplicate.exchange import index_runs, only
from steps.deduplicate.group import group_candidates
from steps.deduplicate.match import find_equal, write_keys
from steps.deduplicate.merge import merge_indexes
from steps.deduplicate.near import (
    fetch_texts,
    find_pairs,
    map_tasks,
    verify,
    ways,
    write_near_keys,
)
from steps.deduplicate.needs import needs
from steps.deduplicate.report import report
from steps.deduplicate.sample import Sample, join_samples
from steps.deduplicate.sources import all_sources, bucket_size

Entries = list[dict[str, Any]]


def run(ctx: StepContext) -> None:
    """Keys, then one stage after the other; what a stage removed keeps nobody out in a later one."""
    sources = all_sources(ctx.inputs)
    first_new = sum(source.published for source in sources)
    rows = sum(source.shard.rows for source in sources)
    partitions = max(1, -(-rows // ctx.config.partition_documents))
    keyed = ctx.map("keys", write_keys, [{"source": s.number, "partitions": partitions} for s in sources])
    ctx.set("published_documents", sum(p.result["documents"] for p in keyed[:first_new]))
    common = {"folder": ctx.folder, "first_new": first_new, "per_bucket": bucket_size(len(sources))}
    decisions = find_equals(ctx, common, keyed, partitions)
    keys = temporary(keyed, "keys/")
    merge_indexes(ctx, sources, keys)
    sample = join_samples(part.result for part in keyed)
    del keyed  # where each partition lies in each run file: it is indexed
    grouped = find_candidates(ctx, common, keys, sample, list(decisions.values()))
    decisions["near"] = decide_candidates(ctx, common, keys, grouped)
    decided = decisions_by_source(ctx, decisions, len(sources))
    written = ctx.map(
        "masks",
        write_shard,
        [
            {"folder": ctx.folder, "source": s.number, "keys": keys[s.number], "decisions": decided[s.number]}
            for s in sources[first_new:]
        ],
    )
    by_source: dict[str, list[int]] = {}
    for part in written:
        for name, (reached, removed_here) in part.result.items():
            tally = by_source.setdefault(name, [0, 0])
            tally[0] += reached
            tally[1] += removed_here
    check_wipe_out(by_source, ctx.config)
    for name in ("url_duplicates", "text_duplicates", "near_duplicates"):
        ctx.metric(f"corpus/{name}", ctx.facts[name])
    ctx.metric("corpus/bloom_false_positives", ctx.facts["bloom"]["measured_full"])


def temporary(parts: Sequence[PartResult], prefix: str) -> Entries:
    """Temporary files of some parts whose key begins with ``prefix``, as tasks carry them."""
    return [file.model_dump() for part in parts for file in part.temporary if file.key.startswith(prefix)]


def indexed(ctx: StepContext, phase: str, entries: Entries) -> dict[str, Any]:
    """One entry for many run files."""
    task = {"key": f"index/{phase}.runs", "entries": entries}
    return ctx.part(f"{phase}-index", index_runs, task).temporary[0].model_dump()


def decisions_by_source(ctx: StepContext, decisions: dict[str, dict[str, Any]], sources: int) -> Entries:
    """For each source, the run file that holds its decisions."""
    size = bucket_size(sources)
    tasks = [
        {"folder": ctx.folder, "bucket": b, "decisions": {k: decisions[k] for k in STAGES}}
        for b in range(-(-sources // size))
    ]
    collected = ctx.map("collect", collect, tasks, unit="buckets")
    return [collected[number // size].temporary[0].model_dump() for number in range(sources)]


def find_equals(
    ctx: StepContext, common: dict[str, Any], keyed: Sequence[PartResult], partitions: int
) -> dict[str, dict[str, Any]]:
    """The URL and the text stage: decisions of each."""
    decisions: dict[str, dict[str, Any]] = {}
    for kind in ("url", "text"):
        removed = list(decisions.values())
        runs = indexed(ctx, f"{kind}-keys", temporary(keyed, f"{kind}/"))
        tasks = [
            {**common, "kind": kind, "partition": p, "runs": only(runs, p), "removed": removed}
            for p in range(partitions)
        ]
        parts = ctx.map(kind, find_equal, tasks, unit="partitions")
        decisions[kind] = indexed(ctx, f"{kind}-decisions", temporary(parts, "decisions/"))
        ctx.set(f"{kind}_duplicates", sum(p.result["removed"] for p in parts))
        if kind == "url":
            ctx.set(
                "bloom", bloom_facts([p.result["bloom"] for p in parts if "bloom" in p.result], ctx.config)
            )
    return decisions


def find_candidates(
    ctx: StepContext, common: dict[str, Any], keys: Entries, sample: Sample, removed: Entries
) -> PartResult:
    """The near stage up to the groups of documents that may repeat each other: keys only, no text."""
    config = ctx.config
    documents, rows = sample.documents, [entry["rows"] for entry in keys]
    partitions = max(1, -(-documents // config.partition_documents))
    task = {**common, "documents": documents}
    blocks = block_bounds(choose_blocks(documents, config.hamming))
    dealt = deal_values(sample, blocks, config.hamming, partitions)
    shape = {**task, "partitions": partitions, "dealt": dealt, "removed": removed}
    mapped = [
        {**shape, "number": n, "sources": sources, "keys": [keys[s] for s in sources]}
        for n, sources in enumerate(map_tasks(rows, config.partition_documents))
    ]
    written = ctx.map("near-keys", write_near_keys, mapped, unit="groups of shards")
    runs = indexed(ctx, "near-keys", temporary(written, "near/"))
    fingerprints = sum(part.result for part in written)
    del written  # as above
    tables = [
        {**task, **way, "number": n, "runs": only(runs, n)}
        for n, way in enumerate(way for way in ways(config, dealt) for _ in range(partitions))
    ]
    paired = ctx.map("pairs", find_pairs, tables, unit="tables")
    grouped = ctx.part("groups", group_candidates, {**common, "nodes": temporary(paired, "nodes/")})
    ctx.set(
        "near",
        {
            "fingerprints": fingerprints,
            "compared_pairs": sum(part.result["compared"] for part in paired),
            "beyond_band_group": sum(part.result["beyond"] for part in paired),
            "candidate_documents": grouped.result["documents"],
            "candidate_groups": grouped.result["groups"],
            "largest_group": grouped.result["largest"],
            "groups_cut": grouped.result["cut"],
        },
    )
    return grouped


def decide_candidates(
    ctx: StepContext, common: dict[str, Any], keys: Entries, grouped: PartResult
) -> dict[str, Any]:
    """The rest of the near stage: texts of the groups, and the decisions."""
    groups, found = grouped.temporary[0].model_dump(), grouped.result
    texts = ctx.map(
        "texts",
        fetch_texts,
        [
            {"folder": ctx.folder, "source": n, "keys": keys[n], "groups": only(groups, n)}
            for n in found["sources"]
        ],
    )
    index = indexed(ctx, "texts", temporary(texts, "texts/"))
    verified = ctx.map(
        "verify",
        verify,
        [{**common, "number": n, "texts": only(index, n)} for n in range(found["tasks"])],
        unit="groups",
    )
    totals: dict[str, int] = {}
    for part in verified:
        for name, value in part.result.items():
            totals[name] = totals.get(name, 0) + value
    ctx.set("near_duplicates", totals.pop("removed", 0))
    ctx.set("near", {**ctx.facts["near"], **totals})
    return indexed(ctx, "near-decisions", temporary(verified, "decisions/"))


def bloom_facts(parts: list[dict[str, Any]], config: Config) -> dict[str, Any]:
    """The URL filter's size and error: while it filled (the documents themselves), and full (made-up keys)."""

    def total(name: str) -> int:
        return sum(part[name] for part in parts)

    return {
        "target": config.bloom_false_positives,
        "bits": total("bits"),
        "hashes": max((part["hashes"] for part in parts), default=0),
        "expected": max((part["expected"] for part in parts), default=0.0),
        "urls": total("distinct"),
        "candidates": total("candidates"),
        "false_positives": total("false_candidates"),
        "measured": total("false_candidates") / max(total("distinct"), 1),
        "measured_full": total("false_probes") / max(total("probes"), 1),
        "probes": total("probes"),
    }


STEP = Step(
    name="deduplicate",
    version=9,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("index", optional=True, many=True), Input("own", optional=True)),
    libraries=("xxhash",),
    makes="overlay",
    report=report,
    needs=needs,
)
