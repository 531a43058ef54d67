"""Has the corpus changed? The measures of this sample beside those of the last published corpus and of reference texts.

For people and charts: it decides nothing. Both are found when the step ends and are no inputs: an input would change
the fingerprint whenever a corpus is published. The last published corpus is the newest one of another dump that shares
a source with this one; its sample was drawn and measured by this same step. Reference texts are those that the
language models were trained on, which somebody chose because they are good.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.corpus import Corpus
from steps.core.errors import StepError
from steps.core.parts import open_artifact
from steps.core.step import StepContext
from steps.evaluate import metrics
from steps.report.distribution import Distribution
from steps.report.drift import FLOOR, LEAST, distances
from steps.report.look import Stage

# per language: PSI is then known to about 0.02 (own simulation: 9 / 500 for equal ones)
REFERENCE_DOCUMENTS = 500
REFERENCE_SHARDS = 8


class Drift(NamedTuple):
    """One measure in one language: how far its distribution has moved, and its median or most frequent value."""

    measure: str
    language: str
    psi: float
    ks: float | None
    before: float | str
    now: float | str
    documents_before: int
    documents: int


class Comparison(NamedTuple):
    """With what (in words), the rows, and why there are none."""

    title: str
    rows: list[Drift]
    note: str = ""


def comparisons(ctx: StepContext) -> dict[str, Comparison]:
    """The finished sample against both, by the prefix of the MLflow metrics. Never raises for what lies in the past."""
    stage = Stage.of(ctx)
    entries = stage.of_kind("metrics")
    if not entries:
        return {}
    now = stage.files.read_table(entries[0])
    found = {}
    for prefix, make in (("drift", _published), ("drift_reference", _reference)):
        try:
            found[prefix] = make(ctx, now)
        except StepError as error:  # gone, damaged or away: a report about the past must not end the step
            found[prefix] = Comparison("", [], f"What this is compared with cannot be read: {error}")
    return found


def _published(ctx: StepContext, now: pa.Table) -> Comparison:
    own_dump = ctx.facts["sample"]["dump"]
    sources = set(pc.unique(now["source"]).to_pylist())
    for corpora in reversed(Catalog(ctx.store).history("corpora")):
        for name, entry in sorted(corpora.items()):
            if entry["latest"] == own_dump:
                continue
            sample = Artifact.open(entry["dumps"][entry["latest"]]["corpus"], ctx.store).input("sample")
            if not sample.files("metrics"):
                continue
            before = sample.read_table(sample.files("metrics")[0])
            if sources & set(pc.unique(before["source"]).to_pylist()):
                models = _model_digests(sample) == _given_models(ctx)
                measures = [m for m in metrics.MEASURES if m != "perplexity" or models]
                return Comparison(f"{name}, dump {entry['latest']}", compare(before, now, measures))
    return Comparison("", [], "No other dump with one of these sources is published yet.")


def _model_digests(sample: Artifact) -> dict[str, str]:
    inputs = sample.manifest.identity.payload.inputs
    return {name: digest for name, digest in inputs.items() if name.startswith("language_models.")}


def _given_models(ctx: StepContext) -> dict[str, str]:
    return {name: a.digest for name, a in ctx.inputs.items() if name.startswith("language_models.")}


def _reference(ctx: StepContext, now: pa.Table) -> Comparison:
    tables = []
    for model in ctx.input_list("language_models").values():
        if model.has_input("corpus"):
            tables.append(_reference_texts(model.input("corpus").ref, str(model.facts.get("language"))))
    if not tables:
        return Comparison("", [], "There is no language model here that was trained on texts of its own.")
    measures = [m for m in metrics.MEASURES if m != "perplexity"]  # a model knows what it was trained on
    rows = compare(pa.concat_tables(tables), now, measures)
    return Comparison("the texts that the language models were trained on", [r for r in rows if r.language])


@functools.lru_cache(maxsize=4)  # the step's metrics and its page ask once each
def _reference_texts(ref: str, language: str) -> pa.Table:
    """Measures of up to REFERENCE_DOCUMENTS documents of a language, evenly from up to REFERENCE_SHARDS shards."""
    texts: list[str] = []
    shards = Corpus.open(open_artifact(ref)).shards
    step = max(1, len(shards) // REFERENCE_SHARDS)
    chosen = shards[::step][:REFERENCE_SHARDS]
    for number, shard in enumerate(chosen):
        table = shard.read(["language", "text"])
        column = table.filter(pc.equal(table["language"], language))["text"]
        most = (REFERENCE_DOCUMENTS - len(texts)) // (len(chosen) - number)
        rows = np.unique(np.linspace(0, max(0, len(column) - 1), min(most, len(column))).astype(np.int64))
        texts += [text or "" for text in column.take(pa.array(rows)).to_pylist()]
    described = metrics.describe(texts, [language] * len(texts))
    return described.append_column("language", pa.array([language] * len(texts), pa.string()))


def compare(before: pa.Table, now: pa.Table, measures: Sequence[str]) -> list[Drift]:
    """Drift of each measure per language, of topics per language, and of the languages (language ""), where both
    sides have documents enough (`steps.report.drift.LEAST`)."""
    found: list[Drift] = []
    if min(before.num_rows, now.num_rows) >= LEAST:
        found += _of_categories("language", "", _shares(before, "language"), _shares(now, "language"))
    common = set(_names(before["language"])) & set(_names(now["language"]))
    for language in sorted(common):
        old, new = (table.filter(pc.equal(table["language"], language)) for table in (before, now))
        if min(old.num_rows, new.num_rows) < LEAST:
            continue
        for measure in measures:
            if measure not in old.column_names or measure not in new.column_names:
                continue
            a, b = (Distribution.of(t[measure].to_numpy(zero_copy_only=False)) for t in (old, new))
            if a.count and b.count:
                then, here = (round(side.quantile(0.5) or 0.0, 4) for side in (a, b))
                found.append(Drift(measure, language, *distances(a, b), then, here, a.count, b.count))
        found += _of_categories("topic", language, _shares(old, "topic"), _shares(new, "topic"))
    return found


def _names(column: pa.ChunkedArray) -> list[str]:
    return [name for name in pc.unique(column).to_pylist() if name]


def _shares(table: pa.Table, column: str) -> dict[str, int]:
    counted = pc.value_counts(pc.fill_null(table[column], "und")).to_pylist()
    return {item["values"]: item["counts"] for item in counted}


def _of_categories(
    measure: str, language: str, before: Mapping[str, int], now: Mapping[str, int]
) -> list[Drift]:
    then, here = (max(side, key=lambda name: (side[name], name)) for side in (before, now))
    psi = category_psi(before, now)
    return [Drift(measure, language, psi, None, then, here, sum(before.values()), sum(now.values()))]


def category_psi(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """Population stability index of two counts by category; a category that one side lacks counts as FLOOR."""
    totals = sum(before.values()), sum(now.values())
    total = 0.0
    for name in sorted({*before, *now}):
        old, new = (max(side.get(name, 0) / n, FLOOR) for side, n in zip((before, now), totals, strict=True))
        total += (new - old) * math.log(new / old)
    return round(total, 4)


def chart(compared: Mapping[str, Comparison]) -> dict[str, float]:
    """PSI by MLflow name: ``<prefix>_<measure>[_<language>]``."""
    return {
        "_".join(filter(None, (prefix, row.measure, row.language))): row.psi
        for prefix, comparison in compared.items()
        for row in comparison.rows
    }
