"""score: perplexity and quality per document, high, medium and low by own percentiles, a keep-mask."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.digest import canonical_json
from steps.core.document import text_bytes
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import open_artifact
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.score.config import Config
from steps.score.cutoffs import Batches, Cutoffs, lowest_cutoff, qualities, weighted_quantiles
from steps.score.distribution import DISTRIBUTION, Distributions
from steps.score.drift import compare_with_previous
from steps.score.measure import Measured, batches
from steps.score.report import score_report
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import NORMALISATIONS

MODELS = "models"  # folder in the step's scratch
COLUMNS = ("source", "language", "bytes", "perplexity", "quality_score")


def run(ctx: StepContext) -> None:
    """Measure every document, find the cut-offs per language, decide per shard, compare with the dump before."""
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
    measured = ctx.map("measure", measure_shard, shards)
    entries = [part.temporary[0].model_dump() for part in measured]
    found = ctx.part("cutoffs", find_cutoffs, {"folder": ctx.folder, "measured": entries}).result
    ctx.map(
        "quality",
        decide,
        [
            {
                **shard,
                "folder": ctx.folder,
                "measured": part.temporary[0].model_dump(),
                "lines": part.temporary[1].model_dump(),
                "cutoffs": found,
            }
            for shard, part in zip(shards, measured, strict=True)
        ],
    )
    ctx.set("cutoffs", found)
    ctx.set("models", {name: artifact.digest for name, artifact in models.items()})
    ctx.set("normalisation", {name: artifact.facts["normalisation"] for name, artifact in models.items()})
    for language, values in found.items():
        if values["rank_by"] != ctx.config.rank_by:
            ctx.log.info("%s is ranked by perplexity: it has no weights, or its model no reference", language)
        for name in ("high", "medium", "lowest"):
            if values[name] is not None:
                ctx.metric(f"corpus/score_{name}_{language}", values[name])
    for drift in compare_with_previous(ctx).groups:
        ctx.metric(f"corpus/drift_psi_{drift.language}_{drift.source}", drift.psi)


def models_by_language(inputs: dict[str, Artifact]) -> dict[str, Artifact]:
    """Language model artifacts by the language they were trained on. Raises ConfigError if unusable."""
    models: dict[str, Artifact] = {}
    for key, artifact in inputs.items():
        language = artifact.facts.get("language")
        if artifact.facts.get("normalisation") not in NORMALISATIONS:
            raise ConfigError(
                f"language_models.{key} has normalisation {artifact.facts.get('normalisation')!r}, "
                f"this program scores with {', '.join(NORMALISATIONS)}; train it again"
            )
        if language in models:
            raise ConfigError(f"language_models.{key}: there are two models for language {language!r}")
        models[str(language)] = artifact
    return models


def ranked_by(config: Config, language: str, model: Artifact) -> str:
    """What documents of the language are ranked by."""
    able = language in config.quality_weights and model.facts.get("reference") is not None
    return config.rank_by if able else "perplexity"


@functools.lru_cache(maxsize=8)
def open_scorer(ref: str, directory: Path) -> Scorer:
    """One scorer per process and model; its files lie in the step's scratch folder, shared by all workers."""
    artifact = open_artifact(ref)
    return Scorer(*fetch_model(artifact, directory), artifact.facts["normalisation"])


def fetch_model(artifact: Artifact, directory: Path) -> tuple[Path, Path]:
    """Local, checked copies of sp.model and lm.bin."""
    pieces, model = (artifact.fetch(artifact.file(name), directory) for name in ("sp.model", "lm.bin"))
    return pieces, model


