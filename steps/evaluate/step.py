"""evaluate: draw, measure, seed, and hand the sample over to the readers."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.corpus import ROW, Corpus, CorpusShard
from steps.core.draw import count_strata, lowest_rows, sample_seed
from steps.core.labels import Label, labels_table
from steps.core.manifest import FileEntry
from steps.core.parts import open_artifact
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.core.verdict import SampleFacts, Stratum
from steps.evaluate import independent, metrics, seeding
from steps.evaluate.config import Config
from steps.evaluate.detectors import Finding, read_batch
from steps.evaluate.drift import chart, comparisons
from steps.evaluate.report import report
from steps.evaluate.sampling import allocate, host_shares

SAMPLE_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("doc_id", pa.string()),
        ("doc_sha256", pa.string()),
        ("stratum", pa.string()),
        ("source", pa.string()),
        ("language", pa.string()),
        ("url", pa.string()),
        ("shard", pa.string()),
        ("row", pa.int64()),
        ("text", pa.string()),
    ]
)
SEEDS_SCHEMA = pa.schema([("sample_id", pa.string()), ("counted", pa.bool_()), ("defect", pa.string())])
FINDINGS = pa.list_(
    pa.struct([("defect", pa.string()), ("score", pa.float64()), ("start", pa.int64()), ("end", pa.int64())])
)
AUTOMATIC = "automatic"  # the annotator's name
READER_VERSION = "2"
READ_BATCH = 256
# Hosts of seeded defects must be clean and not tiny; some are drawn in excess so that enough are left (own choice).
HOST_EXCESS = 1.5
HOST_MINIMUM_BYTES = 200


def run(ctx: StepContext) -> None:
    """Count the strata, draw rows by their keys, read and measure the drawn ones, add the seeded defects."""
    config: Config = ctx.config
    corpus = ctx.corpus()
    counted = ctx.map("count", count_strata, [{"shard": shard.index} for shard in corpus.shards])
    counts: Counter[str] = Counter()
    for part in counted:
        counts.update(part.result["strata"])
    dumps = sorted({dump for part in counted for dump in part.result["dumps"]})
    strata, needed = allocate(counts, config)
    documents = corpus.documents or ""
    seed = sample_seed(documents, config.policy.digest, config.look)
    chosen = draw(ctx, strata, seed)
    read = ctx.map("read", read_rows, _row_tasks(chosen))
    seeded = ctx.part(
        "sample",
        write_sample,
        {
            "folder": ctx.folder,
            "read": [part.temporary[0].model_dump() for part in read],
            "chosen": chosen,
            "seed": seed,
        },
    ).result
    facts = SampleFacts(
        documents=documents,
        population=sum(counts.values()),
        policy=config.policy,
        policy_digest=config.policy.digest,
        look=config.look,
        dump="+".join(dumps),
        seed=seed,
        strata=strata,
        planned=needed,
        seeded=seeded["seeded"],
    )
    ctx.set("sample", facts.model_dump(mode="json"))
    ctx.set("documents", documents)
    ctx.set("sampled_documents", seeded["documents"])
    ctx.set("seeded_documents", seeded["seeded"])
    ctx.set("metrics", seeded["metrics"])
    for name, value in metrics.rates(seeded["metrics"]).items():
        ctx.metric(f"gate/{name}", value)
    for name, value in chart(comparisons(ctx)).items():
        ctx.metric(f"gate/{name}", value)


def _shard(task: Mapping[str, Any], part: PartWriter) -> CorpusShard:
    return Corpus.open(part.inputs["corpus"]).shards[task["shard"]]


def draw(ctx: StepContext, strata: Mapping[str, Stratum], seed: str) -> list[dict[str, Any]]:
    """The rows with the lowest keys of each stratum: counted, extra and hosts, as [{shard, row, role, …}]."""
    wanted = host_shares(strata, math.ceil(ctx.config.seeded * HOST_EXCESS) + 20 if ctx.config.seeded else 0)
    take = {name: s.sampled + s.extra + wanted[name] for name, s in strata.items()}
    documents = {name: stratum.documents for name, stratum in strata.items()}
    return _roles(lowest_rows(ctx, seed, documents, take), strata, wanted)


def _roles(
    found: Mapping[str, list[tuple[int, int, int]]], strata: Mapping[str, Stratum], wanted: Mapping[str, int]
) -> list[dict[str, Any]]:
    chosen: list[dict[str, Any]] = []
    for name in sorted(strata):
        rows = found[name]
        sampled, extra = strata[name].sampled, strata[name].extra
        hosts = rows[sampled + extra :][: wanted[name]]
        if len(hosts) < wanted[name]:  # a census leaves none over: sampled documents are hosts too
            hosts += rows[: wanted[name] - len(hosts)]
        for role, picked in (
            ("counted", rows[:sampled]),
            ("extra", rows[sampled : sampled + extra]),
            ("host", hosts),
        ):
            chosen.extend(
                {"shard": shard, "row": row, "role": role, "stratum": name, "key": f"{key:016x}"}
                for key, shard, row in picked
            )
    return chosen


def _row_tasks(chosen: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    by_shard: dict[int, set[int]] = {}
    for item in chosen:
        by_shard.setdefault(item["shard"], set()).add(item["row"])
    return [{"shard": shard, "rows": sorted(by_shard[shard])} for shard in sorted(by_shard)]


def read_rows(task: dict[str, Any], part: PartWriter) -> None:
    """Text, measures and automatic findings of the drawn rows of one shard, as a temporary table."""
    shard = _shard(task, part)
    corpus = Corpus.open(part.inputs["corpus"])
    signals = ["perplexity"] if "perplexity" in corpus.signal_names else []
    table = shard.read(["doc_id", "url", "source", "language", "text"], signals=signals)
    positions = np.searchsorted(table[ROW].to_numpy(zero_copy_only=False), np.array(task["rows"], np.int64))
    table = table.take(pa.array(positions))
    texts = [text or "" for text in table["text"].to_pylist()]
    languages = table["language"].to_pylist()
    findings = []
    for at in range(0, len(texts), READ_BATCH):
        findings.extend(read_batch(texts[at : at + READ_BATCH], languages[at : at + READ_BATCH]))
    perplexity = perplexities(part, texts, languages)
    if perplexity is None and signals:
        perplexity = table["perplexity"].to_numpy(zero_copy_only=False).astype(np.float64)
    described = metrics.describe(texts, languages)
    if perplexity is not None:
        described = described.append_column("perplexity", pa.array(perplexity, pa.float64()))
    names = pa.array([metrics.defect_names(found) for found in findings], pa.list_(pa.string()))
    details = pa.array([[dataclasses.asdict(f) for f in found] for found in findings], FINDINGS)
    for name in described.column_names:
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, described[name])
    table = table.append_column("defects", names).append_column("findings", details)
    table = table.append_column("shard", pa.array([shard.sha256] * len(texts), pa.string()))
    table = table.append_column("shard_index", pa.array([shard.index] * len(texts), pa.int64()))
    part.put_table(f"read/{shard.index:05d}.parquet", table, "read", temporary=True)


def perplexities(part: PartWriter, texts: Sequence[str], languages: Sequence[str]) -> np.ndarray | None:
    """KenLM perplexity of each text by the model of its language; None where no language model is given."""
    models = part.input_list("language_models")
    if not models:
        return None
    values = np.full(len(texts), np.nan)
    for artifact in models.values():
        rows = [i for i, language in enumerate(languages) if language == artifact.facts.get("language")]
        if rows:
            scorer = _scorer(artifact.ref, part.scratch.parent / "models")
            values[rows] = scorer.perplexities([texts[i] for i in rows])
    return values


@functools.lru_cache(maxsize=4)
def _scorer(ref: str, directory: Path) -> Any:
    from steps.text.kenlm_score import Scorer

    artifact = open_artifact(ref)
    pieces, model = (artifact.fetch(artifact.file(name), directory) for name in ("sp.model", "lm.bin"))
    return Scorer(pieces, model, artifact.facts["normalisation"])


def write_sample(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Sample, seeds and metrics, in an order that says nothing; the seeded ones look like all others."""
    files = Files(part.store, task["folder"])
    tables = [files.read_table(FileEntry.model_validate(entry)) for entry in task["read"]]
    table = pa.concat_tables(tables) if tables else None
    rows = {} if table is None else {(r["shard_index"], r[ROW]): r for r in table.to_pylist()}
    sample, seeds, measured, known = [], [], [], {}
    for item in task["chosen"]:
        if item["role"] == "host":
            continue
        row = rows[item["shard"], item["row"]]
        record = _record(row, item, row["text"] or "", task["seed"], "")
        sample.append(record)
        known[record["sample_id"]] = [Finding(**found) for found in row["findings"]]
        counted = item["role"] == "counted"
        seeds.append({"sample_id": record["sample_id"], "counted": counted, "defect": None})
        if counted:
            measured.append(row)
            size = len(record["text"].encode())
            part.count.add_input(row["source"] or "", row["language"] or "", 1, size)
            part.count.add_kept(row["source"] or "", row["language"] or "", 1, size)
    planted = list(_seeded(task, part.config, rows))
    sample += [record for record, _ in planted]
    seeds += [{"sample_id": r["sample_id"], "counted": False, "defect": defect} for r, defect in planted]
    sample.sort(key=lambda r: r["sample_id"])
    seeds.sort(key=lambda r: r["sample_id"])
    part.put_table("sample.parquet", pa.Table.from_pylist(sample, SAMPLE_SCHEMA), "sample")
    part.put_table("automatic.parquet", labels_table(automatic_labels(sample, known)), "automatic")
    part.put_table("seeds.parquet", pa.Table.from_pylist(seeds, SEEDS_SCHEMA), "seeds")
    report = {}
    if table is not None and measured:
        numbers = pa.Table.from_pylist(measured, table.schema)
        languages = [row["language"] or "" for row in measured]
        report = metrics.summary(numbers, [row["defects"] for row in measured], languages)
        keep = [n for n in numbers.column_names if n not in ("text", ROW, "url", "shard_index", "findings")]
        part.put_table("metrics.parquet", numbers.select(keep), "metrics")
    else:
        report = {name: 0.0 for name in (*metrics.RATES, "any_defect_rate")}
    return {"documents": len(sample) - len(planted), "seeded": len(planted), "metrics": report}


