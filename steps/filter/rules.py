"""Rules as data → which documents are dropped and which spans are removed. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from steps.filter.config import Rule
from steps.filter.names import EDITED, is_optional
from steps.filter.signals import Measured
from steps.text.segment import Spans


class Edits(NamedTuple):
    """Spans to remove, by document and place, none inside another: int64 arrays, and the rule's number."""

    document: np.ndarray
    start: np.ndarray
    end: np.ndarray
    rule: np.ndarray
    value: np.ndarray  # float64, the signal
    level: np.ndarray  # "paragraph" or "sentence"


def applies(rule: Rule, languages: Sequence[str], kinds: Sequence[str], sources: Sequence[str]) -> np.ndarray:
    """bool[documents]: the rule is for the document's language and its source is not exempt."""
    return np.array(
        [
            rule.language in ("any", language)
            and kind not in rule.exempt
            and source not in rule.exempt_sources
            for language, kind, source in zip(languages, kinds, sources, strict=True)
        ],
        dtype=bool,
    )


def applicable(
    rules: Sequence[Rule], languages: Sequence[str], kinds: Sequence[str], sources: Sequence[str]
) -> np.ndarray:
    """bool[rules, documents] of `applies`, asked once for each language, kind and source."""
    groups = list(zip(languages, kinds, sources, strict=True))
    place = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    columns = list(zip(*place, strict=True)) or [(), (), ()]
    table = np.array([applies(rule, *columns) for rule in rules]).reshape(len(rules), len(place))
    return table[:, [place[group] for group in groups]]


