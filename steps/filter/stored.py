"""Rules judged again from the signals that a filter artifact stored, without its texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact, Files
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.filter.config import Config, Rule
from steps.filter.names import EDITED
from steps.filter.rules import applicable, outside

KIND = "rule_signals"
_KNOWN = ("row", "rule", "doc_id", "source", "language", "bytes")


class Judged(NamedTuple):
    """One shard's documents, all of them, and which document rules fire on each."""

    shard: str  # sha256 of the shard that was read
    table: pa.Table  # row, rule (that dropped it, or null), doc_id, source, language, bytes and the signals
    fired: np.ndarray  # bool[rules, documents]
    applicable: np.ndarray  # bool[rules, documents]: language and source are the rule's

    def signal(self, name: str) -> np.ndarray:
        """float64[documents]: a document signal by the name that rules use."""
        return np.asarray(self.table[f"rule_{name}"].to_numpy())

    def has(self, rule: Rule) -> bool:
        """Whether the rule's signals were measured: those of a classifier only where the step was given it."""
        return all(f"rule_{name}" in self.table.schema.names for name in (rule.signal, *rule.where))


def from_signals(rule: Rule) -> bool:
    """Whether stored signals decide the rule: those of documents, less the two that are measured after edits."""
    return rule.level == "document" and not {rule.signal, *rule.where} & set(EDITED)


def judge_stored(
    files: Files, entries: Sequence[FileEntry], rules: Sequence[Rule], kinds: Mapping[str, str]
) -> Iterator[Judged]:
    """Every entry's documents judged by ``rules``, one shard at a time in memory.

    Rules for which `from_signals` is false never fire here. ``kinds`` is the kind of each source, as for the step.
    Raises DataError for an artifact of filter version 3 or older, which did not store what is needed.
    """
    for entry in entries:
        table = files.read_table(entry)
        missing = [name for name in _KNOWN if name not in table.column_names]
        if missing:
            raise DataError(
                f"{files.where(entry)} lacks {', '.join(missing)}: it was written before filter version 4; "
                "run the filter step again"
            )
        yield Judged(entry.meta["shard"], table, *_judge(table, rules, kinds))


def _judge(table: pa.Table, rules: Sequence[Rule], kinds: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(fired, applicable) of one shard, as in `Judged`."""
    sources, languages = table["source"].to_pylist(), table["language"].to_pylist()
    kind = [kinds.get(source, "web") for source in sources]
    signals = {
        name.removeprefix("rule_"): table[name].to_numpy()
        for name in table.column_names
        if name.startswith("rule_")
    }
    meant = applicable(rules, languages, kind, sources)
    fired = np.zeros_like(meant)
    for i, rule in enumerate(rules):
        if from_signals(rule):
            fired[i] = meant[i] & outside(rule, signals)
    return fired, meant


class Change(NamedTuple):
    """What differs between the rules of an artifact and those to try."""

    rules: tuple[
        Rule, ...
    ]  # what is judged: the new rules, less those that cannot be, for which the old ones stay
    changed: list[str]  # one line per rule that is new, gone or other, and decided by stored signals
    unanswered: list[str]  # one line per difference that only a run over the texts can show


def stored_signals(artifact: Artifact) -> set[str]:
    """Names of the document signals that a filter artifact stored."""
    entries = artifact.files(KIND)
    names = artifact.read_table(entries[0]).column_names if entries else []
    return {name.removeprefix("rule_") for name in names if name.startswith("rule_")}


def compare_rules(old: Config, new: Config, stored: set[str]) -> Change:
    """Which differences of two filter configs the signals that the old one ``stored`` can answer."""
    stale = _changed_measures(old, new)
    known = stored - stale
    before, after = {r.id: r for r in old.rules}, {r.id: r for r in new.rules}
    rules: list[Rule] = []
    changed: list[str] = []
    unanswered: list[str] = []
    for rule in new.rules:
        was = before.get(rule.id)
        lost = sorted({rule.signal, *rule.where} - known) if from_signals(rule) else []
        if from_signals(rule) and not lost:
            rules.append(rule)
            if was != rule:
                changed.append(_difference(was, rule))
            continue
        if was is not None:
            rules.append(was)
        if lost and (was != rule or set(lost) & stale):
            unanswered.append(f"{rule.id}: {', '.join(lost)} must be measured on the texts")
        elif was != rule:
            unanswered.append(f"{_difference(was, rule)}: a rule on {_what(rule)} must see the texts")
    for name in before.keys() - after.keys():
        if from_signals(before[name]):
            changed.append(_difference(before[name], None))
        else:
            unanswered.append(
                f"{_difference(before[name], None)}: a rule on {_what(before[name])} must see the texts"
            )
    return Change(tuple(rules), sorted(changed), sorted(unanswered))


def _what(rule: Rule) -> str:
    return "what is left after edits" if rule.level == "document" else f"{rule.level}s"


def _changed_measures(old: Config, new: Config) -> set[str]:
    """Document signals whose word lists, patterns or URL lists are not the old ones."""

    def content(config: Config) -> dict[str, list[object]]:
        found: dict[str, list[object]] = {}
        for words in config.word_lists:
            found.setdefault(words.category, []).append(words)
        for pattern in config.patterns:
            found.setdefault(pattern.name, []).append(pattern)
        return found

    one, two = content(old), content(new)
    names = {name for name in {*one, *two} if one.get(name) != two.get(name)}
    signals = {f"{name}_{unit}" for name in names for unit in ("per_1000", "lines")}
    others = {
        "stop_words": ("stop_words", "stop_word_share"),
        "url_words": ("url_words",),
        "url_lists": ("url_listed",),
    }
    for field, measured in others.items():
        if getattr(old, field) != getattr(new, field):
            signals.update(measured)
    return signals


def threshold(rule: Rule) -> float:
    """The number of the rule's bound, whichever side it is on."""
    return float(rule.min if rule.min is not None else rule.max)  # type: ignore[arg-type]  # one of them is set


def bound(rule: Rule) -> str:
    """The rule's bound in words of a rule file: ``min 0.2`` or ``max 0.3``."""
    return f"min {rule.min:g}" if rule.min is not None else f"max {rule.max:g}"


def conditions(rule: Rule) -> str:
    """Where the rule applies at all: ``tokens ≥ 300 and lines ≤ 4``; empty for a rule without conditions."""
    parts = []
    for name, (low, high) in rule.where.items():
        if low is not None:
            parts.append(f"{name} ≥ {low:g}")
        if high is not None:
            parts.append(f"{name} ≤ {high:g}")
    return " and ".join(parts)


def _difference(was: Rule | None, now: Rule | None) -> str:
    if was is None and now is not None:
        return f"{now.id}: new, {now.signal} {bound(now)}"
    if was is not None and now is None:
        return f"{was.id}: off"
    assert was is not None and now is not None
    if bound(was) != bound(now):
        return f"{now.id}: {now.signal} {bound(was)} → {bound(now)}"
    fields = [name for name in Rule.model_fields if getattr(was, name) != getattr(now, name)]
    return f"{now.id}: another {', '.join(fields)}"
