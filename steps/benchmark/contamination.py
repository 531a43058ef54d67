"""Which measured items stand in documents that were meant for training, as `mix` found them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact
from steps.text.overlap import build_index, find_items

FOUND = "found_items"  # kind of mix's file


def found_in_training(export: Artifact, records: list[str]) -> list[bool]:
    """Whether each record of a benchmark holds an item that `mix` found in documents, which it then left out.

    ``records`` are all texts of the measured records. They are compared as mix compares documents with items, by its
    settings: a task may have changed the record that mix read. A model whose mix had no benchmarks has no such items.
    """
    mix = export.input("train").input("tokens").input("mix")
    items = [
        text for entry in mix.files(FOUND) for text in mix.read_table(entry, ["item"])["item"].to_pylist()
    ]
    if not items:
        return [False] * len(records)
    settings: dict[str, Any] = mix.config["decontamination"]
    index = build_index(pa.array(items, pa.large_string()), settings["tokens"], settings["common"])
    texts = pa.chunked_array([pa.array(records, pa.large_string())])
    hits = find_items(texts, index, settings["tokens"], settings["share"])
    found: list[bool] = (np.asarray(hits.item) >= 0).tolist()
    return found
