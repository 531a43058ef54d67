"""The draw of a sample: which documents are read follows from the documents, the policy and the look.

evaluate draws; publish draws again and compares, so that a sample somebody chose is refused (CONTRACT §5).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.corpus import ROW, Corpus
from steps.core.parts import PartWriter
from steps.core.step import StepContext

SLACK = 6.0  # standard deviations beyond which the lowest keys are not looked for at first


def sample_seed(documents: str, policy_digest: str, look: int) -> str:
    """The seed (sha256, hex) that follows from the document set, the policy and the look: nobody chooses it."""
    return hashlib.sha256(f"{documents}:{policy_digest}:{look}".encode()).hexdigest()


def row_keys(seed: str, shard: str, rows: np.ndarray) -> np.ndarray:
    """A random uint64 per row: splitmix64 of the row number and a key from seed and shard. Lowest are drawn.

    rows: int64 row numbers in the shard named by ``shard`` (its key and sha256).
    """
    start = int.from_bytes(hashlib.sha256(f"{seed}:{shard}".encode()).digest()[:8], "big")
    with np.errstate(over="ignore"):
        z = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def strata_of(table: pa.Table) -> pa.Array | pa.ChunkedArray:
    """The stratum of each row: ``source|language``."""
    names = (pc.fill_null(table[name], "") for name in ("source", "language"))
    return pc.binary_join_element_wise(*names, "|")


def count_strata(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Kept documents per stratum of one shard, and the dumps they come from."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["source", "language", "dump"])
    counts = pc.value_counts(strata_of(table)).to_pylist()
    dumps = sorted({dump for dump in pc.unique(table["dump"]).to_pylist() if dump})
    return {"strata": {item["values"]: item["counts"] for item in counts}, "dumps": dumps}


def lowest_rows(
    ctx: StepContext, seed: str, documents: Mapping[str, int], take: Mapping[str, int]
) -> dict[str, list[tuple[int, int, int]]]:
    """The ``take`` rows with the lowest keys of each stratum of the input corpus, as (key, shard number, row), sorted.

    ``documents``: how many each stratum has.
    """
    shards = ctx.corpus().shards
    slack = SLACK
    for attempt in range(8):
        # the lowest `take` keys of a stratum lie below this share of the key space, but for a chance of 1e-9
        below = {
            name: min(1.0, (take[name] + slack * math.sqrt(take[name]) + 20) / max(count, 1))
            for name, count in documents.items()
        }
        tasks = [{"shard": shard.index, "seed": seed, "below": below} for shard in shards]
        found: dict[str, list[tuple[int, int, int]]] = {name: [] for name in documents}
        for index, part in enumerate(ctx.map(f"draw{attempt}", draw_shard, tasks)):
            for name, rows in part.result.items():
                found[name].extend((int(key, 16), index, row) for key, row in rows)
        if all(len(found[name]) >= min(take[name], count) for name, count in documents.items()):
            return {name: sorted(rows)[: take[name]] for name, rows in found.items()}
        slack *= 4
    raise AssertionError("a draw with every row in it is never short")


def draw_shard(task: dict[str, Any], part: PartWriter) -> dict[str, list[list[Any]]]:
    """Keys (hex) and row numbers of one shard's kept rows whose key is low enough, by stratum."""
    shard = Corpus.open(part.inputs["corpus"]).shards[task["shard"]]
    table = shard.read(["source", "language"])
    rows = table[ROW].to_numpy(zero_copy_only=False)
    keys = row_keys(task["seed"], f"{shard.entry.key}:{shard.sha256}", rows)
    names = np.array(strata_of(table).to_pylist(), dtype=object)
    result = {}
    for name, share in task["below"].items():
        limit = np.uint64(min(int(share * 2.0**64), 2**64 - 1))
        here = np.flatnonzero((names == name) & (keys <= limit))
        here = here[np.argsort(keys[here], kind="stable")]
        if len(here):
            result[name] = [[f"{int(keys[i]):016x}", int(rows[i])] for i in here]
    return result
