"""What each stage was trained on: documents and tokens of every data set, and their licences."""

from __future__ import annotations

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.parts import PartWriter

TRAIN = "train"  # of pack's sets the one that is trained on; the others are held out


class Amount(NamedTuple):
    """A data set in a stage: different documents, and tokens of its windows, repeats included."""

    stage: int
    name: str
    documents: int
    tokens: int


def count_tokens(task: dict[str, Any], part: PartWriter) -> list[Amount]:
    """Documents and tokens by data set of the stage that ``task`` names, from the segments of its token files.

    Memory: about 30 bytes per document of the stage's plan, and one segment table.
    """
    tokens = stage_of(part.inputs["train"], task["stage"]).input("tokens")
    mix = tokens.input("mix")
    numbers = {entry.meta["number"]: entry.meta["shard"] for entry in mix.files("rows")}
    plans = [entry for entry in mix.files("plan") if entry.meta["stage"] == task["stage"]]
    plan = pa.concat_tables(mix.read_table(entry, ["shard", "row", "set"]) for entry in plans)
    plan = plan.group_by(["shard", "row", "set"], use_threads=False).aggregate([])
    shards = pa.array([numbers[number] for number in sorted(numbers)])
    places = {number: place for place, number in enumerate(sorted(numbers))}
    found: list[pa.Table] = []
    for entry in tokens.files("segments"):
        if entry.meta["set"] != TRAIN:
            continue
        table = tokens.read_table(entry, ["shard", "row", "start", "end"])
        here = pa.table(
            {
                "shard": pc.index_in(table["shard"], shards).cast(pa.int32()),
                "row": table["row"].cast(pa.int64()),
                "tokens": pc.subtract(table["end"], table["start"]).cast(pa.int64()),
            }
        )
        found.append(here.group_by(["shard", "row"], use_threads=False).aggregate([("tokens", "sum")]))
    used = (
        pa.concat_tables(found)
        .group_by(["shard", "row"], use_threads=False)
        .aggregate([("tokens_sum", "sum")])
    )
    place = pa.array([places[number] for number in plan["shard"].to_pylist()], pa.int32())
    keyed = pa.table(
        {"shard": place, "row": plan["row"].cast(pa.int64()), "set": plan["set"].cast(pa.string())}
    )
    joined = used.join(keyed, ["shard", "row"], join_type="left outer", use_threads=False)
    summed = joined.group_by("set", use_threads=False).aggregate(
        [("tokens_sum_sum", "sum"), ([], "count_all")]
    )
    rows = sorted(summed.to_pylist(), key=lambda row: row["set"] or "")
    return [
        Amount(task["stage"], row["set"] or "unknown", row["count_all"], row["tokens_sum_sum_sum"])
        for row in rows
    ]


def licences(task: dict[str, Any], part: PartWriter) -> list[list[str]]:
    """(source, licence) pairs in one shard of a corpus behind the mix."""
    mix = stage_of(part.inputs["train"], task["stage"]).input("tokens").input("mix")
    shard = Corpus.open(mix.input(task["input"])).shards[task["shard"]]
    table = shard.read(["source", "licence"])
    pairs = table.group_by(["source", "licence"], use_threads=False).aggregate([])
    return sorted([row["source"] or "", row["licence"] or ""] for row in pairs.to_pylist())


def licence_tasks(mix: Artifact, stage: int) -> list[dict[str, Any]]:
    """One task for `licences` per shard of every corpus that the mix read."""
    names = [name for name in mix.input_names() if name == "supervised" or name.startswith("corpora.")]
    return [
        {"input": name, "shard": shard.index, "stage": stage}
        for name in names
        for shard in Corpus.open(mix.input(name)).shards
    ]


def stage_of(train: Artifact, number: int) -> Artifact:
    """The training stage of that number behind (or at) the last one."""
    while train.facts["stage"] != number:
        train = train.input("previous")
    return train
