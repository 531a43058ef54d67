"""What each rule did: documents and bytes, unique and overlapping removals, samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from steps.filter.config import Rule
from steps.filter.rules import Edits

SAMPLES = 3
NUMBERS = (
    "documents",  # in which a document rule fired
    "bytes",
    "unique_documents",  # in which no other rule fired
    "unique_bytes",
    "attributed_documents",  # of which it is the reason in the ledger: the first that fired
    "spans",  # lines or sentences it removed
    "span_bytes",
    "edited_documents",  # in which it removed some
)


def rule_effects(
    rules: Sequence[Rule], fired: np.ndarray, sizes: np.ndarray, doc_ids: Sequence[str], edits: Edits
) -> dict[str, dict[str, Any]]:
    """Effects by rule id of one batch: fired bool[rules, documents], sizes int64[documents] in bytes.

    `edits` are those of documents that stay. Rules without any effect are left out.
    """
    alone = fired.sum(axis=0) == 1
    first = np.where(fired.any(axis=0), fired.argmax(axis=0) if len(fired) else 0, -1)
    effects: dict[str, dict[str, Any]] = {}
    for i, rule in enumerate(rules):
        mine, spans = fired[i], edits.rule == i
        if not (mine.any() or spans.any()):
            continue
        edited = np.unique(edits.document[spans])
        numbers = (
            mine.sum(),
            sizes[mine].sum(),
            (mine & alone).sum(),
            sizes[mine & alone].sum(),
            (first == i).sum(),
            spans.sum(),
            (edits.end - edits.start)[spans].sum(),
            len(edited),
        )
        where = np.flatnonzero(mine) if mine.any() else edited
        effects[rule.id] = dict(zip(NUMBERS, map(int, numbers), strict=True))
        effects[rule.id]["samples"] = [doc_ids[n] for n in where[:SAMPLES]]
    return effects


def merge_effects(parts: Sequence[dict[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Sums of effects, with the first samples in part order."""
    total: dict[str, dict[str, Any]] = {}
    for part in parts:
        for rule, effect in part.items():
            mine = total.setdefault(rule, {**dict.fromkeys(NUMBERS, 0), "samples": []})
            for name in NUMBERS:
                mine[name] += effect[name]
            mine["samples"] = (mine["samples"] + effect["samples"])[:SAMPLES]
    return total


def rule_table(rules: Sequence[Rule], effects: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One record per rule, in rule order, those without effect too; overlapping = fired with another rule."""
    records = []
    for rule in rules:
        effect = effects.get(rule.id, {**dict.fromkeys(NUMBERS, 0), "samples": []})
        records.append(
            {
                "rule": rule.id,
                "level": rule.level,
                "signal": rule.signal,
                "bound": f"min {rule.min:g}" if rule.min is not None else f"max {rule.max:g}",
                **effect,
                "overlapping_documents": effect["documents"] - effect["unique_documents"],
                "source": rule.source,
            }
        )
    return records
