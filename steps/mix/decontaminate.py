"""Benchmark test items: collecting them, and leaving out the documents that hold one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Files
from steps.core.corpus import ROW, Corpus
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter, cached_store
from steps.mix.config import Config
from steps.mix.overlap import Index, build_index, find_items

COLUMNS = ["doc_id", "source", "language", "text", "prompt"]
SHOWN = 160  # characters of an item that the ledger quotes
RULE = "holds_benchmark_item"


class Items(NamedTuple):
    """All benchmark items: who they are, and their n-grams."""

    table: pa.Table  # shard, row, doc_id, source, item
    grams: Index


def collect_items(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Write the items of the recipe's benchmarks as a temporary table; returns how many of each are long enough.

    An item is the prompt of a supervised record, and the text of another. Raises ConfigError if a benchmark has none.
    """
    settings = part.config.decontamination
    found = []
    for shard in Corpus.open(part.inputs["supervised"]).shards if "supervised" in part.inputs else []:
        table = shard.read(COLUMNS)
        table = table.filter(pc.is_in(table["source"], pa.array(settings.benchmarks)))
        items = table["text"]
        if "prompt" in table.column_names:
            items = pc.if_else(pc.greater(pc.binary_length(table["prompt"]), 0), table["prompt"], items)
        found.append(
            pa.table(
                {
                    "shard": pa.array([shard.sha256] * table.num_rows, pa.string()),
                    "row": table[ROW],
                    "doc_id": table["doc_id"],
                    "source": table["source"],
                    "item": pc.cast(pc.fill_null(items, ""), pa.large_string()),
                }
            )
        )
    table = pa.concat_tables(found).combine_chunks() if found else None
    known = set(pc.unique(table["source"]).to_pylist()) if table else set()
    missing = sorted(set(settings.benchmarks) - known)
    if missing or table is None:
        raise ConfigError(
            f"mix.decontamination.benchmarks: the run's sources have no documents of {', '.join(missing)}"
        )
    part.put_table("benchmarks.parquet", table, "benchmarks", temporary=True)
    long_enough = build_index(table["item"], settings.tokens, settings.common).reachable > 0
    sources = np.array(table["source"].to_pylist(), object)
    return {
        name: {
            "items": int((sources == name).sum()),
            "too_short": int(((sources == name) & ~long_enough).sum()),
        }
        for name in sorted(known)
    }


@lru_cache(maxsize=1)
def load_items(store: str, folder: str, entry: str, n: int, common: int) -> Items:
    """The items of a run, read and indexed once per process; ``entry`` is their file as JSON."""
    table = Files(cached_store(store), folder).read_table(FileEntry.model_validate_json(entry))
    return Items(table, build_index(table["item"], n, common))


def leave_out(
    table: pa.Table, shard: str, task: dict[str, Any], part: PartWriter
) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Which documents hold a benchmark item (bool), and how many by benchmark and source; each goes to the ledger.

    ``table`` has the recipe's documents of one shard; ``task`` names the file of items that `collect_items` wrote.
    """
    config: Config = part.config
    settings = config.decontamination
    items = load_items(
        part.store.uri, task["folder"], FileEntry(**task["items"]).model_dump_json(), *_shape(config)
    )
    hits = find_items(table["text"], items.grams, settings.tokens, settings.share)
    held = np.flatnonzero(hits.item >= 0)
    matched: dict[str, dict[str, int]] = {}
    columns = [ROW, "doc_id", "source", "language", "text"]
    for at, row in zip(held.tolist(), table.select(columns).take(pa.array(held)).to_pylist(), strict=True):
        item = items.table.slice(int(hits.item[at]), 1).to_pylist()[0]
        where = (row["source"], row["language"], 1, len(row["text"].encode()))
        sources = matched.setdefault(item["source"], {})
        sources[row["source"]] = sources.get(row["source"], 0) + 1
        part.count.add_input(*where)
        part.count.add_removed(RULE, *where)
        part.ledger.add(
            rule=RULE,
            shard=shard,
            row=row[ROW],
            bytes=where[3],
            doc_id=row["doc_id"],
            source=where[0],
            language=where[1],
            value=float(hits.share[at]),
            detail=f"{item['source']}: {item['item'][:SHOWN]}",
            match_shard=item["shard"],
            match_row=item["row"],
            match_doc_id=item["doc_id"],
            similarity=float(hits.share[at]),
        )
    return hits.item >= 0, matched


def _shape(config: Config) -> tuple[int, int]:
    return config.decontamination.tokens, config.decontamination.common
