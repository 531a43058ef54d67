"""score: perplexity per document, quality from own percentiles, a keep-mask."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.document import text_bytes
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import open_artifact
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.report.page import stage_report
from steps.score.config import Config
from steps.score.cutoffs import Cutoffs, language_cutoffs, qualities
from steps.text.kenlm_score import NORMALISATION, Scorer

MODELS = "models"  # folder in the step's scratch
BATCH = 500  # documents held as Python strings at once


def run(ctx: StepContext) -> None:
    """Measure every document, find the cut-offs per language, decide per shard."""
    models = models_by_language(ctx.input_list("language_models"))
    shards = [{"shard": shard.index} for shard in ctx.corpus().shards]
    languages = {name for part in ctx.map("languages", find_languages, shards) for name in part.result}
    if missing := sorted(languages - set(models)):
        if ctx.config.without_model == "error":
            raise ConfigError(
                f"score: no language model for {', '.join(missing)} "
                f"(given: {', '.join(sorted(models)) or 'none'}); "
                "add one as input language_models.<language>, or set score.without_model: unscored"
            )
        ctx.log.info("kept unscored, without a model: %s", ", ".join(missing))
    for artifact in models.values():  # once, here: the workers find the files
        fetch_model(artifact, ctx.scratch / MODELS)
    measured = ctx.map("perplexity", measure, shards)
    entries = [part.temporary[0].model_dump() for part in measured]
    found = ctx.part("cutoffs", find_cutoffs, {"folder": ctx.folder, "measured": entries}).result
    ctx.map(
        "quality",
        decide,
        [
            {**shard, "folder": ctx.folder, "measured": entry, "cutoffs": found}
            for shard, entry in zip(shards, entries, strict=True)
        ],
    )
    ctx.set("cutoffs", found)
    ctx.set("normalisation", NORMALISATION)
    for language, values in found.items():
        for name, value in values.items():
            if value is not None:
                ctx.metric(f"corpus/perplexity_{name}_{language}", value)


def models_by_language(inputs: dict[str, Artifact]) -> dict[str, Artifact]:
    """Language model artifacts by the language they were trained on. Raises ConfigError if unusable."""
    models: dict[str, Artifact] = {}
    for key, artifact in inputs.items():
        language = artifact.facts.get("language")
        if artifact.facts.get("normalisation") != NORMALISATION:
            raise ConfigError(
                f"language_models.{key} has normalisation {artifact.facts.get('normalisation')!r}, "
                f"this program scores with {NORMALISATION!r}; train it again"
            )
        if language in models:
            raise ConfigError(f"language_models.{key}: there are two models for language {language!r}")
        models[str(language)] = artifact
    return models


@functools.lru_cache(maxsize=4)
def open_scorer(ref: str, directory: Path) -> Scorer:
    """One scorer per process and model; its files lie in the step's scratch folder, shared by all workers."""
    artifact = open_artifact(ref)
    return Scorer(*fetch_model(artifact, directory))


def fetch_model(artifact: Artifact, directory: Path) -> tuple[Path, Path]:
    """Local, checked copies of sp.model and lm.bin."""
    pieces, model = (artifact.fetch(artifact.file(name), directory) for name in ("sp.model", "lm.bin"))
    return pieces, model


def find_languages(task: dict[str, Any], part: PartWriter) -> list[str]:
    """Languages of the kept documents of one shard."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(["language"])
    return sorted(pc.unique(table["language"]).to_pylist())


def measure(task: dict[str, Any], part: PartWriter) -> None:
    """Perplexities of one shard's kept documents; NaN where there is no model or no text."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(["source", "language", "text"])
    perplexity, failed = np.full(table.num_rows, np.nan), np.zeros(table.num_rows, dtype=bool)
    languages = table["language"]
    for language, artifact in models_by_language(part.input_list("language_models")).items():
        rows = np.flatnonzero(pc.equal(languages, language).to_numpy(zero_copy_only=False))
        if len(rows) == 0:
            continue
        scorer = open_scorer(artifact.ref, part.scratch.parent / MODELS)
        for at in range(0, len(rows), BATCH):
            batch = rows[at : at + BATCH]
            perplexity[batch], failed[batch] = score_batch(scorer, table["text"].take(pa.array(batch)))
    part.put_table(
        f"measured/{task['shard']:05d}.parquet",
        pa.table(
            {
                "_row": table["_row"],
                "source": table["source"],
                "language": languages,
                "bytes": pa.array(text_bytes(table["text"])),
                "perplexity": pa.array(perplexity),
                "failed": pa.array(failed),
            }
        ),
        "measured",
        temporary=True,
    )


