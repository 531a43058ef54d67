"""``report.html`` of a stage: the funnel per source and language, reasons, and samples of what each removed."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
import pyarrow.compute as pc

from steps.core.corpus import BASE_INPUT, Corpus
from steps.core.counts import Counts, Group, Tally
from steps.core.progress import human_bytes
from steps.core.step import StepContext

SAMPLES_PER_REASON = 3
SAMPLE_CHARACTERS = 600
_FACT_CHARACTERS = 300


def stage_report(ctx: StepContext, counts: Counts) -> bytes:
    """The page for a finished stage; crawled text in it is escaped, and its policy forbids scripts."""
    reasons = {**counts.removed_by, **{f"quarantined: {k}": t for k, t in counts.quarantined_by.items()}}
    ordered = sorted(reasons.items(), key=lambda item: (-item[1].documents, item[0]))
    facts = [(k, json.dumps(v, ensure_ascii=False)[:_FACT_CHARACTERS]) for k, v in sorted(ctx.facts.items())]
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=ctx.step.name,
            subtitle=f"version {ctx.step.version}, artifact {ctx.folder}",
            total=counts.total,
            groups=sorted(counts.groups.items()),
            reasons=ordered,
            most=max((tally.documents for _, tally in ordered), default=1) or 1,
            samples=removed_samples(ctx),
            facts=facts,
        )
    )
    return page.encode()


def removed_samples(ctx: StepContext) -> list[tuple[str, list[str]]]:
    """Up to three texts per rule that removed whole documents of the input corpus, the first in shard order."""
    if BASE_INPUT not in ctx.inputs:
        return []
    shards = Corpus.open(ctx.inputs[BASE_INPUT]).shard_by_sha()
    files = ctx.files()
    chosen: dict[str, list[tuple[str, int]]] = {}
    for entry in (entry for part in ctx.parts for entry in part.files if entry.kind == "ledger"):
        table = files.read_table(entry, ["rule", "level", "action", "shard", "row"])
        table = table.filter(
            pc.and_(pc.equal(table["level"], "document"), pc.equal(table["action"], "removed"))
        )
        for row in table.to_pylist():
            rows = chosen.setdefault(row["rule"], [])
            if len(rows) < SAMPLES_PER_REASON and row["shard"] in shards:
                rows.append((row["shard"], row["row"]))
    texts: dict[tuple[str, int], str] = {}
    for sha in {sha for rows in chosen.values() for sha, _ in rows}:
        column = shards[sha].read(["text"], kept=False)["text"]
        for row in {row for rows in chosen.values() for other, row in rows if other == sha}:
            texts[sha, row] = (column[row].as_py() or "")[:SAMPLE_CHARACTERS]
    return [(rule, [texts[at] for at in rows]) for rule, rows in sorted(chosen.items()) if rows]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["size"] = human_bytes
    environment.filters["share"] = _share
    return environment


def _share(group: Group) -> str:
    tally: Tally = group.kept
    return f"{tally.documents / group.input.documents:.1%}" if group.input.documents else "-"
