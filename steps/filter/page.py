"""What filter's pages show: effect and overlap of rules, signals with their thresholds, texts around a threshold."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from steps.core.artifact import Files
from steps.core.counts import Counts
from steps.core.manifest import FileEntry
from steps.core.progress import human_bytes
from steps.core.source import source_kinds
from steps.core.step import StepContext
from steps.filter.config import Config, Rule
from steps.filter.names import DOCUMENT
from steps.filter.stored import (
    KIND,
    Judged,
    bound,
    conditions,
    from_signals,
    judge_stored,
    threshold,
)
from steps.report.blocks import (
    Bar,
    Bars,
    Block,
    Histogram,
    Mark,
    Matrix,
    Panel,
    Sample,
    SampleGroup,
    Samples,
    Section,
    Text,
    Tone,
)
from steps.report.distribution import Distribution
from steps.report.format import share
from steps.report.look import Stage, Texts, caption, draw, read_texts, some_shards
from steps.report.page import stage_report

BUSIEST = 20  # rules in the overlap matrix: as many as are legible
NEAREST = 2  # texts on each side of a threshold
LOG_FROM = 100.0  # a signal whose 99th percentile is above it has a logarithmic axis

Near = list[tuple[float, int, str, int, dict[str, Any]]]  # distance, draw, shard, row, what the caption says


class Effects:
    """What the document rules do to the stored signals, added up shard by shard."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = list(rules)
        self.documents, self.bytes, self.unique, self.unique_bytes = np.zeros((4, len(rules)), dtype=np.int64)
        self.overlap = np.zeros((len(rules), len(rules)), dtype=np.int64)
        self.values: dict[str, dict[str, dict[Tone, Distribution]]] = {}
        self.total = 0
        self.near: dict[
            str, tuple[Near, Near]
        ] = {}  # by rule: removed and kept documents nearest to the bound

    def add(self, judged: Judged, *, nearest: bool = False) -> None:
        """Count one shard; ``nearest``: also keep the documents nearest to the bounds, whose texts will be read."""
        fired, sizes = judged.fired, judged.table["bytes"].to_numpy()
        self.total += fired.shape[1]
        alone = fired & (fired.sum(axis=0) == 1)
        self.documents += fired.sum(axis=1)
        self.unique += alone.sum(axis=1)
        self.bytes += fired @ sizes
        self.unique_bytes += alone @ sizes
        wide = fired.astype(np.float32)
        self.overlap += (wide @ wide.T).astype(np.int64)
        self._add_values(judged)
        if nearest:
            self._add_nearest(judged)

    def merge(self, other: Effects) -> None:
        """Add what another one counted of the same rules; documents nearest to the bounds are not taken over."""
        self.total += other.total
        for name in ("documents", "bytes", "unique", "unique_bytes", "overlap"):
            getattr(self, name).__iadd__(getattr(other, name))
        for signal, panels in other.values.items():
            for language, tones in panels.items():
                mine = self.values.setdefault(signal, {}).setdefault(language, {})
                for tone, found in tones.items():
                    mine.setdefault(tone, Distribution()).merge(found)

    def _add_values(self, judged: Judged) -> None:
        kept = judged.table["rule"].is_null().to_numpy(zero_copy_only=False)
        languages = np.array(judged.table["language"].to_pylist(), dtype=object)
        named = {rule.language for rule in self.rules} - {"any"}
        groups: dict[str, np.ndarray] = {name: languages == name for name in sorted(named)}
        groups["other languages"] = ~np.isin(languages, sorted(named))
        for signal in {rule.signal for rule in self.rules if from_signals(rule) and judged.has(rule)}:
            own = [i for i, rule in enumerate(self.rules) if rule.signal == signal]
            mine = np.asarray(judged.fired[own].any(axis=0))
            numbers = judged.signal(signal)
            tones: dict[Tone, np.ndarray] = {"kept": kept & ~mine, "removed": mine, "other": ~kept & ~mine}
            for language, within in groups.items():
                panel = self.values.setdefault(signal, {}).setdefault(language, {})
                for tone, which in tones.items():
                    panel.setdefault(tone, Distribution()).add(numbers[which & within])

    def _add_nearest(self, judged: Judged) -> None:
        kept = judged.table["rule"].is_null().to_numpy(zero_copy_only=False)
        ranks = draw(judged.shard, judged.table["row"].to_numpy())
        for i, rule in enumerate(self.rules):
            if not from_signals(rule) or not judged.has(rule):
                continue
            value = judged.signal(rule.signal)
            limit = threshold(rule)
            sides = self.near.setdefault(rule.id, ([], []))
            inside = kept & judged.applicable[i]
            for name, (low, high) in rule.where.items():
                other = judged.signal(name)
                inside &= (other >= (-np.inf if low is None else low)) & (
                    other <= (np.inf if high is None else high)
                )
            for side, which in zip(sides, (judged.fired[i], inside), strict=True):
                rows = np.flatnonzero(which)
                distance = np.abs(value[rows] - limit)
                first = rows[np.lexsort((ranks[rows], distance))[:NEAREST]]
                side += [
                    self._candidate(judged, int(j), float(value[j]), limit, int(ranks[j])) for j in first
                ]
                side.sort(key=lambda item: item[:4])
                del side[NEAREST:]

    @staticmethod
    def _candidate(
        judged: Judged, j: int, value: float, limit: float, rank: int
    ) -> tuple[float, int, str, int, dict[str, Any]]:
        record = (
            judged.table.select(["row", "source", "language", "bytes", "rule"]).slice(j, 1).to_pylist()[0]
        )
        return abs(value - limit), rank, judged.shard, record["row"], {**record, "value": value}


