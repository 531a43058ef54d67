"""`tokenmill rules try`: what other document rules would do to a filter artifact, from its stored signals alone."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from steps.core.artifact import Artifact
from steps.core.counts import Tally
from steps.core.source import source_kinds
from steps.filter.config import Config, Rule
from steps.filter.rules import first_rule
from steps.filter.stored import (
    KIND,
    Change,
    Judged,
    compare_rules,
    from_signals,
    judge_stored,
    stored_signals,
)
from steps.report.blocks import Sample
from steps.report.look import Stage, caption, draw, read_texts

SAMPLES = 6  # of what is newly removed, and of what is newly kept
MOVES = ("newly removed", "newly kept")


@dataclass
class Outcome:
    """Documents and bytes of one group before and then."""

    read: Tally = field(default_factory=Tally)
    before: Tally = field(default_factory=Tally)
    then: Tally = field(default_factory=Tally)
    gained: Tally = field(default_factory=Tally)
    lost: Tally = field(default_factory=Tally)


@dataclass
class Trial:
    """The answer. ``removed`` names by (shard, row) what document rules remove then, and by which; exact.

    A document that was dropped for what paragraph or sentence rules left of it counts as removed before and then.
    One that document rules let go then has never met the paragraph and sentence rules: it is newly kept as far as
    document rules go (``groups[...].gained``).
    """

    change: Change
    groups: dict[str, Outcome] = field(default_factory=dict)
    before: Counter[str] = field(default_factory=Counter)
    then: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    removed: dict[tuple[str, int], str] | None = None

    @property
    def total(self) -> Outcome:
        """All groups together."""
        whole = Outcome()
        for group in self.groups.values():
            for name in ("read", "before", "then", "gained", "lost"):
                getattr(whole, name).merge(getattr(group, name))
        return whole


def try_rules(artifact: Artifact, old: Config, new: Config, *, collect: bool = False) -> Trial:
    """Judge every document of a filter artifact by the document rules of ``new``, one shard at a time in memory.

    ``collect`` also lists every removed document, for comparison with a run.
    """
    change = compare_rules(old, new, stored_signals(artifact))
    trial = Trial(change, removed={} if collect else None)
    kinds = {**source_kinds(artifact.input("corpus")), **new.source_kinds}
    chosen: dict[str, list[tuple[int, str, int, dict[str, Any]]]] = {name: [] for name in MOVES}
    spans = {rule.id for rule in old.rules if not from_signals(rule)}
    for judged in judge_stored(artifact, artifact.files(KIND), change.rules, kinds):
        _add(trial, judged, change.rules, spans, chosen)
    addresses = [(item[1], item[2]) for items in chosen.values() for item in items]
    texts = read_texts(Stage.of_artifact(artifact), addresses)
    for name, items in chosen.items():
        trial.samples[name] = [_sample(item, texts) for item in items]
    return trial


def _add(
    trial: Trial,
    judged: Judged,
    rules: Sequence[Rule],
    spans: set[str],
    chosen: dict[str, list[tuple[int, str, int, dict[str, Any]]]],
) -> None:
    """Count one shard and keep the samples of lowest draw."""
    table = judged.table
    was = np.array(table["rule"].to_pylist(), dtype=object)
    reason = first_rule(judged.fired)
    now = np.array([None if r < 0 else rules[r].id for r in reason.tolist()], dtype=object)
    kept_out = np.array([name in spans for name in was.tolist()], dtype=bool)  # by what was left of the text
    now = np.where((reason < 0) & kept_out, was, now)
    before, then = (np.array([name is not None for name in names], dtype=bool) for names in (was, now))
    trial.before.update(name for name in was.tolist() if name is not None)
    trial.then.update(name for name in now.tolist() if name is not None)
    sizes, rows = table["bytes"].to_numpy(), table["row"].to_numpy()
    masks = {"read": np.ones_like(before), "before": before, "then": then}
    masks |= {"gained": before & ~then, "lost": ~before & then}
    names = np.array(
        [f"{s}|{g}" for s, g in zip(table["source"].to_pylist(), table["language"].to_pylist(), strict=True)]
    )
    for name in sorted(set(names.tolist())):
        group, mine = trial.groups.setdefault(name, Outcome()), names == name
        for column, mask in masks.items():
            getattr(group, column).add((mask & mine).sum(), sizes[mask & mine].sum())
    if trial.removed is not None:
        gone = np.flatnonzero(reason >= 0).tolist()
        trial.removed.update({(judged.shard, int(rows[i])): now[i] for i in gone})
    ranks = draw(judged.shard, rows)
    for move, mask in zip(MOVES, (masks["lost"], masks["gained"]), strict=True):
        where = np.flatnonzero(mask)
        for i in where[np.argsort(ranks[where], kind="stable")][:SAMPLES].tolist():
            rule = next((r for r in rules if r.id == (now[i] or was[i])), None)
            record = table.select(["source", "language", "bytes"]).slice(i, 1).to_pylist()[0]
            known = rule is not None and from_signals(rule) and judged.has(rule)
            value = float(judged.signal(rule.signal)[i]) if rule is not None and known else None
            said = {**record, "rule": now[i] or was[i], "signal": rule.signal if rule else "", "value": value}
            chosen[move].append((int(ranks[i]), judged.shard, int(rows[i]), said))
        chosen[move] = heapq.nsmallest(SAMPLES, chosen[move], key=lambda item: item[:3])


def _sample(
    item: tuple[int, str, int, dict[str, Any]], texts: Mapping[tuple[str, int], Mapping[str, Any]]
) -> Sample:
    record = {**item[3], **texts.get((item[1], item[2]), {})}
    value = "" if record["value"] is None else f"{record['signal']} {record['value']:.4g}"
    return Sample(record.get("text") or "", caption(record, record["bytes"], record["rule"], value))
