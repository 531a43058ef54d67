"""What a report page looks at: some shards of a stage, and in them lengths and samples; bounded for any dump."""

from __future__ import annotations

import functools
import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact, Files
from steps.core.corpus import BASE_INPUT, ROW, Corpus, CorpusShard, corpus_layers
from steps.core.document import text_bytes
from steps.core.engine import Engine
from steps.core.manifest import FileEntry
from steps.core.progress import human_bytes
from steps.core.ray_engine import RayEngine
from steps.core.step import StepContext
from steps.report.blocks import Sample, SampleGroup, Span, Tone
from steps.report.distribution import Distribution

SHARDS_LOOKED_AT = 16  # of 64 MB of text: a few seconds, whatever the size of the dump
SAMPLES_PER_REASON = 3
KEPT_SAMPLES = 6
LEDGER_COLUMNS = [
    *("rule", "level", "action", "source", "language", "doc_id", "shard", "row"),
    *("start", "end", "value", "bytes", "detail"),
]

T = TypeVar("T")
S = TypeVar("S")
Address = tuple[str, int]  # of a document: sha256 of its shard, row
Texts = dict[Address, dict[str, Any]]
Chosen = dict[tuple[str, str], list[tuple[int, dict[str, Any]]]]  # by action and rule: rank, ledger row


@dataclass(frozen=True)
class Stage:
    """What a page is about: the files of a stage that is finishing, or of a committed artifact."""

    files: Files
    entries: Sequence[FileEntry]
    inputs: Mapping[str, Artifact]
    makes: str | None
    engine: Engine | RayEngine

    @classmethod
    def of(cls, ctx: StepContext) -> Stage:
        """The stage behind a step's context, when all its parts are done."""
        entries = [entry for part in ctx.parts for entry in part.files]
        return cls(ctx.files(), entries, ctx.inputs, ctx.step.makes, ctx.engine)

    @classmethod
    def of_artifact(cls, artifact: Artifact) -> Stage:
        """The stage that a committed artifact came from."""
        inputs = {name: artifact.input(name) for name in artifact.input_names()}
        makes = artifact.facts.get("makes")
        return cls(artifact, artifact.manifest.identity.files, inputs, makes, Engine(1))

    def each(self, function: Callable[[T], S], items: Sequence[T]) -> list[S]:
        """``function(item)`` of every item, in order, on the stage's workers; both must be picklable and small."""
        found = dict(self.engine.map(function, items))
        return [found[i] for i in range(len(items))]

    def of_kind(self, kind: str) -> list[FileEntry]:
        """Its files of one kind, by key."""
        return sorted((entry for entry in self.entries if entry.kind == kind), key=lambda entry: entry.key)

    def output(self) -> Corpus | None:
        """The corpus that the stage made or laid something over; None for a stage that makes no corpus."""
        if self.makes is None:
            return None
        here: tuple[Files, Sequence[FileEntry]] = (self.files, self.entries)
        below = [] if self.makes == "corpus" else corpus_layers(self.inputs[BASE_INPUT])
        return Corpus([*below, here], None, self.files.folder)

    def input_shards(self) -> dict[str, CorpusShard]:
        """Base shards of the corpus that came in, by sha256; empty for a stage that reads none."""
        return Corpus.open(self.inputs[BASE_INPUT]).shard_by_sha() if BASE_INPUT in self.inputs else {}


