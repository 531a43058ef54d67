"""publish: verify, leave out what others published since, write the kept rows, point the catalog to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.corpus import ROW, Corpus
from steps.core.dedup_index import INDEX
from steps.core.document import SCHEMA, SUPERVISED_SCHEMA, is_supervised, text_bytes
from steps.core.draw import count_strata, lowest_rows, sample_seed
from steps.core.errors import VerdictRefused
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.core.takedown import Takedowns
from steps.core.verdict import Verdict
from steps.core.verification import check_removals, load_sample, verify, verify_corpus
from steps.publish.config import Config
from steps.publish.index import new_index, with_index
from steps.publish.overtaken import DEDUP_INDEX, REMOVALS, published_from, settle
from steps.publish.report import report

CORPORA = "corpora"
REASON = "takedown"


def run(ctx: StepContext) -> None:
    """Verify the verdict, for what is left of its documents too, then materialise every shard."""
    corpus = ctx.inputs["corpus"]
    verdict = verify(ctx.inputs["verdict"], corpus.manifest.identity.documents)
    for name in ("sample", "labels"):
        if ctx.inputs[name].digest != getattr(verdict, name):
            raise VerdictRefused(f"publish: the input {name} is not the one that the verdict rests on")
    check_draw(ctx)
    left = published_from(ctx.inputs)
    if left is not corpus:
        check_removals(left, corpus, verdict, ctx.inputs["sample"], ctx.inputs["labels"])
        ctx.set("repeated_by_others", left.manifest.identity.counts.total.removed.documents)
    ctx.map("publish", publish_shard, [{"shard": shard.index} for shard in Corpus.open(left).shards])
    removed = sum(part.counts.total.removed.documents for part in ctx.parts)
    ctx.set("takedowns", removed)
    ctx.set("gated_documents", verdict.documents)
    ctx.set("verdict", summary(verdict))
    for name, value in (("rate", verdict.rate), ("bound_rate", verdict.bound_rate)):
        ctx.metric(f"gate/{name}", value)


def check_draw(ctx: StepContext) -> None:
    """Draw the sample again, and compare.

    Raises VerdictRefused for a sample that somebody chose, or whose texts are not the corpus's.
    """
    sample = ctx.inputs["sample"]
    facts = load_sample(sample).facts
    tasks = [{"shard": shard.index} for shard in ctx.corpus().shards]
    counts: Counter[str] = Counter()
    for part in ctx.map("count", count_strata, tasks):
        counts.update(part.result["strata"])
    seed = sample_seed(facts.documents, facts.policy_digest, facts.look)
    documents = {name: stratum.documents for name, stratum in facts.strata.items()}
    take = {name: stratum.sampled + stratum.extra for name, stratum in facts.strata.items()}
    if facts.seed != seed or documents != counts:
        raise VerdictRefused(f"publish: the sample {sample.reference.uri} was not drawn from this corpus")
    drawn = lowest_rows(ctx, seed, documents, take)
    shards = ctx.corpus().shards
    wanted = {(shards[index].sha256, row) for rows in drawn.values() for _, index, row in rows}
    checked = ctx.map("sample", sampled_texts, tasks)
    found = {
        (shards[task["shard"]].sha256, row)
        for task, part in zip(tasks, checked, strict=True)
        for row in part.result
    }
    if found != wanted:
        raise VerdictRefused(
            f"publish: the sample {sample.reference.uri} is not what documents, policy and look give: "
            f"{len(found ^ wanted)} documents differ; run evaluate again"
        )


def sampled_texts(task: dict[str, Any], part: PartWriter) -> list[int]:
    """Rows of one shard that the sample holds with the very text that the shard has; seeded defects are none."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    sample = part.inputs["sample"]
    table = sample.read_table(sample.file("sample.parquet"), ["sample_id", "shard", "row", "doc_sha256"])
    seeds = sample.read_table(sample.file("seeds.parquet"), ["sample_id", "defect"])
    real = seeds.filter(pc.is_null(seeds["defect"]))["sample_id"]
    table = table.filter(pc.and_(pc.equal(table["shard"], shard.sha256), pc.is_in(table["sample_id"], real)))
    kept = np.flatnonzero(shard.keep())
    digests = dict(zip(kept.tolist(), shard.kept_text_digests(), strict=True))
    rows = zip(table["row"].to_pylist(), table["doc_sha256"].to_pylist(), strict=True)
    return [row for row, sha in rows if row in digests and digests[row].tobytes().hex() == sha]