def outside(rule: Rule, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """bool[n]: the value lies outside of the rule's bound, where the rule applies at all.

    A rule on an optional signal (of a URL, of a classifier) that was not measured does not fire.
    """
    if any(is_optional(name) and name not in signals for name in (rule.signal, *rule.where)):
        return np.zeros(len(signals["characters"]), dtype=bool)
    value = signals[rule.signal]
    fired = value < rule.min if rule.min is not None else value > rule.max
    for name, (low, high) in rule.where.items():
        if low is not None:
            fired = fired & (signals[name] >= low)
        if high is not None:
            fired = fired & (signals[name] <= high)
    return fired


def add_above(rules: Sequence[Rule], measured: Measured) -> None:
    """Gives spans the signals document_<name> and paragraph_<name> of where they stand, as far as rules ask."""
    parents = {
        "paragraph": {"document_": (measured.document, measured.lines.parent)},
        "sentence": {
            "document_": (measured.document, measured.lines.parent[measured.sentences.parent]),
            "paragraph_": (measured.paragraph, measured.sentences.parent),
        },
    }
    for rule in rules:
        signals = measured.paragraph if rule.level == "paragraph" else measured.sentence
        for prefix, (above, parent) in parents.get(rule.level, {}).items():
            for name in (rule.signal, *rule.where):
                if name.startswith(prefix) and name not in signals:
                    signals[name] = above[name.removeprefix(prefix)][parent]


def judge_documents(
    rules: Sequence[Rule], signals: Mapping[str, np.ndarray], applicable: np.ndarray, *, after_edits: bool
) -> np.ndarray:
    """bool[rules, documents]: document rules that fire; applicable bool[rules, documents].

    Rules on what is left after the edits fire only when `after_edits`, all others only when not.
    """
    fired = np.zeros(applicable.shape, dtype=bool)
    for i, rule in enumerate(rules):
        if rule.level == "document" and (rule.signal in EDITED) == after_edits:
            fired[i] = applicable[i] & outside(rule, signals)
    return fired


def judge_spans(
    rules: Sequence[Rule],
    level: str,
    signals: Mapping[str, np.ndarray],
    document: np.ndarray,
    applicable: np.ndarray,
) -> np.ndarray:
    """bool[rules, spans]: rules of `level` that fire; document int64[spans]."""
    fired = np.zeros((len(rules), len(document)), dtype=bool)
    for i, rule in enumerate(rules):
        if rule.level == level:
            spans = np.flatnonzero(outside(rule, signals))  # few of many: most rules look at none further
            fired[i, spans] = applicable[i, document[spans]]
    return fired


def first_rule(fired: np.ndarray) -> np.ndarray:
    """int64[n]: number of the first rule that fires, -1 for none; fired bool[rules, n]."""
    first = np.full(fired.shape[1], -1)
    for rule in reversed(range(len(fired))):
        first[fired[rule]] = rule
    return first


def edits_of(rules: Sequence[Rule], measured: Measured, lines: np.ndarray, sentences: np.ndarray) -> Edits:
    """Removals in text order: whole lines, and single sentences of lines that stay.

    lines bool[rules, lines] and sentences bool[rules, sentences] are what fired; a sentence rule whose action
    is remove_paragraph takes its line.
    """
    line_rule, sentence_rule = first_rule(lines), first_rule(sentences)
    value = _values(rules, line_rule, measured.paragraph)
    widened = np.zeros(len(line_rule), dtype=bool)
    widening = np.array([rule.action == "remove_paragraph" for rule in rules] + [False])
    for i in np.flatnonzero((sentence_rule >= 0) & widening[sentence_rule]):
        line = measured.sentences.parent[i]
        if line_rule[line] < 0:
            line_rule[line], widened[line] = sentence_rule[i], True
            value[line] = measured.sentence[rules[sentence_rule[i]].signal][i]
    gone = np.flatnonzero(line_rule >= 0)
    inner = np.flatnonzero((sentence_rule >= 0) & (line_rule[measured.sentences.parent] < 0))
    by_sentence = _values(rules, sentence_rule, measured.sentence)
    of_lines = measured.lines.parent[gone], *_rows(measured.lines, gone, line_rule, value, widened)
    document = measured.lines.parent[measured.sentences.parent[inner]]
    always = np.ones(len(sentence_rule), dtype=bool)
    of_sentences = document, *_rows(measured.sentences, inner, sentence_rule, by_sentence, always)
    columns = [np.concatenate(pair) for pair in zip(of_lines, of_sentences, strict=True)]
    order = np.argsort(columns[1], kind="stable")
    return Edits(*(column[order] for column in columns))


def _rows(
    spans: Spans, which: np.ndarray, rule: np.ndarray, value: np.ndarray, sentence: np.ndarray
) -> tuple[np.ndarray, ...]:
    """start, end, rule, value and level of some spans; sentence bool[spans]: a rule on sentences fired."""
    level = np.where(sentence[which], "sentence", "paragraph").astype(object)
    return spans.start[which], spans.end[which], rule[which], value[which], level


def _values(rules: Sequence[Rule], number: np.ndarray, signals: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64[n]: the signal of the rule that fired."""
    out = np.zeros(len(number))
    for i in np.unique(number[number >= 0]).tolist():
        mine = number == i
        out[mine] = signals[rules[i].signal][mine]
    return out


def rebuild(text: bytes, start: np.ndarray, end: np.ndarray) -> bytes:
    """`text` without the spans (int64, in order, in bytes of this text); a removed line takes its line end along.

    More than one empty line where something was removed becomes one; space at both ends goes.
    """
    pieces: list[bytes] = []
    at = 0
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        pieces.append(text[at:a])
        at = b
        before = text[a - 1 : a] if a else b"\n"
        if before == b"\n" and text[b : b + 1] == b"\n":
            at = b + 1
            if (not pieces[-1].strip() or pieces[-1].endswith(b"\n\n")) and text[at : at + 1] == b"\n":
                at += 1
    pieces.append(text[at:])
    rebuilt = b"".join(pieces)
    if b" \n" in rebuilt:
        rebuilt = b"\n".join(line.rstrip(b" ") for line in rebuilt.split(b"\n"))
    return rebuilt.strip(b" \n")