def some_shards(items: Sequence[T], most: int = SHARDS_LOOKED_AT) -> list[T]:
    """At most ``most`` items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int).tolist()]


def draw(shard: str, rows: np.ndarray) -> np.ndarray:
    """uint64[n]: the rank of each row of a shard in an order that is fixed but says nothing (splitmix64)."""
    x = np.asarray(rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int(shard[:16], 16))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


@dataclass(frozen=True)
class KeptLook:
    """Lengths in bytes of kept documents by language, and some of them."""

    lengths: Mapping[str, Distribution]
    samples: Sequence[Sample]
    shards: int
    of_shards: int


def look_at_kept(stage: Stage) -> KeptLook:
    """Some shards of what the stage keeps, one at a time in a worker's memory."""
    output = stage.output()
    shards = output.shards if output else []
    chosen = some_shards(shards)
    lengths: dict[str, Distribution] = {}
    best: list[tuple[int, Sample]] = []
    for found, first in stage.each(_kept_of_shard, chosen):
        _add_lengths(lengths, found)
        best = heapq.nsmallest(KEPT_SAMPLES, [*best, *first], key=lambda item: item[0])
    return KeptLook(lengths, [sample for _, sample in best], len(chosen), len(shards))


def _kept_of_shard(shard: CorpusShard) -> tuple[dict[str, Distribution], list[tuple[int, Sample]]]:
    """(lengths of kept documents by language, those of lowest rank) of one shard."""
    table = shard.read(["text", "source", "language", "url", "doc_id"])
    sizes, languages = text_bytes(table["text"]), table["language"].fill_null("")
    lengths = {}
    for language in pc.unique(languages).to_pylist():
        mine = pc.equal(languages, language).to_numpy(zero_copy_only=False)
        lengths[language] = Distribution.of(sizes[mine])
    ranks = draw(shard.sha256, table[ROW].to_numpy())
    first = []
    for i in np.argsort(ranks, kind="stable")[:KEPT_SAMPLES].tolist():
        record = table.slice(i, 1).to_pylist()[0]
        first.append((int(ranks[i]), Sample(record["text"] or "", caption(record, int(sizes[i])))))
    return lengths, first


def _add_lengths(lengths: dict[str, Distribution], more: Mapping[str, Distribution]) -> None:
    for language, found in more.items():
        lengths.setdefault(language, Distribution()).merge(found)


def caption(record: Mapping[str, Any], size: int | None = None, *more: str) -> str:
    """Where a document comes from, in one line: source, language, size, address."""
    parts = [record.get("source"), record.get("language"), human_bytes(size) if size is not None else None]
    return " · ".join(str(part) for part in [*parts, *more, record.get("url")] if part)


PANELS_SHOWN = 4  # languages of their own in a plot; the others are put together


@dataclass(frozen=True)
class SignalLook:
    """Distributions of stored signals by name, language and whether the stage kept the document."""

    values: Mapping[str, Mapping[str, Mapping[Tone, Distribution]]]
    note: str  # how many shards were looked at, where it was not all

    def panels(self, name: str) -> list[tuple[str, dict[Tone, Distribution]]]:
        """(language, distributions by tone) of a signal, the language with most documents first."""
        return by_size(
            {k: {t: d for t, d in v.items() if d.count} for k, v in self.values.get(name, {}).items()}
        )


def by_size(
    found: Mapping[str, Mapping[Tone, Distribution]],
) -> list[tuple[str, dict[Tone, Distribution]]]:
    """Languages with their distributions, largest first; those after the fourth are added up in one."""
    size = {name: sum(d.count for d in tones.values()) for name, tones in found.items()}
    order = sorted((name for name in found if size[name]), key=lambda name: (-size[name], name))
    rows = [(name or "und", dict(found[name])) for name in order[:PANELS_SHOWN]]
    rest = order[PANELS_SHOWN:]
    if rest:
        tones = sorted({tone for name in rest for tone in found[name]})
        together = {t: Distribution.sum(found[n][t] for n in rest if t in found[n]) for t in tones}
        rows.append((f"{len(rest)} more languages" if len(rest) > 1 else rest[0], together))
    return rows


