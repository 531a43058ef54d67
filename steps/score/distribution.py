"""Distributions of perplexity and quality per language and source, kept so that the next dump can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from steps.report.distribution import Distribution

DISTRIBUTION = "distribution.json"
SIGNALS = ("perplexity", "quality_score")
Group = tuple[str, str]  # language, source


class Distributions:
    """A `Distribution` per language, source and signal: mergeable, each value known to 1/128 of itself."""

    def __init__(self, groups: Mapping[Group, Mapping[str, Distribution]] | None = None) -> None:
        self.groups = {group: dict(signals) for group, signals in (groups or {}).items()}

    def add(self, measured: pa.Table) -> None:
        """Count measured documents: columns language, source and the signals."""
        keys = np.array(measured["language"].to_pylist()), np.array(measured["source"].to_pylist())
        for language, source in sorted(set(zip(*(key.tolist() for key in keys), strict=True))):
            mine = (keys[0] == language) & (keys[1] == source)
            here = self.groups.setdefault((language, source), {name: Distribution() for name in SIGNALS})
            for name in SIGNALS:
                here[name].add(measured[name].to_numpy()[mine])

    def of_language(self, language: str, signal: str) -> Distribution:
        """All sources of a language together."""
        return Distribution.sum(here[signal] for (other, _), here in self.groups.items() if other == language)

    def to_json(self) -> list[dict[str, Any]]:
        """As DISTRIBUTION holds it; `from_json` reads it back."""
        return [
            {"language": language, "source": source, **{name: here[name].to_json() for name in SIGNALS}}
            for (language, source), here in sorted(self.groups.items())
        ]

    @classmethod
    def from_json(cls, content: list[dict[str, Any]]) -> Distributions:
        """What `to_json` gave."""
        return cls(
            {
                (item["language"], item["source"]): {n: Distribution.from_json(item[n]) for n in SIGNALS}
                for item in content
            }
        )