def find_languages(task: dict[str, Any], part: PartWriter) -> list[str]:
    """Languages of the kept documents of one shard."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(["language"])
    return sorted(pc.unique(table["language"]).to_pylist())


def measure_shard(task: dict[str, Any], part: PartWriter) -> None:
    """Perplexity, quality score and lines of one shard's kept documents; NaN where there is no model or no text."""
    table = Corpus.open(part.inputs["corpus"]).shards[task["shard"]].read(["source", "language", "text"])
    found = Measured(table.num_rows)
    sizes, languages = text_bytes(table["text"]), table["language"]
    for language, artifact in models_by_language(part.input_list("language_models")).items():
        rows = np.flatnonzero(pc.equal(languages, language).to_numpy(zero_copy_only=False))
        if len(rows) == 0:
            continue
        scorer = open_scorer(artifact.ref, part.scratch.parent / MODELS)
        weights = part.config.model_dump(include={"quality_weights"})["quality_weights"].get(language)
        for batch in batches(rows, sizes):
            texts = table["text"].take(pa.array(batch))
            found.add(batch, texts, language, scorer, artifact.facts.get("reference"), weights)
    name = f"{task['shard']:05d}.parquet"
    columns = {
        "_row": table["_row"],
        "source": table["source"],
        "language": languages,
        "bytes": pa.array(sizes),
        **{key: pa.array(getattr(found, key)) for key in ("perplexity", "quality_score", "spread", "failed")},
    }
    part.put_table(f"measured/{name}", pa.table(columns), "measured", temporary=True)
    part.put_table(f"lines/{name}", found.line_table(), "lines", temporary=True)


def find_cutoffs(task: dict[str, Any], part: PartWriter) -> dict[str, dict[str, Any]]:
    """Cut-offs per language that has a model, and the distributions, from the measured columns alone.

    One shard's columns are in memory at a time.
    """
    files, config = Files(part.store, task["folder"]), part.config
    entries = [FileEntry.model_validate(entry) for entry in task["measured"]]

    def column(name: str, language: str, above: float | None = None, by_bytes: bool = False) -> Batches:
        def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for entry in entries:
                table = files.read_table(entry, list(COLUMNS))
                keep = pc.and_(
                    pc.equal(table["language"], language),
                    pc.invert(pc.is_in(table["source"], pa.array(config.exempt_sources, pa.string()))),
                )
                table = table.filter(keep)
                perplexity = table["perplexity"].to_numpy()
                counted = ~np.isnan(perplexity)
                if above is not None:
                    counted &= perplexity >= above
                values = rank(table, name)[counted]
                sizes = table["bytes"].to_numpy()[counted]
                yield values, sizes if by_bytes else np.ones(len(values), np.int64)

        return read

    found: dict[str, dict[str, Any]] = {}
    for language, model in sorted(models_by_language(part.input_list("language_models")).items()):
        by = ranked_by(config, language, model)
        lowest = lowest_cutoff(
            column("perplexity", language),
            lowest=config.lowest_perplexity.get(language),
            share=config.lowest_share,
            ratio=config.lowest_ratio,
            min_documents=config.lowest_min_documents,
        )
        shares = (config.high_share, config.high_share + config.medium_share)
        by_bytes = config.weight == "bytes"
        high, medium = weighted_quantiles(column(by, language, lowest, by_bytes), shares)
        (line,) = weighted_quantiles(column("perplexity", language, lowest, by_bytes), shares[1:])
        found[language] = {"rank_by": by, **_natural(by, high, medium), "lowest": lowest, "line": line}
    distributions = Distributions()
    for entry in entries:
        distributions.add(files.read_table(entry, list(COLUMNS)))
    part.put_bytes(DISTRIBUTION, canonical_json(distributions.to_json()), "distribution")
    return found


def rank(table: pa.Table, by: str) -> np.ndarray:
    """float64[n], lower is better: the perplexity, or the quality score with its sign changed."""
    values = table[by].to_numpy()
    return -values if by == "quality_score" else values


def _natural(by: str, high: float | None, medium: float | None) -> dict[str, float | None]:
    """Cut-offs of a rank as people read them: at most this perplexity, at least this quality score."""
    sign = -1.0 if by == "quality_score" else 1.0
    return {
        "high": None if high is None else sign * high,
        "medium": None if medium is None else sign * medium,
    }


