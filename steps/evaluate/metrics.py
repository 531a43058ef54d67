"""Ziya2's Table 1 on one document: numbers that describe, beside the detectors that judge."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.evaluate import words
from steps.evaluate.detectors import Finding

QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
MEASURES = (
    *("characters", "perplexity", "compression", "entropy", "distinct"),
    *("sentence_length", "hard", "digits", "punctuation"),
)
_SENTENCE_END = r"[。！？!?.]+"
DISTINCT_WINDOW = 12  # bytes: four Chinese characters or two English words
DISTINCT_BYTES = 32_768  # of the text's beginning
_HAN = r"[\p{Han}]"
_WORDS, _LONG_WORDS = r"[\p{Latin}]+", r"[\p{Latin}]{7,}"
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


def distinct_share(raw: bytes) -> float:
    """Different windows of DISTINCT_WINDOW bytes over all windows of the text's beginning; 1 if it has fewer than two.

    What one passage adds to the passages before it: boilerplate, tables and templates say little in many bytes.
    """
    data = np.frombuffer(raw[:DISTINCT_BYTES], np.uint8)
    windows = len(data) - DISTINCT_WINDOW + 1
    if windows < 2:
        return 1.0
    keys = np.zeros(windows, np.uint64)
    for offset in range(DISTINCT_WINDOW):
        keys *= np.uint64(0x100000001B3)
        keys += data[offset : offset + windows]
    keys.sort()
    return float(1 + np.count_nonzero(keys[1:] != keys[:-1])) / windows


@cache
def _rare_han() -> str:
    """A class of the Han characters beyond GB 2312's first level, its 3,755 frequent ones."""
    codes = [bytes([row, cell]) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)]
    common = "".join(code.decode("gb2312", "ignore") for code in codes)
    points = sorted({*map(ord, common), 0x33FF, 0x9FFF + 1})
    gaps = [(a + 1, b - 1) for a, b in pairwise(points) if a + 1 <= b - 1]
    return "[" + "".join(f"\\x{{{a:x}}}-\\x{{{b:x}}}" for a, b in gaps) + "]"


def describe(texts: Sequence[str], languages: Sequence[str]) -> pa.Table:
    """One row per text: length, informativeness, readability and topic.

    Columns: characters, bytes; for informativeness compression (zlib bytes / bytes: low is repetitive, high is noise),
    entropy (bits per byte) and distinct (`distinct_share`); for readability sentence_length (characters per sentence
    end), hard (words of more than six letters among the words, as LIX counts them, Björnsson 1968; in Chinese the Han
    characters beyond the 3,755 frequent simplified ones of GB 2312 among all), digits and punctuation (shares of
    characters); topic (the list of seed words with most hits, "none" below 3).
    """
    column = pa.array(texts, pa.large_string())
    characters = pc.utf8_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    safe = np.maximum(characters, 1)
    raw = [text.encode() for text in texts]

    def count(pattern: str) -> np.ndarray:
        found = pc.count_substring_regex(column, pattern, ignore_case=True)
        return found.to_numpy(zero_copy_only=False).astype(np.int64)

    topics = (
        np.stack([count(pattern) for pattern in words.TOPICS.values()]) if len(texts) else np.zeros((1, 0))
    )
    names = np.array([*words.TOPICS, "none"], dtype=object)
    best = np.where(topics.max(axis=0) >= 3, topics.argmax(axis=0), len(words.TOPICS))
    chinese = np.array([language == "zh" for language in languages], bool)
    hard = np.where(
        chinese,
        count(_rare_han()) / np.maximum(count(_HAN), 1),
        count(_LONG_WORDS) / np.maximum(count(_WORDS), 1),
    )
    size = np.array([len(r) for r in raw], np.int64)
    packed = np.array([len(zlib.compress(r, 6)) for r in raw], np.int64)
    return pa.table(
        {
            "characters": characters,
            "bytes": size,
            "compression": np.round(packed / np.maximum(size, 1), 4),
            "entropy": np.round([byte_entropy(r) for r in raw], 4).astype(np.float64),
            "distinct": np.round([distinct_share(r) for r in raw], 4).astype(np.float64),
            "sentence_length": np.round(characters / np.maximum(count(_SENTENCE_END), 1), 2),
            "hard": np.round(hard, 4),
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
    for name in MEASURES:
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


def rates(report: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a summary that MLflow charts."""
    return {name: report[name] for name in (*RATES, "any_defect_rate")}
