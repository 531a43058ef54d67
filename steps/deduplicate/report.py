"""What de-duplication's page shows: what each stage found, how alike near duplicates are, and the pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.deduplicate.sources import Source, all_sources
from steps.report.blocks import (
    Block,
    Histogram,
    Mark,
    Number,
    Numbers,
    Panel,
    Sample,
    SampleGroup,
    Samples,
    Section,
)
from steps.report.distribution import Distribution
from steps.report.look import Stage, caption, draw, some_shards
from steps.report.page import REMOVED, stage_report

PAIRS = 4
_COLUMNS = ["rule", "shard", "row", "value", "bytes", "match_shard", "match_row", "distance", "detail"]


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a de-duplication."""
    similarity, pairs = look_at_pairs(Stage.of(ctx))
    sections = [Section("How they were found", stage_blocks(ctx, similarity))]
    if pairs:
        note = "What was removed beside the document that stayed for it. Pairs are drawn by a fixed rule, not chosen."
        sources = {source.shard.sha256: source for source in all_sources(ctx.inputs)}
        sections.append(Section(REMOVED, pair_blocks(pairs, sources), note=note))
    return stage_report(ctx, counts, sections)


def stage_blocks(ctx: StepContext, similarity: Distribution) -> list[Block]:
    """Duplicates by stage, the work of the near stage, the error of the Bloom filter, and near pairs' similarity."""
    near, bloom = ctx.facts["near"], ctx.facts["bloom"]
    numbers = Numbers(
        [
            Number("same URL", f"{ctx.facts['url_duplicates']:,}", "documents", "removed"),
            Number("same text", f"{ctx.facts['text_duplicates']:,}", "documents", "removed"),
            Number("nearly the same text", f"{ctx.facts['near_duplicates']:,}", "documents", "removed"),
            Number("compared against", f"{ctx.facts['published_documents']:,}", "published documents"),
            Number(
                "largest group",
                f"{near['largest_group']:,}",
                f"of {near['candidate_groups']:,} candidate groups",
            ),
            Number(
                "Bloom filter",
                f"{bloom['measured_full']:.2%}",
                f"false positives, {bloom['target']:.2%} planned",
            ),
        ]
    )
    if not similarity.count:
        return [numbers]
    mark = Mark(ctx.config.similarity, "duplicate from, whatever its edits")
    panel = Panel("removed near duplicates", {"removed": similarity}, [mark])
    return [numbers, Histogram("Similarity to the document that stayed", [panel], unit="Jaccard similarity")]


def look_at_pairs(stage: Stage) -> tuple[Distribution, dict[str, list[dict[str, Any]]]]:
    """(similarity of near duplicates, a few ledger rows per rule) from some ledgers, one at a time in memory."""
    similarity = Distribution()
    chosen: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for entry in some_shards(stage.of_kind("ledger")):
        table = stage.files.read_table(entry, _COLUMNS)
        near = table.filter(pc.equal(table["rule"], "near_duplicate"))
        similarity.add(near["value"].to_numpy())
        for rule in pc.unique(table["rule"]).to_pylist():
            mine = table.filter(pc.equal(table["rule"], rule))
            ranks = draw(mine["shard"][0].as_py(), mine["row"].to_numpy())
            first = np.argsort(ranks, kind="stable")[:PAIRS]
            found = zip(ranks[first].tolist(), mine.take(first).to_pylist(), strict=True)
            both = [*chosen.get(rule, []), *found]
            chosen[rule] = sorted(both, key=lambda item: item[0])[:PAIRS]
    return similarity, {rule: [row for _, row in rows] for rule, rows in sorted(chosen.items())}


def pair_blocks(
    pairs: Mapping[str, Sequence[Mapping[str, Any]]], sources: Mapping[str, Source]
) -> list[Block]:
    """One comparison per pair, those of each rule under one heading."""
    wanted: dict[str, set[int]] = {}
    for row in (row for rows in pairs.values() for row in rows):
        wanted.setdefault(row["shard"], set()).add(row["row"])
        wanted.setdefault(row["match_shard"], set()).add(row["match_row"])
    texts: dict[tuple[str, int], dict[str, Any]] = {}
    for shard, rows in sorted(wanted.items()):
        numbers = sorted(rows)
        found = sources[shard].documents(["source", "language", "url", "text"], np.array(numbers)).to_pylist()
        texts.update({(shard, row): record for row, record in zip(numbers, found, strict=True)})
    sections: list[Block] = []
    for rule, rows_ in pairs.items():
        comparisons: list[Block] = []
        for row in rows_:
            gone, kept = texts[row["shard"], row["row"]], texts[row["match_shard"], row["match_row"]]
            near = "" if row["value"] is None or row["distance"] is None else f"similarity {row['value']:.3f}"
            groups = [
                SampleGroup(
                    "removed", [Sample(gone["text"] or "", caption(gone, row["bytes"], near))], "removed"
                ),
                SampleGroup(
                    "stayed", [Sample(kept["text"] or "", caption(kept, None, row["detail"] or ""))], "kept"
                ),
            ]
            comparisons.append(Samples("", groups, side_by_side=True))
        sections.append(Section(rule, comparisons))
    return sections