def score_batch(scorer: Scorer, texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(perplexity float64[n], failed bool[n]): a text at which a library raises fails alone."""
    failed = np.zeros(len(texts), dtype=bool)
    try:
        return scorer.perplexities(texts), failed
    except MemoryError:
        raise
    except Exception:  # whatever a library raises on a text: find the text
        perplexity = np.full(len(texts), np.nan)
        for i in range(len(texts)):
            try:
                perplexity[i] = scorer.perplexities(texts.slice(i, 1))[0]
            except Exception:
                failed[i] = True
        return perplexity, failed


def find_cutoffs(task: dict[str, Any], part: PartWriter) -> dict[str, dict[str, float | None]]:
    """Cut-offs per language that has a model, from the measured columns alone."""
    files, config = Files(part.store, task["folder"]), part.config
    tables = [
        files.read_table(FileEntry.model_validate(entry), ["source", "language", "bytes", "perplexity"])
        for entry in task["measured"]
    ]
    table = pa.concat_tables(tables) if tables else None
    found: dict[str, dict[str, float | None]] = {}
    for language in sorted(models_by_language(part.input_list("language_models"))):
        if table is None:
            continue
        mine = table.filter(pc.equal(table["language"], language))
        counted = mine.filter(
            pc.invert(pc.is_in(mine["source"], pa.array(config.exempt_sources, pa.string())))
        )
        found[language] = language_cutoffs(
            counted["perplexity"].to_numpy(),
            counted["bytes"].to_numpy(),
            high_share=config.high_share,
            medium_share=config.medium_share,
            by_bytes=config.weight == "bytes",
            lowest=config.lowest_perplexity.get(language),
            lowest_share=config.lowest_share,
            lowest_ratio=config.lowest_ratio,
            lowest_min_documents=config.lowest_min_documents,
        )._asdict()
    return found


def decide(task: dict[str, Any], part: PartWriter) -> None:
    """Quality and keep-mask of one shard, with the removals in the ledger."""
    config: Config = part.config
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    measured = Files(part.store, task["folder"]).read_table(FileEntry.model_validate(task["measured"]))
    doc_ids = shard.read(["doc_id"])["doc_id"].to_pylist()
    rows, perplexity = measured["_row"].to_numpy(), measured["perplexity"].to_numpy()
    sources, languages = measured["source"].to_pylist(), measured["language"].to_pylist()
    failed = measured["failed"].to_pylist()
    quality = np.full(len(rows), "unscored", dtype=object)
    for language, values in task["cutoffs"].items():
        mine = np.array([name == language for name in languages], dtype=bool)
        quality[mine] = qualities(perplexity[mine], Cutoffs(**values))
    keep = np.zeros(shard.rows, dtype=bool)
    for i, (row, size) in enumerate(zip(rows.tolist(), measured["bytes"].to_pylist(), strict=True)):
        group = (sources[i], languages[i])
        part.count.add_input(*group, 1, size)
        if failed[i]:
            part.quarantine(
                reason="scorer_error",
                shard=shard.sha256,
                row=row,
                bytes=size,
                source=sources[i],
                language=languages[i],
                doc_id=doc_ids[i],
            )
            continue
        exempt = sources[i] in config.exempt_sources
        if exempt or quality[i] == "unscored" or quality[i] in config.keep:
            keep[row] = True
            part.count.add_kept(*group, 1, size)
            continue
        reason = "unnaturally_low_perplexity" if quality[i] == "unnatural" else "low_quality"
        part.count.add_removed(reason, *group, 1, size)
        part.ledger.add(
            rule=reason,
            shard=shard.sha256,
            row=row,
            doc_id=doc_ids[i],
            source=sources[i],
            language=languages[i],
            value=None if np.isnan(perplexity[i]) else float(perplexity[i]),
            bytes=size,
            detail=str(quality[i]),
        )
    whole = np.full(shard.rows, np.nan)
    whole[rows] = perplexity
    names = np.full(shard.rows, None, dtype=object)
    names[rows] = np.where(quality == "unnatural", "low", quality)
    signals = {
        "perplexity": pa.array(whole, pa.float64(), from_pandas=True),
        "quality": pa.array(names, pa.string()),
    }
    part.put_signals(shard, pa.table(signals))
    part.put_keep(shard, keep)


STEP = Step(
    name="score",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("language_models", many=True, optional=True)),
    libraries=("sentencepiece", "kenlm"),
    makes="overlay",
    report=stage_report,
)
