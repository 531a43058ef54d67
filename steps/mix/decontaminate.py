"""Benchmark test items: collecting them, and leaving out the documents that hold one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from steps.core.artifact import Files
from steps.core.corpus import ROW
from steps.core.errors import ConfigError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter, cached_store
from steps.core.source import SourceListing, fetch_object
from steps.mix.benchmarks import DATA, data_set, is_data, read_items
from steps.mix.config import Config
from steps.text.overlap import Index, build_index, find_items

ITEMS = pa.schema(
    [("benchmark", pa.string()), ("object", pa.string()), ("record", pa.int64()), ("item", pa.large_string())]
)
BENCHMARKS = "benchmarks"  # the input
FOUND = "found_items"
SHOWN = 160  # characters of an item that the ledger quotes
RULE = "holds_benchmark_item"


class Items(NamedTuple):
    """All benchmark items: who they are, and their n-grams."""

    table: pa.Table  # benchmark, object, record, item
    grams: Index


def collect_items(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Write the items of the recipe's benchmarks as a temporary table; returns how many each has and can be looked for.

    An item that a data set has twice counts once. Raises ConfigError for a data set whose items cannot be told, and
    where there is no item at all.
    """
    settings = part.config.decontamination
    found: dict[str, list[Any]] = {name: [] for name in ITEMS.names}
    known: set[tuple[str, str]] = set()
    objects = SourceListing.of(part.inputs[BENCHMARKS]).objects
    sets = {data_set(item.key, item.source) for item in objects if is_data(item.key)}
    for item in objects:
        path = fetch_object(item, part.locations, part.scratch)
        name = data_set(item.key, item.source)
        for record, text in enumerate(read_items(path, item.key, settings.fields)):
            if (name, text) not in known:
                known.add((name, text))
                for column, value in zip(found, (name, item.sha256, record, text), strict=True):
                    found[column].append(value)
        path.unlink()
    if not known:
        raise ConfigError(
            f"sources of kind benchmark: none of {len(objects)} objects, such as {objects[0].key}, holds test items; "
            f"give them {', '.join(DATA)} files of another split than train"
        )
    table = pa.table(found, schema=ITEMS)
    part.put_table("items.parquet", table, "items", temporary=True)
    long_enough = build_index(table["item"], settings.tokens, settings.common).reachable > 0
    names = np.array(found["benchmark"], object)
    return {
        name: {
            "items": int((names == name).sum()),
            "too_short": int(((names == name) & ~long_enough).sum()),
        }
        for name in sorted(sets)
    }


def write_found(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Write the items that documents hold, with how many hold each; returns how many items of each benchmark those are.

    ``task`` names the file of all items, and those of `leave_out` for every shard.
    """
    files = Files(part.store, task["folder"])
    items = files.read_table(FileEntry.model_validate(task["items"]))
    documents = np.zeros(items.num_rows, np.int64)
    for entry in task["held"]:
        held = files.read_table(FileEntry.model_validate(entry))
        documents[held["item"].to_numpy()] += held["documents"].to_numpy()
    table = items.append_column("documents", pa.array(documents)).filter(pa.array(documents > 0))
    part.put_table("found_items.parquet", table, FOUND)
    counted = table.group_by("benchmark", use_threads=False).aggregate([("item", "count")]).to_pylist()
    return {row["benchmark"]: row["item_count"] for row in counted}


@lru_cache(maxsize=1)
def load_items(store: str, folder: str, entry: str, n: int, common: int) -> Items:
    """The items of a run, read and indexed once per process; ``entry`` is their file as JSON."""
    table = Files(cached_store(store), folder).read_table(FileEntry.model_validate_json(entry))
    return Items(table, build_index(table["item"], n, common))


def leave_out(
    table: pa.Table, shard: str, task: dict[str, Any], part: PartWriter
) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Which documents hold a benchmark item (bool), and how many by benchmark and source; each goes to the ledger.

    ``table`` has the recipe's documents of one shard; ``task`` names the file of items that `collect_items` wrote. The
    items that any of them holds become a temporary table.
    """
    config: Config = part.config
    settings = config.decontamination
    items = load_items(
        part.store.uri, task["folder"], FileEntry(**task["items"]).model_dump_json(), *_shape(config)
    )
    hits = find_items(table["text"], items.grams, settings.tokens, settings.share)
    several = np.flatnonzero(hits.documents)
    counted = pa.table({"item": several, "documents": hits.documents[several]})
    part.put_table("held.parquet", counted, "held", temporary=True)
    held = np.flatnonzero(hits.item >= 0)
    matched: dict[str, dict[str, int]] = {}
    columns = [ROW, "doc_id", "source", "language", "text"]
    for at, row in zip(held.tolist(), table.select(columns).take(pa.array(held)).to_pylist(), strict=True):
        item = items.table.slice(int(hits.item[at]), 1).to_pylist()[0]
        where = (row["source"], row["language"], 1, len(row["text"].encode()))
        sources = matched.setdefault(item["benchmark"], {})
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
            detail=f"{item['benchmark']}: {item['item'][:SHOWN]}",
            match_shard=item["object"],
            match_row=item["record"],
            similarity=float(hits.share[at]),
        )
    return hits.item >= 0, matched


def _shape(config: Config) -> tuple[int, int]:
    return config.decontamination.tokens, config.decontamination.common
