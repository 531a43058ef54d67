"""Which passages are asked about, and for which discipline: a draw by hash, so that a budget ends at a fair sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.corpus import ROW, CorpusShard
from steps.core.draw import row_keys
from steps.core.takedown import Takedowns
from steps.synthesize.config import Config, Selection

MAY = "may_"  # prefix of the columns that say which discipline may take a document
_COLUMNS = ["doc_id", "url", "source", "language", "text"]


def candidates(shard: CorpusShard, config: Config) -> pa.Table:
    """Rows of a shard that may be asked about: ``row``, ``key`` (uint64, lowest are drawn) and one bool column per
    discipline; of each discipline no more than ``config.requests``, those with the lowest keys."""
    table = shard.read(_COLUMNS)
    usable = _usable(table, config)
    rows = table[ROW].to_numpy()
    keys = row_keys("synthesize", shard.sha256, rows)
    order = np.argsort(keys, kind="stable")
    found, wanted = {}, np.zeros(len(rows), bool)
    for name in config.weights():
        may = usable & _may(table, shard, config, name)
        found[MAY + name] = may
        wanted[order[may[order]][: config.requests]] = True
    chosen = np.flatnonzero(wanted)
    columns = {"row": rows[chosen], "key": keys[chosen], **{name: may[chosen] for name, may in found.items()}}
    return pa.table(columns)


def _usable(table: pa.Table, config: Config) -> np.ndarray:
    """Documents that are long enough and were not taken down."""
    long = pc.greater_equal(pc.utf8_length(table["text"]), config.least_characters)
    usable = pc.fill_null(long, False).to_numpy(zero_copy_only=False)
    if config.takedowns:
        takedowns = Takedowns(config.takedowns)
        places = zip(table["doc_id"].to_pylist(), table["url"].to_pylist(), strict=True)
        usable = usable & ~np.array([takedowns.match(doc_id, url or "") for doc_id, url in places], bool)
    return usable


def _may(table: pa.Table, shard: CorpusShard, config: Config, discipline: str) -> np.ndarray:
    """Documents in a language that the discipline has a prompt for, and within its selection."""
    wanted = config.passages.get(discipline, Selection())
    languages = pa.array(config.disciplines[discipline].prompts, pa.string())
    may = pc.is_in(table["language"], languages)
    if wanted.sources:
        may = pc.and_(may, pc.is_in(table["source"], pa.array(wanted.sources)))
    if wanted.signal:
        values = shard.signals([wanted.signal])[wanted.signal].take(table[ROW])
        may = pc.and_(may, pc.fill_null(pc.greater_equal(values, wanted.min), False))
    return pc.fill_null(may, False).to_numpy(zero_copy_only=False)


def apportion(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """``total`` divided as the weights say, the largest remainders rounded up."""
    whole_weight = sum(weights.values()) or 1
    exact = {name: weight * total / whole_weight for name, weight in weights.items()}
    whole = {name: int(amount) for name, amount in exact.items()}
    left = total - sum(whole.values())
    for name in sorted(exact, key=lambda name: (whole[name] - exact[name], name))[:left]:
        whole[name] += 1
    return whole


def assign(tables: Sequence[pa.Table], config: Config) -> tuple[pa.Table, dict[str, int]]:
    """(``part``, ``row``, ``discipline``, ``rank``) of every request, by rank, and how many each discipline lacks.

    ``part`` is the number of the table that a row came from. A document is taken once; the discipline with the fewest
    documents to choose from chooses first, and those that choose from the same ones share what there is. The rank
    follows the key over all disciplines, so that every beginning of the list is a sample of the whole.
    """
    sizes = [table.num_rows for table in tables]
    whole = pa.concat_tables(tables).combine_chunks()
    part = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((whole["row"].to_numpy(), part, whole["key"].to_numpy()))
    may = {
        name: whole[MAY + name].to_numpy(zero_copy_only=False)[order] if whole.num_rows else np.zeros(0, bool)
        for name in config.weights()
    }
    wanted = apportion(config.requests, config.weights())
    short: dict[str, int] = {}
    taken = np.full(len(order), -1)
    masks = {name: mask.tobytes() for name, mask in may.items()}
    names = sorted(may, key=lambda name: (int(may[name].sum()), masks[name], name))
    for _, alike in groupby(names, key=masks.__getitem__):
        group = {name: wanted[name] for name in alike}
        free = np.flatnonzero(may[next(iter(group))] & (taken < 0))
        for name, count in apportion(min(len(free), sum(group.values())), group).items():
            taken[free[:count]], free = names.index(name), free[count:]
            if count < group[name]:
                short[name] = group[name] - count
    chosen = np.flatnonzero(taken >= 0)
    rows = order[chosen]
    table = pa.table(
        {
            "part": part[rows],
            "row": whole["row"].to_numpy()[rows],
            "discipline": pa.array([names[number] for number in taken[chosen]], pa.string()),
            "rank": np.arange(len(chosen)),
        }
    )
    return table, dict(sorted(short.items()))


def cut(text: str, key: int, most: int) -> str:
    """A passage of at most ``most`` characters: whole paragraphs from one that ``key`` picks, else a cut of one."""
    if len(text) <= most:
        return text.strip()
    paragraphs = [line.strip() for line in text.split("\n") if line.strip()]
    left, starts = 0, []
    for number in range(len(paragraphs) - 1, -1, -1):
        left += len(paragraphs[number]) + 1
        if left >= most or not number:  # what follows fills a passage
            starts.append(number)
    start = starts[key % len(starts)]
    passage = paragraphs[start][:most]
    for paragraph in paragraphs[start + 1 :]:
        if len(passage) + 1 + len(paragraph) > most:
            break
        passage += "\n" + paragraph
    return passage


def passage_rows(shard: CorpusShard, rows: Sequence[int], config: Config) -> list[dict[str, Any]]:
    """What a request needs of each of these rows, in their order: the passage, and where it is from."""
    table = shard.read(["doc_id", "url", "source", "dump", "licence", "language", "text"], kept=False)
    picked = table.take(pa.array(rows, pa.int64()))
    keys = row_keys("passage", shard.sha256, np.asarray(rows, np.int64)).tolist()
    found = []
    for key, record in zip(keys, picked.to_pylist(), strict=True):
        text = record.pop("text")
        found.append({**record, "shard": shard.sha256, "passage": cut(text, key, config.passage_characters)})
    return found