def report(ctx: StepContext, counts: Counts) -> bytes:
    """The page of a filter run."""
    kinds = {**source_kinds(ctx.inputs["corpus"]), **ctx.config.source_kinds}
    return stage_report(ctx, counts, rule_sections(Stage.of(ctx), ctx.config, kinds))


def rule_sections(stage: Stage, config: Config, kinds: Mapping[str, str]) -> list[Section]:
    """Effect, overlap and signals of all rules, from some shards of the stored signals."""
    entries = stage.of_kind(KIND)
    effects = Effects(config.rules)
    count = functools.partial(_effects_of_shard, stage.files, config.rules, kinds)
    for found in stage.each(count, some_shards(entries)):
        effects.merge(found)
    note = (
        ""
        if len(some_shards(entries)) == len(entries)
        else f"From {len(some_shards(entries))} of {len(entries)} shards."
    )
    return [
        Section("Rules", effect_blocks(rule_records(stage))),
        *overlap_sections(effects),
        *signal_sections(effects, note),
    ]


def _effects_of_shard(
    files: Files, rules: Sequence[Rule], kinds: Mapping[str, str], entry: FileEntry
) -> Effects:
    effects = Effects(rules)
    for judged in judge_stored(files, [entry], rules, kinds):
        effects.add(judged)
    return effects


def rule_records(stage: Stage) -> list[dict[str, Any]]:
    """What the run recorded of each rule, in rule order (`report.rule_table`)."""
    (entry,) = stage.of_kind("rules_report")
    records: list[dict[str, Any]] = json.loads(stage.files.read_bytes(entry))
    return records


def effect_blocks(records: Iterable[Mapping[str, Any]]) -> list[Block]:
    """Bars of what each rule removed: documents that it alone or others too would drop, and spans it cut."""
    table = list(records)
    drops = sorted((r for r in table if r["documents"]), key=lambda r: (-r["documents"], r["rule"]))
    cuts = sorted((r for r in table if r["spans"]), key=lambda r: (-r["span_bytes"], r["rule"]))
    blocks: list[Block] = []
    if drops:
        bars = [
            Bar(
                r["rule"],
                {"removed": r["unique_documents"], "other": r["overlapping_documents"]},
                f"{r['documents']:,} documents, {human_bytes(r['bytes'])}",
                f"{r['signal']} {r['bound']}",
            )
            for r in drops
        ]
        note = "Orange: this rule alone; violet: another one would drop the document too."
        blocks.append(Bars("Documents dropped", bars, note=note))
    if cuts:
        bars = [
            Bar(
                r["rule"],
                {"removed": r["span_bytes"]},
                f"{human_bytes(r['span_bytes'])}: {r['spans']:,} in {r['edited_documents']:,} documents",
                f"{r['signal']} {r['bound']}",
            )
            for r in cuts
        ]
        note = "Bytes of the lines and sentences that each rule cut, how many they are, and in how many documents."
        blocks.append(Bars("Paragraphs and sentences cut", bars, note=note))
    idle = [r["rule"] for r in table if not r["documents"] and not r["spans"]]
    if idle:
        blocks.append(Section(f"{len(idle)} rules without effect", [Text(", ".join(idle))], folded=True))
    return blocks


