"""Which bound, moved to where, would have removed the defective documents, and what it would cost in others.

Everything comes from what score and filter stored: their settings, a signal column per measure, and filter's ledger.
No text is read. A bound moves to just beyond a defective document's value; its cost is every other document of the
corpus that lies there too, counted, not estimated from the sample.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.corpus import BASE_INPUT, ROW, Corpus
from steps.core.source import source_kinds

Address = tuple[str, int]
"""A document's shard (sha256) and row in the corpus's base."""
SHOWN = 5
SHOWN_PER_DOCUMENT = 3
# of the other documents (own choice): a bound that takes more removes a kind of text, not a defect
COSTLIEST = 0.05
RULE_SIGNALS = "rule_"
_CONTENT = ("_per_1000", "_lines")
_DIGITS = 4  # significant ones of a proposed bound


@dataclass(frozen=True)
class Bound:
    """What lies beyond ``at`` is removed; ``at`` is None for a stored signal that nothing stands on yet."""

    setting: str  # rule id or setting of score; the signal's name where there is none
    signal: str  # column of the corpus
    above: bool  # beyond is above (a rule's max) or below (its min)
    at: float | None = None
    language: str = "any"
    where: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    exempt_kinds: frozenset[str] = frozenset()
    exempt_sources: frozenset[str] = frozenset()

    def values(self, table: pa.Table, kinds: Mapping[str, str]) -> np.ndarray:
        """float64[documents]: the signal, NaN where the bound is not for the document."""
        values = _numbers(table[self.signal]).copy()
        languages, sources = table["language"].to_pylist(), table["source"].to_pylist()
        meant = np.array(
            [
                self.language in ("any", language)
                and source not in self.exempt_sources
                and kinds.get(source, "web") not in self.exempt_kinds
                for language, source in zip(languages, sources, strict=True)
            ],
            dtype=bool,
        )
        for name, (low, high) in self.where.items():
            other = _numbers(table[name])
            meant &= (other >= (-math.inf if low is None else low)) & (
                other <= (math.inf if high is None else high)
            )
        values[~meant] = np.nan
        return values

    def beyond(self, value: float) -> float:
        """The bound of few digits that is nearest to ``value`` and leaves it outside."""
        exact = Decimal(repr(value))
        step = Decimal(1).scaleb((exact.adjusted() if exact else -3) + 1 - _DIGITS)
        if exact and exact == exact.to_integral_value():
            step = max(step, Decimal(1))
        rounded = exact.quantize(step, ROUND_FLOOR if self.above else ROUND_CEILING)
        if rounded == exact:
            rounded += -step if self.above else step
        return float(rounded)


@dataclass(frozen=True)
class Remedy:
    """A bound at a new place: which of the defective documents it takes, and how many others."""

    bound: Bound
    at: float
    caught: tuple[Address, ...]
    others: int
    share: float  # others / all other documents

    @property
    def rank(self) -> tuple[float, bool, float, str]:
        """Fewest others per defective document first, then measures of words and patterns, then the shortest move."""
        price = (self.others + 1) / len(self.caught)  # with the one that a corpus of this size may not show
        general = not self.bound.signal.endswith(_CONTENT)
        now = self.bound.at
        move = 1.0 if now is None else abs(self.at - now) / max(abs(self.at), abs(now), 1e-12)
        return (price, general, move, self.bound.setting)


@dataclass(frozen=True)
class Remedies:
    """What stored signals say of a set of defective documents."""

    moves: Mapping[str, Sequence[Remedy]]  # defect class → bounds that exist, best first
    ideas: Mapping[str, Sequence[Remedy]]  # defect class → signals without a bound, best first
    nearest: Mapping[Address, Sequence[Remedy]]  # document → bounds nearest to taking it
    cut: Mapping[str, Mapping[str, int]]  # defect class → span rule → documents it had cut something from
    filter: str = ""  # the filter artifact, as `tokenmill rules try` takes it


NONE = Remedies({}, {}, {}, {})


def remedies(corpus: Artifact, bad: Mapping[Address, Sequence[str]]) -> Remedies:
    """Ranked changes for the documents ``bad`` (with their defect classes) of ``corpus``; one shard in memory."""
    opened = Corpus.open(corpus)
    columns = numeric_signals(opened)
    if not bad or not columns:
        return NONE
    made_by = list(_made_by(corpus))
    filtered = next((artifact for artifact in made_by if artifact.step == "filter"), None)
    kinds = source_kinds(corpus)
    if filtered is not None:
        kinds |= filtered.config.get("source_kinds") or {}
    known = [bound for artifact in made_by for bound in bounds_of(artifact) if _stored(bound, columns)]
    every = known + _unused(known, columns)
    values = _values_of(opened, every, kinds, bad, columns)
    cost = _Cost(opened, every, kinds, bad, columns, values)
    moves, ideas = {}, {}
    for defect in sorted({name for names in bad.values() for name in names}):
        mine = [address for address, names in bad.items() if defect in names]
        best = sorted(filter(None, (cost.best(i, mine) for i in range(len(every)))), key=lambda r: r.rank)
        moves[defect] = [r for r in best if r.bound.at is not None][:SHOWN]
        ideas[defect] = [r for r in best if r.bound.at is None][:SHOWN]
    nearest = {
        address: sorted(
            filter(None, (cost.best(i, [address]) for i in range(len(known)))), key=lambda r: r.rank
        )[:SHOWN_PER_DOCUMENT]
        for address in bad
    }
    folder = f"filter/{filtered.reference.fingerprint[:12]}" if filtered is not None else ""
    return Remedies(moves, ideas, nearest, _cut_by(filtered, opened, bad), folder)


def numeric_signals(corpus: Corpus) -> list[str]:
    """Signal columns that hold numbers; a rule's copy of another column is left out."""
    if not corpus.shards or not corpus.signal_names:
        return []
    schema = corpus.shards[0].signals().schema
    numbers = [f.name for f in schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    return [
        name
        for name in numbers
        if not name.startswith(RULE_SIGNALS) or name.removeprefix(RULE_SIGNALS) not in numbers
    ]


def _made_by(corpus: Artifact) -> Iterator[Artifact]:
    """The corpus and what it was made from, newest first."""
    yield corpus
    while corpus.has_input(BASE_INPUT):
        corpus = corpus.input(BASE_INPUT)
        yield corpus


def bounds_of(artifact: Artifact) -> list[Bound]:
    """The settings of a score or filter artifact that remove documents by a signal; none for other steps."""
    if artifact.step == "filter":
        return [_rule(rule) for rule in artifact.config["rules"] if rule["level"] == "document"]
    return _score(artifact) if artifact.step == "score" else []


def _rule(rule: Mapping[str, Any]) -> Bound:
    above = rule.get("max") is not None
    return Bound(
        setting=rule["id"],
        signal=RULE_SIGNALS + rule["signal"],
        above=above,
        at=rule["max"] if above else rule["min"],
        language=rule["language"],
        where={RULE_SIGNALS + name: tuple(limits) for name, limits in (rule.get("where") or {}).items()},
        exempt_kinds=frozenset(rule.get("exempt") or ()),
        exempt_sources=frozenset(rule.get("exempt_sources") or ()),
    )


def _score(artifact: Artifact) -> list[Bound]:
    """The cut-offs per language: of the quality that is kept, and of unnaturally low perplexity."""
    config, found = artifact.config, []
    exempt = frozenset(config["exempt_sources"])
    last = next((name for name in ("medium", "high") if name in config["keep"]), None)
    for language, cutoffs in artifact.facts["cutoffs"].items():
        by = cutoffs["rank_by"]
        if "low" not in config["keep"] and last and cutoffs[last] is not None:
            found.append(
                Bound(
                    f"score.{last}_share",
                    by,
                    by == "perplexity",
                    cutoffs[last],
                    language,
                    {},
                    exempt_sources=exempt,
                )
            )
        if cutoffs["lowest"] is not None:
            setting = f"score.lowest_perplexity.{language}"
            found.append(
                Bound(setting, "perplexity", False, cutoffs["lowest"], language, exempt_sources=exempt)
            )
    return found


def _stored(bound: Bound, columns: Sequence[str]) -> bool:
    return {bound.signal, *bound.where} <= set(columns)


def _unused(known: Sequence[Bound], columns: Sequence[str]) -> list[Bound]:
    """A bound without a place for every signal and side that no setting removes by."""
    taken = {(bound.signal, bound.above) for bound in known}
    return [
        Bound(name.removeprefix(RULE_SIGNALS), name, above)
        for name in columns
        for above in (True, False)
        if (name, above) not in taken
    ]


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))