def look_at_signals(stage: Stage, names: Sequence[str]) -> SignalLook:
    """Signals stored on some shards of the stage's corpus, one at a time in a worker; unknown names are left out.

    Documents that the stage itself removed with a mask (score, deduplicate) count under ``removed``.
    """
    output = stage.output()
    shards = output.shards if output else []
    chosen = some_shards(shards)
    before = stage.input_shards() if stage.makes == "overlay" else {}
    pairs = [(shard, before.get(shard.sha256, shard)) for shard in chosen]
    values: dict[str, dict[str, dict[Tone, Distribution]]] = {}
    for found in stage.each(functools.partial(_signals_of_shard, names), pairs):
        for name, language, tone, numbers in found:
            tones = values.setdefault(name, {}).setdefault(language, {})
            tones.setdefault(tone, Distribution()).merge(numbers)
    note = "" if len(chosen) == len(shards) else f"From {len(chosen)} of {len(shards)} shards, evenly spaced."
    return SignalLook(values, note)


def _signals_of_shard(
    names: Sequence[str], pair: tuple[CorpusShard, CorpusShard]
) -> list[tuple[str, str, Tone, Distribution]]:
    """(signal, language, tone, values) of one shard, given as the stage leaves it and as it came in."""
    shard, before = pair
    kept, came_in = shard.keep(), before.keep()
    outcomes: list[tuple[Tone, np.ndarray]] = [("kept", kept), ("removed", came_in & ~kept)]
    languages = shard.read(["language"], kept=False)["language"].fill_null("")
    columns = shard.signals([name for name in names if name in shard.signal_names])
    found = []
    for language in pc.unique(languages).to_pylist():
        mine = pc.equal(languages, language).to_numpy(zero_copy_only=False)
        for name in columns.column_names:
            numbers = columns[name].to_numpy(zero_copy_only=False)
            found += [(name, language, tone, Distribution.of(numbers[mine & of])) for tone, of in outcomes]
    return found


@dataclass(frozen=True)
class RemovedLook:
    """What the ledger and the quarantine say: lengths by language, and samples by reason."""

    lengths: Mapping[str, Distribution]
    removed: Sequence[SampleGroup]
    edited: Sequence[SampleGroup]
    quarantined: Sequence[SampleGroup]
    ledgers: int
    of_ledgers: int


def look_at_removed(stage: Stage) -> RemovedLook:
    """Some ledgers and quarantines of a stage, one at a time in a worker's memory, and texts of a few of their rows."""
    ledgers = stage.of_kind("ledger")
    lengths: dict[str, Distribution] = {}
    chosen: Chosen = {}
    for found, first in stage.each(functools.partial(_removed_of_ledger, stage.files), some_shards(ledgers)):
        _add_lengths(lengths, found)
        for reason, rows in first.items():
            both = [*chosen.get(reason, []), *rows]
            chosen[reason] = sorted(both, key=lambda item: item[0])[:SAMPLES_PER_REASON]
    texts = read_texts(stage, [(row["shard"], row["row"]) for rows in chosen.values() for _, row in rows])
    groups: dict[str, list[SampleGroup]] = {"removed": [], "edited": []}
    for (action, rule), rows in sorted(chosen.items()):
        samples = [_ledger_sample(row, texts) for _, row in rows]
        tone: Tone = "removed" if action == "removed" else "other"
        groups.setdefault(action, []).append(SampleGroup(rule, samples, tone))
    quarantined = _quarantined(stage)
    seen = min(len(ledgers), SHARDS_LOOKED_AT)
    return RemovedLook(lengths, groups["removed"], groups["edited"], quarantined, seen, len(ledgers))


def _removed_of_ledger(files: Files, entry: FileEntry) -> tuple[dict[str, Distribution], Chosen]:
    """(lengths of removed documents by language, the rows of lowest rank by reason) of one ledger."""
    table = files.read_table(entry, LEDGER_COLUMNS)
    whole = table.filter(pc.equal(table["action"], "removed"))
    lengths = {}
    for language in pc.unique(whole["language"]).to_pylist():
        mine = whole.filter(pc.equal(whole["language"], pa.scalar(language, pa.string())))
        lengths[language or ""] = Distribution.of(mine["bytes"].to_numpy())
    return lengths, _choose(table)


