"""How many tokens each planned document gives, where mix asks for tokens: they are known only once it is tokenized."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.parts import PartWriter
from steps.pack.blocks import ENTRY, append, plan_source, read_ranges
from steps.pack.quota import settle

COLUMNS = ["quota", "rank", "task", "replay"]


def supply(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Settle the stage's quotas over all blocks; writes what each document gives, a range per block.

    Returns the ranges and, per quota, its set and the tokens asked for and supplied. Memory: about 60 bytes per
    planned document of a stage with quotas.
    """
    config, mix = part.config, part.inputs["mix"]
    quotas = json.loads(mix.read_bytes(mix.file("quotas.json")))
    source = plan_source(part.inputs, config.stage)
    plan = pa.concat_tables(source.read_table(source.file(key), COLUMNS) for key in task["plans"])
    lengths = [
        by_place(read_ranges(part.store, task["folder"], block["entries"], ENTRY))["length"]
        for block in task["blocks"]
    ]
    fixed = whole_documents(plan["task"], config.spliced)
    usable = usable_tokens(np.concatenate(lengths), fixed, config.sequence_length, config.too_long)
    replayed = plan["replay"].to_numpy(zero_copy_only=False)
    taken, figures = settle(
        plan["quota"].to_numpy(), plan["rank"].to_numpy(), usable, fixed, ~replayed, quotas
    )
    path, ranges = part.scratch / "taken.bin", []
    with path.open("wb") as file:
        for piece in np.split(taken, np.cumsum([len(one) for one in lengths])[:-1]):
            ranges.append(append(file, piece))
    part.put_file("taken.bin", path, "taken", temporary=True)
    found = [
        {"set": quotas[number]["set"], "asked": asked, "supplied": supplied}
        for number, (asked, supplied) in sorted(figures.items())
    ]
    return {"ranges": ranges, "quotas": found}


def by_place(entries: np.ndarray) -> np.ndarray:
    """Entries in the order of the plan."""
    return entries[np.argsort(entries["key"], kind="stable")]


def whole_documents(tasks: pa.ChunkedArray, spliced: bool) -> np.ndarray:
    """Which documents must not be cut: those of a task, unless all are spliced."""
    return pc.not_equal(tasks, "").to_numpy(zero_copy_only=False) & (not spliced)


def usable_tokens(length: np.ndarray, fixed: np.ndarray, size: int, too_long: str) -> np.ndarray:
    """Tokens that each document can give: of one that must not be cut and exceeds a window, none or a window."""
    return np.where(fixed & (length > size), 0 if too_long == "drop" else size, length)