def overlap_sections(effects: Effects) -> list[Section]:
    """The busiest document rules: which share of a rule's documents another one drops too."""
    order = [i for i in np.argsort(-effects.documents, kind="stable").tolist() if effects.documents[i]][
        :BUSIEST
    ]
    if len(order) < 2:
        return []
    cells = [[None if i == j else effects.overlap[i, j] / effects.documents[i] for j in order] for i in order]
    note = "Row by column: per cent of the row's documents that the column's rule drops too. An empty row stands alone."
    return [Section("Overlap", [Matrix("", [effects.rules[i].id for i in order], cells, note)])]


def signal_sections(effects: Effects, note: str) -> list[Section]:
    """A plot per signal that document rules use, those that removed most first, the others folded."""
    by_signal: dict[str, int] = {}
    for rule, documents in zip(effects.rules, effects.documents.tolist(), strict=True):
        if from_signals(rule):
            by_signal[rule.signal] = max(by_signal.get(rule.signal, 0), documents)
    order = sorted(by_signal, key=lambda name: (-by_signal[name], name))
    active = [signal_plot(effects, name) for name in order if by_signal[name]]
    idle = [signal_plot(effects, name) for name in order if not by_signal[name]]
    said = "Green: kept; orange: dropped by a rule on this signal; violet: dropped by others. Heights are square roots."
    blocks: list[Block] = [*active]
    if idle:
        blocks.append(Section(f"{len(idle)} signals on which no rule fired", idle, folded=True))
    return [Section("Signals and thresholds", blocks, note=f"{said} {note}".strip())] if blocks else []


def signal_plot(effects: Effects, signal: str) -> Histogram:
    """One signal per language, with the bounds that hold there."""
    rules = [rule for rule in effects.rules if rule.signal == signal and from_signals(rule)]
    found = effects.values.get(signal, {})
    whole = Distribution.sum(d for panel in found.values() for d in panel.values())
    top = whole.quantile(0.99)
    panels = []
    for language, tones in found.items():
        if not sum(d.count for d in tones.values()):
            continue
        marks = [
            Mark(
                threshold(rule),
                rule.id.partition("_")[0] + ("*" if rule.where else ""),
                "below" if rule.min is not None else "above",
            )
            for rule in rules
            if rule.language in ("any", language)
        ]
        panels.append(Panel(language, {tone: d for tone, d in tones.items() if d.count}, marks))
    where = [f"{r.id.partition('_')[0]}* holds where {conditions(r)}" for r in rules if r.where]
    note = "; ".join([DOCUMENT.get(signal, "weighted hits of a word list or pattern"), *sorted(set(where))])
    return Histogram(signal, panels, log=top is not None and top > LOG_FROM, note=note)


def threshold_sections(effects: Effects, stage: Stage) -> list[Section]:
    """Per rule that fired: the documents nearest to its bound on either side, side by side."""
    wanted = [i for i in np.argsort(-effects.documents, kind="stable").tolist() if effects.documents[i]]
    chosen = [item for i in wanted for side in effects.near[effects.rules[i].id] for item in side]
    texts = read_texts(stage, [(item[2], item[3]) for item in chosen])
    folds: list[Block] = []
    for i in wanted:
        rule = effects.rules[i]
        outside, inside = (
            [_near_sample(rule, item, texts) for item in side] for side in effects.near[rule.id]
        )
        groups = [
            SampleGroup("just outside: removed", outside, "removed"),
            SampleGroup("just inside: kept", inside, "kept"),
        ]
        alone = share(effects.unique[i], effects.documents[i])
        said = f"{effects.documents[i]:,} documents, {alone} by this rule alone"
        title = f"{rule.id} · {rule.signal} {bound(rule)} · {said}"
        folds.append(
            Section(title, [Samples("", groups, side_by_side=True)], folded=len(folds) >= 3, note=rule.source)
        )
    note = "The texts on either side of a threshold show best whether it lies where it should."
    return [Section("Around the thresholds", folds, note=note)] if folds else []


def _near_sample(
    rule: Rule,
    item: tuple[float, int, str, int, dict[str, Any]],
    texts: Texts,
) -> Sample:
    record = {**item[4], **texts.get((item[2], item[3]), {})}
    return Sample(
        record.get("text") or "", caption(record, record["bytes"], f"{rule.signal} {record['value']:.4g}")
    )