def automatic_labels(
    sample: Sequence[Mapping[str, Any]], known: Mapping[str, Sequence[Finding]]
) -> list[Label]:
    """The automatic readers' label on every document of the sample, seeded or not.

    ``known`` holds findings by sample id where the text was read before; a reading depends on the text alone.
    """
    unread = [row for row in sample if row["sample_id"] not in known]
    findings = dict(known)
    for at in range(0, len(unread), READ_BATCH):
        batch = unread[at : at + READ_BATCH]
        found = read_batch([row["text"] for row in batch], [row["language"] for row in batch])
        findings.update(zip((row["sample_id"] for row in batch), found, strict=True))
    return [_label(row, findings[row["sample_id"]]) for row in sample]


def _label(row: Mapping[str, Any], findings: Sequence[Finding]) -> Label:
    return Label(
        sample_id=row["sample_id"],
        doc_id=row["doc_id"],
        doc_sha256=row["doc_sha256"],
        stratum=row["stratum"],
        annotator=AUTOMATIC,
        reader="automatic",
        label="bad" if findings else "good",
        defects=tuple(finding.defect for finding in findings),
        start=findings[0].start if findings else None,
        end=findings[0].end if findings else None,
        client=f"detectors {READER_VERSION}",
    )


def _record(
    row: Mapping[str, Any], item: Mapping[str, Any], text: str, seed: str, defect: str
) -> dict[str, Any]:
    address = f"{seed}:{row['shard']}:{item['shard']}:{item['row']}:{defect}"
    return {
        "sample_id": hashlib.sha256(address.encode()).hexdigest()[:20],
        "doc_id": row["doc_id"],
        "doc_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "stratum": item["stratum"],
        "source": row["source"],
        "language": row["language"],
        "url": row["url"],
        "shard": row["shard"],
        "row": item["row"],
        "text": text,
    }


