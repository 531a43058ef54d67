"""The data_attributes step: one part per training run, then one table."""

from __future__ import annotations

import csv
import io
import json
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.parts import PartWriter
from steps.core.step import Input, Step, StepContext
from steps.data_attributes.config import Config
from steps.data_attributes.embed import Embed, mean_vector, open_embedder, similarity
from steps.data_attributes.labels import attributes

HELD_OUT = 1  # bit 0 of mix's row lists
COLUMNS = ("run", "set", "coherence", "readability", "similarity", "tokens", "loss")


def run(ctx: StepContext) -> None:
    """Measure every run, and write `measurements.csv`."""
    names = sorted(ctx.input_list("runs"))
    if not names:
        raise DataError("data_attributes needs training runs: --input runs.<name>=<train artifact>")
    parts = ctx.map("measure", measure, [{"run": name} for name in names], unit="runs")
    rows = [row for part in parts for row in part.result["rows"]]
    ctx.part("table", write_table, {"rows": rows})
    ctx.set("runs", {name: part.result["attributes"] for name, part in zip(names, parts, strict=True)})
    ctx.set("embedder", ctx.config.embedder)


def write_table(task: dict[str, Any], part: PartWriter) -> None:
    """The rows of all runs as CSV, as `tokenmill scaling-law --law data_centric` reads it."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(task["rows"])
    part.put_bytes("measurements.csv", text.getvalue().encode(), "measurements")


def measure(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Attributes of one run's data and its held-out losses over the tokens that it was trained on."""
    config: Config = part.config
    train = part.input_list("runs")[task["run"]]
    if train.step != "train":
        raise DataError(f"{train.reference.uri} was made by {train.step}, not by train")
    mix = train.input("tokens").input("mix")
    plan = chosen(mix, train.facts["stage"], config.pieces)
    coherence, readability = weighted(mix, plan)
    embed = _embedder(config.embedder)
    own = mean_vector(embed, texts(mix, plan.select(["shard", "row"]), config.characters))
    record = json.loads(train.read_bytes(train.file("record.json")))
    measured = sorted({entry["set"] for entry in record["heldout"]})
    if missing := sorted(set(config.sets) - set(measured)):
        raise DataError(
            f"{train.reference.uri} measured no {', '.join(missing)} (it has {', '.join(measured)})"
        )
    alike = {name: round(near(mix, name, own, embed, config), 6) for name in config.sets or measured}
    about = {"coherence": round(coherence, 6), "readability": round(readability, 6)}
    rows = [
        {"run": task["run"], "set": entry["set"], **about, "similarity": alike[entry["set"]]}
        | {"tokens": entry["tokens"], "loss": entry["loss"]}
        for entry in record["heldout"]
        if entry["set"] in alike
    ]
    return {"rows": rows, "attributes": {**about, "similarity": alike}}


@lru_cache(maxsize=1)
def _embedder(name: str) -> Embed:
    return open_embedder(name)


def chosen(mix: Artifact, stage: int, pieces: int) -> pa.Table:
    """The first documents of a stage's plan, which is in random order: shard, row, bytes, input."""
    entries = [entry for entry in mix.files("plan") if entry.meta["stage"] == stage]
    plan = pa.concat_tables([mix.read_table(e, ["shard", "row", "bytes"]) for e in entries]).slice(0, pieces)
    inputs = {entry.meta["number"]: entry.meta["input"] for entry in mix.files("rows")}
    return plan.append_column(
        "input", pa.array([inputs[number] for number in plan["shard"].to_pylist()], pa.string())
    )


def weighted(mix: Artifact, plan: pa.Table) -> tuple[float, float]:
    """Coherence and readability of the corpora behind a plan, weighted by their bytes in it.

    Raises DataError where some of it comes from a set that nobody reviewed.
    """
    sizes = (
        plan.group_by("input", use_threads=False).aggregate([("bytes", "sum")]).sort_by("input").to_pylist()
    )
    if unread := [row["input"] for row in sizes if not row["input"].startswith("corpora.")]:
        raise DataError(
            f"{mix.reference.uri}: the stage takes documents of {', '.join(unread)}, which no one has reviewed; "
            "the law needs a run on gated corpora alone, or such a set published through a gate"
        )
    figures = np.array([attributes(mix.input(row["input"]))[:2] for row in sizes])
    weights = np.array([row["bytes_sum"] for row in sizes], float)
    coherence, readability = (weights @ figures / weights.sum()).tolist()
    return coherence, readability


def near(mix: Artifact, name: str, own: np.ndarray, embed: Embed, config: Config) -> float:
    """Similarity of a held-out set to what was trained on."""
    found = []
    for entry in mix.files("rows"):
        listed = mix.read_table(entry, ["row", "stages", "group"])
        held = (listed["stages"].to_numpy() & HELD_OUT) > 0
        mine = held & np.array([(group or "unknown") == name for group in listed["group"].to_pylist()], bool)
        rows = listed["row"].filter(pa.array(mine))
        found.append(pa.table({"shard": pa.array(np.full(len(rows), entry.meta["number"])), "row": rows}))
    return similarity(own, mean_vector(embed, texts(mix, pa.concat_tables(found), config.characters)))


def texts(mix: Artifact, places: pa.Table, characters: int) -> list[str]:
    """The beginnings of the documents at (shard, row), shard by shard."""
    lists = {entry.meta["number"]: entry.meta for entry in mix.files("rows")}
    corpora = {
        name: Corpus.open(mix.input(name)) for name in sorted({meta["input"] for meta in lists.values()})
    }
    shards, rows = places["shard"].to_numpy(), places["row"].to_numpy()
    found: list[str] = []
    for number in np.unique(shards).tolist():
        meta = lists[number]
        shard = corpora[meta["input"]].shards[meta["index"]]
        table = shard.read(["text"], kept=False).take(pa.array(rows[shards == number]))
        found += [text[:characters] for text in table["text"].to_pylist()]
    return found


STEP = Step(
    name="data_attributes",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("runs", many=True),),
    libraries=("xxhash", "wordllama"),
)
