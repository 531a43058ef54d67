"""The curriculum step: read the documents of a language with the model, and write the stages' plans in a new order."""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.approval import verify_training
from steps.core.artifact import Artifact, Files
from steps.core.corpus import Corpus
from steps.core.errors import DataError
from steps.core.manifest import FileEntry
from steps.core.parts import PartWriter, open_artifact
from steps.core.step import Input, Step, StepContext
from steps.curriculum.config import Config
from steps.curriculum.needs import forecast
from steps.curriculum.order import ascending
from steps.text.encoder import open_encoder

HELD_OUT = 1  # bit 0 of mix's row lists; bit s is stage s
PLAN = "plan"


def run(ctx: StepContext) -> None:
    """Score shard by shard in this process, which holds the model; then order each stage that has such documents."""
    config: Config = ctx.config
    mix, model = ctx.inputs["mix"], ctx.inputs["model"]
    verify_training(mix)
    if model.input("mix").digest != mix.digest:
        raise DataError(f"{model.reference.uri} was initialized from another mix than {mix.reference.uri}")
    ctx.set("languages", sorted(config.languages))
    if not config.languages:
        ctx.log.info("curriculum: the recipe orders no language; the order of the mix stays")
        return
    lists = sorted(mix.files("rows"), key=lambda entry: entry.meta["number"])
    scored = [
        ctx.part("score", score, {"rows": entry.key}, number=number) for number, entry in enumerate(lists)
    ]
    scores = [part.temporary[0].model_dump() for part in scored]
    stages = sorted({entry.meta["stage"] for entry in mix.files(PLAN)})
    done = ctx.map(
        "order",
        order,
        [{"stage": stage, "scores": scores, "folder": ctx.folder} for stage in stages],
        unit="stages",
    )
    found = {
        str(stage): part.result for stage, part in zip(stages, done, strict=True) if part.result["ordered"]
    }
    if not found:
        raise DataError(
            f"curriculum.languages: the mix plans no plain document in {', '.join(config.languages)} for any stage"
        )
    ctx.set("stages", found)


def score(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Mean loss, rounded, of the planned documents in the languages of one shard: row and loss."""
    mix, model, config = part.inputs["mix"], part.inputs["model"], part.config
    entry = mix.file(task["rows"])
    listed = mix.read_table(entry, ["row", "stages", "task"])
    planned = pc.and_(pc.not_equal(listed["stages"], HELD_OUT), pc.equal(listed["task"], ""))
    rows = listed.filter(planned)["row"]
    shard = _corpus(mix.ref, entry.meta["input"]).shards[entry.meta["index"]]
    table = shard.read(["language", "text"], kept=False).take(rows).append_column("row", rows)
    table = table.filter(pc.is_in(table["language"], pa.array(config.languages)))
    losses = np.zeros(0)
    if table.num_rows:
        losses = read(table["text"].to_pylist(), model, part.scratch.parent, config)
    found = pa.table({"row": table["row"], "loss": pa.array(np.round(losses, config.decimals))})
    part.put_table(f"scores/{entry.meta['number']:05d}.parquet", found, "scores", temporary=True)
    return {"documents": table.num_rows}


def read(texts: list[str], model: Artifact, scratch: Path, config: Config) -> np.ndarray:
    """Nats per token of the texts' beginnings, float64[n]."""
    tokens, counts = open_encoder(model.ref)([text[: config.tokens * MOST_CHARACTERS] for text in texts])
    ends = np.cumsum(counts)
    positions = model.facts["max_positions"] - 1
    documents = [
        tokens[end - count : end - 1][: min(config.tokens, positions)]  # without <eos>
        for end, count in zip(ends.tolist(), counts.tolist(), strict=True)
    ]
    return _scorer(model.ref, scratch).losses(documents, config.batch_tokens)


# Of a token: a longer text is cut before it is encoded, so that a book costs no more than its beginning. LLaMA 3's
# longest pieces have 128 spaces; those of words are shorter than 64 characters.
MOST_CHARACTERS = 64


@lru_cache(maxsize=8)
def _corpus(mix: str, name: str) -> Corpus:
    return Corpus.open(open_artifact(mix).input(name))


@lru_cache(maxsize=1)
def _scorer(ref: str, scratch: Path) -> Any:
    from steps.curriculum.score import Scorer

    model = open_artifact(ref)
    first = json.loads(model.read_bytes(model.file("config.json"))).get("bos_token_id")
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        for kind in ("weights", "config", "index"):
            for entry in model.files(kind):
                model.fetch(entry, folder / "fetched").rename(folder / entry.key)
        return Scorer(folder, first)


def order(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Write one stage's plan in its new order, in as many files as the mix has. Memory: about 150 bytes a document."""
    mix, config = part.inputs["mix"], part.config
    entries = [entry for entry in mix.files(PLAN) if entry.meta["stage"] == task["stage"]]
    plan = pa.concat_tables([mix.read_table(entry) for entry in entries]).combine_chunks()
    wanted = pc.and_(
        pc.and_(pc.is_in(plan["language"], pa.array(config.languages)), pc.equal(plan["task"], "")),
        pc.invert(plan["replay"]),
    )
    ordered = wanted.to_numpy(zero_copy_only=False).astype(bool)
    if not ordered.any():
        return {"ordered": 0, "documents": plan.num_rows}
    loss = np.zeros(plan.num_rows)
    shard, row = plan["shard"].to_numpy(), plan["row"].to_numpy()
    files = Files(part.store, task["folder"])
    for number, score in enumerate(task["scores"]):
        mine = np.flatnonzero(ordered & (shard == number))
        if len(mine):
            table = files.read_table(FileEntry.model_validate(score)).sort_by("row")
            loss[mine] = table["loss"].to_numpy()[np.searchsorted(table["row"].to_numpy(), row[mine])]
    turn = ascending(loss, plan["pass"].to_numpy(), ordered, plan["bytes"].to_numpy())
    moved = plan.take(pa.array(turn)).set_column(
        plan.column_names.index("order"), "order", pa.array(np.arange(plan.num_rows, dtype=np.int64))
    )
    moved = moved.append_column("loss", pa.array(np.where(ordered, loss, np.nan)[turn]))
    start = 0
    for entry in entries:
        part.put_table(entry.key, moved.slice(start, entry.rows), PLAN, stage=task["stage"])
        start += entry.rows or 0
    return {"ordered": int(ordered.sum()), "documents": plan.num_rows}


STEP = Step(
    name="curriculum",
    version=1,
    config=Config,
    run=run,
    inputs=(Input("mix"), Input("model")),
    libraries=("sentencepiece", "tokenizers", "torch", "transformers"),
    determinism="recorded",  # sums on another machine may differ in the last decimal that counts
    forecast=forecast,
)