def decide(task: dict[str, Any], part: PartWriter) -> None:
    """Quality and keep-mask of one shard, with the removals in the ledger."""
    config: Config = part.config
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    files = Files(part.store, task["folder"])
    measured = files.read_table(FileEntry.model_validate(task["measured"]))
    lines = files.read_table(FileEntry.model_validate(task["lines"]))
    doc_ids = shard.read(["doc_id"])["doc_id"].to_pylist()
    rows, perplexity = measured["_row"].to_numpy(), measured["perplexity"].to_numpy()
    sources, languages = measured["source"].to_pylist(), measured["language"].to_pylist()
    failed, sizes = measured["failed"].to_pylist(), measured["bytes"].to_pylist()
    quality, value, bad_lines = judge(measured, lines, task["cutoffs"])
    keep = np.zeros(shard.rows, dtype=bool)
    for i, row in enumerate(rows.tolist()):
        group = (sources[i], languages[i])
        named = {
            "shard": shard.sha256,
            "row": row,
            "bytes": sizes[i],
            "doc_id": doc_ids[i],
            "source": sources[i],
            "language": languages[i],
        }
        part.count.add_input(*group, 1, sizes[i])
        if failed[i]:
            part.quarantine(reason="scorer_error", **named)
        elif sources[i] in config.exempt_sources or quality[i] == "unscored" or quality[i] in config.keep:
            keep[row] = True
            part.count.add_kept(*group, 1, sizes[i])
        else:
            low = quality[i] == "unnatural"
            reason = "unnaturally_low_perplexity" if low else "low_quality"
            part.count.add_removed(reason, *group, 1, sizes[i])
            seen = float(perplexity[i] if low else value[i])
            part.ledger.add(
                rule=reason, **named, value=None if np.isnan(seen) else seen, detail=str(quality[i])
            )
    names = np.where(quality == "unnatural", "low", quality)
    columns = {
        "perplexity": perplexity,
        "quality_score": measured["quality_score"].to_numpy(),
        "perplexity_line_spread": measured["spread"].to_numpy(),
        "perplexity_bad_lines": bad_lines,
    }
    signals = {
        name: pa.array(_spread(column, rows, shard.rows), from_pandas=True)
        for name, column in columns.items()
    }
    whole = np.full(shard.rows, None, dtype=object)
    whole[rows] = names
    part.put_signals(shard, pa.table({**signals, "quality": pa.array(whole, pa.string())}))
    part.put_keep(shard, keep)


def _spread(column: np.ndarray, rows: np.ndarray, total: int) -> np.ndarray:
    """float64[total]: the values of the kept rows at their places, NaN elsewhere."""
    out = np.full(total, np.nan)
    out[rows] = column
    return out


def judge(
    measured: pa.Table, lines: pa.Table, cutoffs: dict[str, dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quality object[n], the value it rests on float64[n], share of bytes in bad lines float64[n]).

    A line is bad where its own perplexity is above that of the worst document that is high or medium by perplexity.
    """
    documents = measured.num_rows
    perplexity, languages = measured["perplexity"].to_numpy(), np.array(measured["language"].to_pylist())
    quality, value = np.full(documents, "unscored", dtype=object), perplexity.copy()
    limit = np.full(documents, np.nan)
    for language, found in cutoffs.items():
        mine = languages == language
        ranks, sign = rank(measured, found["rank_by"]), -1.0 if found["rank_by"] == "quality_score" else 1.0
        high, medium = (None if found[name] is None else sign * found[name] for name in ("high", "medium"))
        judged = qualities(ranks[mine], perplexity[mine], Cutoffs(high, medium, found["lowest"]))
        quality[mine], value[mine] = judged, sign * ranks[mine]
        limit[mine] = np.nan if found["line"] is None else np.log10(found["line"])
    parent, size = lines["document"].to_numpy(), lines["bytes"].to_numpy().astype(np.float64)
    bad = np.bincount(parent, size * (lines["surprise"].to_numpy() > limit[parent]), documents)
    total = np.bincount(parent, size, documents)
    share = np.divide(bad, total, out=np.full(documents, np.nan), where=(total > 0) & ~np.isnan(limit))
    return quality, value, np.round(share, 4)


STEP = Step(
    name="score",
    version=2,
    config=Config,
    run=run,
    inputs=(Input("corpus"), Input("language_models", many=True, optional=True)),
    libraries=("sentencepiece", "kenlm"),
    makes="overlay",
    report=score_report,
)