def _seeded(
    task: Mapping[str, Any], config: Config, rows: Mapping[tuple[int, int], Mapping[str, Any]]
) -> Any:
    """(record, defect class) of every seeded defect, on hosts in which the automatic readers find nothing."""
    hosts = [item for item in task["chosen"] if item["role"] == "host"]
    hosts.sort(key=lambda item: (item["key"], item["shard"], item["row"]))
    clean = [
        item
        for item in hosts
        if not rows[item["shard"], item["row"]]["defects"]
        and rows[item["shard"], item["row"]]["bytes"] >= HOST_MINIMUM_BYTES
    ]
    if not clean:
        return
    texts = [rows[item["shard"], item["row"]]["text"] for item in clean]
    languages = ["zh" if rows[i["shard"], i["row"]]["language"] == "zh" else "en" for i in clean]
    pools = {name: [k for k, own in enumerate(languages) if own == name] for name in ("zh", "en")}
    for number in range(config.seeded):
        defect = config.defects[number % len(config.defects)]
        # one further per round, so that a host that comes again gets another class
        index = (number + number // len(clean)) % len(clean)
        pool = pools[languages[index]]
        near = [texts[pool[(pool.index(index) + step) % len(pool)]] for step in range(1, min(12, len(pool)))]
        make = independent.inject if config.seed_texts == "independent" else seeding.inject
        text = make(defect, texts[index], languages[index], f"{task['seed']}:{number}", near)
        item = clean[index]
        row = rows[item["shard"], item["row"]]
        yield _record(row, item, text, task["seed"], f"{defect}:{number}"), defect


STEP = Step(
    name="evaluate",
    version=5,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("language_models", optional=True, many=True)),
    libraries=("scipy", "numpy", "kenlm", "sentencepiece"),
    report=report,
)