def _choose(table: pa.Table) -> Chosen:
    """The rows of lowest rank per action and rule."""
    chosen: Chosen = {}
    if table.num_rows == 0:
        return chosen
    seed = table["shard"][0].as_py() or "0"
    keys = (
        pc.binary_join_element_wise(table["action"], table["rule"], "\n").dictionary_encode().combine_chunks()
    )
    codes, names = keys.indices.to_numpy(), keys.dictionary.to_pylist()
    place = table["row"].to_numpy() * 64 + pc.fill_null(table["start"], 0).to_numpy()
    ranks = draw(seed, place)
    order = np.lexsort((ranks, codes))
    starts = np.searchsorted(codes[order], np.arange(len(names)))
    for code, name in enumerate(names):
        first = order[starts[code] : starts[code] + SAMPLES_PER_REASON]
        first = first[codes[first] == code]
        action, _, rule = name.partition("\n")
        rows = table.take(pa.array(first)).to_pylist()
        chosen[action, rule] = list(zip(ranks[first].tolist(), rows, strict=True))
    return chosen


def read_texts(stage: Stage, addresses: Iterable[Address]) -> Texts:
    """text and url of base rows of the corpus that came in; what is in none of its shards is left out."""
    shards = stage.input_shards()
    wanted: dict[str, set[int]] = {}
    for sha, row in addresses:
        if sha in shards:
            wanted.setdefault(sha, set()).add(row)
    found: Texts = {}
    for texts in stage.each(_texts_of_shard, [(shards[sha], sorted(wanted[sha])) for sha in sorted(wanted)]):
        found.update(texts)
    return found


def _texts_of_shard(wanted: tuple[CorpusShard, list[int]]) -> Texts:
    shard, rows = wanted
    records = shard.read(["text", "url"], kept=False).take(pa.array(rows)).to_pylist()
    return {(shard.sha256, row): record for row, record in zip(rows, records, strict=True)}


def _ledger_sample(row: Mapping[str, Any], texts: Texts) -> Sample:
    record = texts.get((row["shard"], row["row"]))
    value = "" if row["value"] is None else f"value {row['value']:.4g}"
    detail = row["detail"] or ""
    if record is None:  # raw records are not kept: what the ledger knows of them
        return Sample(detail, caption(row, row["bytes"], value))
    said = caption({**row, "url": record["url"]}, row["bytes"], value, detail)
    text = record["text"] or ""
    if row["start"] is None or row["end"] is None:
        return Sample(text, said)
    data = text.encode("utf-8", "surrogatepass")
    before, within = (
        data[a:b].decode(errors="replace") for a, b in ((0, row["start"]), (row["start"], row["end"]))
    )
    return Sample(text, said, [Span(len(before), len(before) + len(within))])


def _quarantined(stage: Stage) -> list[SampleGroup]:
    """Up to three records per reason, as far as they were kept."""
    found: dict[str, list[dict[str, Any]]] = {}
    columns = ["rule", "source", "language", "shard", "row", "bytes", "detail", "raw"]
    for entry in some_shards(stage.of_kind("quarantine")):
        table = stage.files.read_table(entry, columns)
        for rule in pc.unique(table["rule"]).to_pylist():
            rows = found.setdefault(rule, [])
            rows += (
                table.filter(pc.equal(table["rule"], rule))
                .slice(0, SAMPLES_PER_REASON - len(rows))
                .to_pylist()
            )
    bare = [(row["shard"], row["row"]) for rows in found.values() for row in rows if row["raw"] is None]
    texts = read_texts(stage, bare)
    groups = []
    for rule, rows in sorted(found.items()):
        samples = []
        for row in rows:
            text = texts.get((row["shard"], row["row"]), {}).get("text") or ""
            raw = row["raw"].decode("utf-8", "replace") if row["raw"] is not None else text
            samples.append(Sample(raw, caption(row, row["bytes"], row["detail"] or "")))
        groups.append(SampleGroup(rule, samples, "quarantined"))
    return groups
