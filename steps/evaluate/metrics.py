"""Ziya2's Table 1 on one document: numbers that describe, beside the detectors that judge."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.evaluate import lexicon
from steps.evaluate.detectors import Finding

QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_SENTENCE_END = r"[。！？!?.]+"
# name, detector class: Table 1's four rates of level 1
RATES = {
    "privacy_rate": "privacy",
    "toxic_rate": "toxic",
    "advertising_rate": "advertising",
    "web_residue_rate": "web_residue",
}


def byte_entropy(raw: bytes) -> float:
    """Shannon entropy of the bytes in bits per byte; 0 for an empty text."""
    if not raw:
        return 0.0
    counts = np.bincount(np.frombuffer(raw, np.uint8), minlength=256)
    p = counts[counts > 0] / len(raw)
    return float(-(p * np.log2(p)).sum())


def describe(texts: Sequence[str]) -> pa.Table:
    """One row per text: length, informativeness, readability and topic.

    Columns: characters, bytes, compression (zlib bytes / bytes: low is repetitive, high is noise), entropy
    (bits per byte), sentence_length (characters per sentence end), digits, punctuation (shares of characters),
    topic (the list with most hits, "none" below 3).
    """
    column = pa.array(texts, pa.large_string())
    characters = pc.utf8_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    safe = np.maximum(characters, 1)
    raw = [text.encode() for text in texts]

    def count(pattern: str) -> np.ndarray:
        found = pc.count_substring_regex(column, pattern, ignore_case=True)
        return found.to_numpy(zero_copy_only=False).astype(np.int64)

    topics = (
        np.stack([count(pattern) for pattern in lexicon.TOPICS.values()]) if len(texts) else np.zeros((1, 0))
    )
    names = np.array([*lexicon.TOPICS, "none"], dtype=object)
    best = np.where(topics.max(axis=0) >= 3, topics.argmax(axis=0), len(lexicon.TOPICS))
    size = np.array([len(r) for r in raw], np.int64)
    packed = np.array([len(zlib.compress(r, 6)) for r in raw], np.int64)
    return pa.table(
        {
            "characters": characters,
            "bytes": size,
            "compression": np.round(packed / np.maximum(size, 1), 4),
            "entropy": np.round([byte_entropy(r) for r in raw], 4).astype(np.float64),
            "sentence_length": np.round(characters / np.maximum(count(_SENTENCE_END), 1), 2),
            "digits": np.round(count(r"[0-9]") / safe, 4),
            "punctuation": np.round(count(r"[\p{P}]") / safe, 4),
            "topic": pa.array(names[best.astype(np.int64)].tolist(), pa.string()),
        }
    )


def summary(rows: pa.Table, defects: Sequence[Sequence[str]], languages: Sequence[str]) -> dict[str, Any]:
    """Table 1 of a set of documents: rates of level 1, quantiles of the measures, shares of languages and topics."""
    total = max(1, rows.num_rows)
    result: dict[str, Any] = {"documents": rows.num_rows}
    for name, defect in RATES.items():
        result[name] = sum(defect in found for found in defects) / total
    result["any_defect_rate"] = sum(bool(found) for found in defects) / total
    for name in ("characters", "perplexity", "compression", "entropy", "sentence_length", "punctuation"):
        if name in rows.column_names:
            result[name] = _quantiles(rows[name].to_numpy(zero_copy_only=False).astype(np.float64))
    result["languages"] = _shares(languages)
    result["topics"] = _shares(rows["topic"].to_pylist())
    return result


def _quantiles(values: np.ndarray) -> dict[str, float]:
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return {}
    found = np.quantile(values, QUANTILES, method="lower")
    return {f"p{q * 100:g}": round(float(v), 4) for q, v in zip(QUANTILES, found, strict=True)}


def _shares(names: Sequence[str]) -> dict[str, float]:
    total = max(1, len(names))
    return {name: round(names.count(name) / total, 6) for name in sorted(set(names))}


def defect_names(findings: Sequence[Finding]) -> list[str]:
    return [finding.defect for finding in findings]


def finite(value: float) -> float | None:
    """The number, or None where it is not one: JSON has no NaN."""
    return value if math.isfinite(value) else None


def words_around(text: str, start: int, end: int, margin: int = 60) -> str:
    """What a person sees of a finding: the span and a little around it, white space collapsed."""
    return re.sub(r"\s+", " ", text[max(0, start - margin) : min(len(text), end, start + 300) + margin])


def rates(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary that MLflow charts."""
    return {name: report[name] for name in (*RATES, "any_defect_rate")}