def summary(verdict: Verdict) -> dict[str, Any]:
    """What people who find the corpus want to know about its verdict."""
    return {
        "digest": verdict.digest,
        "policy_digest": verdict.policy_digest,
        "limit": verdict.policy.limit,
        "rate": verdict.rate,
        "bound": verdict.bound,
        "bound_rate": verdict.bound_rate,
        "readers": list(verdict.readers),
        "look": verdict.look,
    }


def publish_shard(task: dict[str, Any], part: PartWriter) -> None:
    """One base shard's kept rows, less takedowns, as a new base shard with the signals that lay on it."""
    shard = Corpus.open(published_from(part.inputs)).shards[task["shard"]]
    table = shard.read(signals=None if shard.signal_names else ())
    if table.num_rows == 0:
        return
    gone = taken_down(part.config, table["doc_id"].to_pylist(), table["url"].to_pylist())
    sizes = text_bytes(table["text"])
    rows = table[ROW].to_numpy(zero_copy_only=False)
    groups = zip(table["source"].to_pylist(), table["language"].to_pylist(), strict=True)
    for i, (source, language) in enumerate(groups):
        place = (source or "", language or "")
        part.count.add_input(*place, 1, int(sizes[i]))
        if not gone[i]:
            part.count.add_kept(*place, 1, int(sizes[i]))
            continue
        part.count.add_removed(REASON, *place, 1, int(sizes[i]))
        part.ledger.add(
            rule=REASON,
            shard=shard.sha256,
            row=int(rows[i]),
            bytes=int(sizes[i]),
            doc_id=table["doc_id"][i].as_py(),
            source=place[0],
            language=place[1],
        )
    kept = table.filter(pa.array(~gone))
    if kept.num_rows == 0:
        return
    origin = pa.StructArray.from_arrays(
        [
            pa.array([shard.sha256] * kept.num_rows, pa.string()),
            kept[ROW].combine_chunks().cast(pa.int64()),
        ],
        fields=list(SCHEMA.field("origin").type),
    )
    at = kept.schema.get_field_index("origin")
    written = kept.set_column(at, SCHEMA.field("origin"), origin)
    schema = SUPERVISED_SCHEMA if is_supervised(kept.column_names) else SCHEMA
    signals = kept.select(shard.signal_names) if shard.signal_names else None
    part.put_shard(shard.index, written.select(schema.names).cast(schema), signals)


def taken_down(config: Config, doc_ids: Iterable[str], urls: Iterable[str]) -> np.ndarray:
    """Which documents the takedown list names, as a bool array."""
    takedowns = Takedowns(config.takedowns)
    pairs = zip(doc_ids, urls, strict=True)
    return np.array([takedowns.match(doc_id, url or "") for doc_id, url in pairs], dtype=bool)


def point_catalog(artifact: Artifact, run: Mapping[str, Any]) -> None:
    """Enter the corpus and its de-duplication index into the catalog; nothing without a run. Idempotent.

    The verdict is verified once more, for a committed artifact may be older than the signing key. Raises Overtaken if
    another dump was published meanwhile: then `settle` de-duplicates again, and the corpus is published anew.
    """
    if not run:
        return
    verdict = verify_corpus(artifact)
    name, dump = run["recipe"]["name"], run["dump"]
    catalog = Catalog(artifact.store)
    left = published_from({key: artifact.input(key) for key in artifact.input_names()})
    if left.files(INDEX):
        new = new_index(left)
        catalog.update(DEDUP_INDEX, lambda value: with_index(value, new, name, dump))
    entry = {
        "corpus": artifact.local_ref,
        "documents": artifact.manifest.identity.documents,
        "kept": artifact.manifest.identity.counts.total.kept.documents,
        "verdict": artifact.input("verdict").local_ref,
        "policy_digest": verdict.policy_digest,
        "readers": list(verdict.readers),
        "bound": verdict.bound,
    }

    def publish(corpora: dict[str, Any]) -> dict[str, Any]:
        here = corpora.setdefault(name, {"latest": dump, "dumps": {}})
        if here["dumps"].get(dump) != entry:
            here["dumps"][dump] = json.loads(json.dumps(entry))
            here["latest"] = dump
        return corpora

    catalog.update(CORPORA, publish)


STEP = Step(
    name="publish",
    version=4,
    config=Config,
    run=run,
    inputs=(
        Input("corpus"),
        Input("sample"),
        Input("labels"),
        Input("verdict"),
        Input(REMOVALS, optional=True),
    ),
    makes="corpus",
    settle=settle,
    after_commit=point_catalog,
    report=report,
)