def _tables(
    corpus: Corpus, bad: Mapping[Address, Any], columns: Sequence[str], *, others: bool
) -> Iterator[tuple[str, pa.Table]]:
    """(shard, its kept documents' signals), of all documents but ``bad`` or of these alone."""
    for shard in corpus.shards:
        rows = {row for name, row in bad if name == shard.sha256}
        if not others and not rows:
            continue
        table = shard.read(["source", "language"], signals=columns)
        chosen = np.isin(table[ROW].to_numpy(), sorted(rows))
        yield shard.sha256, table.filter(pa.array(chosen != others))


def _values_of(
    corpus: Corpus,
    bounds: Sequence[Bound],
    kinds: Mapping[str, str],
    bad: Mapping[Address, Any],
    columns: Sequence[str],
) -> list[dict[Address, float]]:
    """Per bound the values of the defective documents that it is for."""
    found: list[dict[Address, float]] = [{} for _ in bounds]
    for name, table in _tables(corpus, bad, columns, others=False):
        rows = table[ROW].to_pylist()
        for bound, mine in zip(bounds, found, strict=True):
            values = bound.values(table, kinds).tolist()
            mine |= {(name, row): v for row, v in zip(rows, values, strict=True) if not math.isnan(v)}
    return found


class _Cost:
    """How many other documents lie beyond each place that a bound might move to."""

    def __init__(
        self,
        corpus: Corpus,
        bounds: Sequence[Bound],
        kinds: Mapping[str, str],
        bad: Mapping[Address, Any],
        columns: Sequence[str],
        values: Sequence[Mapping[Address, float]],
    ) -> None:
        self._bounds, self._values = bounds, values
        self._places = [
            np.unique([bound.beyond(v) for v in mine.values()])
            for bound, mine in zip(bounds, values, strict=True)
        ]
        self._beyond = [np.zeros(len(places), np.int64) for places in self._places]
        self._total = 0
        for _, table in _tables(corpus, bad, columns, others=True):
            self._total += table.num_rows
            for bound, places, beyond in zip(bounds, self._places, self._beyond, strict=True):
                if len(places):
                    others = bound.values(table, kinds)
                    beyond += _count_beyond(np.sort(others[~np.isnan(others)]), places, bound.above)

    def best(self, number: int, wanted: Sequence[Address]) -> Remedy | None:
        """The place of a bound that takes the fewest others per wanted document; None if it takes none cheaply."""
        bound, values = self._bounds[number], self._values[number]
        # a measure of nothing found is no reason to remove a document
        mine = {a: values[a] for a in wanted if a in values and (values[a] or not bound.above)}
        found = []
        for at in sorted({bound.beyond(value) for value in mine.values()}):
            caught = tuple(a for a, v in mine.items() if (v > at if bound.above else v < at))
            others = int(self._beyond[number][np.searchsorted(self._places[number], at)])
            share = others / max(1, self._total)
            if share <= COSTLIEST:
                found.append(Remedy(bound, at, caught, others, share))
        return min(found, key=lambda remedy: remedy.rank, default=None)


def _count_beyond(ordered: np.ndarray, places: np.ndarray, above: bool) -> np.ndarray:
    """int64[places]: how many of the ordered values lie strictly beyond each place."""
    if above:
        return len(ordered) - np.searchsorted(ordered, places, side="right")
    return np.searchsorted(ordered, places, side="left")


def _cut_by(
    filtered: Artifact | None, corpus: Corpus, bad: Mapping[Address, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """Per defect class the span rules that had cut lines or sentences from its documents, and from how many."""
    if filtered is None:
        return {}
    came_from: dict[Address, Address] = {}
    for shard in corpus.shards:
        rows = {row for name, row in bad if name == shard.sha256}
        if rows:
            table = shard.read(["origin"])
            table = table.filter(pc.is_in(table[ROW], pa.array(sorted(rows), pa.int64())))
            for origin, row in zip(table["origin"].to_pylist(), table[ROW].to_pylist(), strict=True):
                came_from[origin["shard"], origin["row"]] = (shard.sha256, row)
    cuts: set[tuple[Address, str]] = set()
    shards = pa.array(sorted({shard for shard, _ in came_from}), pa.string())
    for entry in filtered.files("ledger"):
        table = filtered.read_table(entry, ["rule", "action", "shard", "row"])
        table = table.filter(pc.and_(pc.equal(table["action"], "edited"), pc.is_in(table["shard"], shards)))
        for record in table.to_pylist():
            address = came_from.get((record["shard"], record["row"]))
            if address is not None:
                cuts.add((address, record["rule"]))
    found: dict[str, Counter[str]] = {}
    for address, rule in cuts:
        for defect in bad[address]:
            found.setdefault(defect, Counter())[rule] += 1
    return {
        defect: dict(sorted(rules.items(), key=lambda item: (-item[1], item[0])))
        for defect, rules in found.items()
    }
