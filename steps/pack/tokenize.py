"""Tokens of a group of shards: each shard is read once, and the tokens are written in the order of the blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steps.core.corpus import Corpus
from steps.core.document import PAIR
from steps.core.parts import PartWriter, open_artifact
from steps.pack.blocks import ENTRY, HELD_OUT_SETS, ROUTE, TRAIN, append, read_ranges
from steps.pack.fit import gather
from steps.pack.indexed import token_dtype
from steps.text.encoder import Encode, open_encoder

HELD_OUT = 1  # bit 0 of mix's row lists; bit s is stage s
BATCH = 512
ROW_BITS = 40


def tokenize(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """Encode what the stage takes of one group of shards, and its held-out documents.

    Writes the tokens and one `ENTRY` per document, ordered by block and place; returns the range of each block.
    """
    dtype = np.dtype(token_dtype(part.inputs["model"].facts["vocabulary"]))
    raw = part.scratch / "raw.bin"
    with raw.open("wb") as file:
        tables = [encode_shard(key, part, dtype, file) for key in task["lists"]]
    documents = pa.concat_tables(tables).combine_chunks()
    shard, row, length = (documents[name].to_numpy() for name in ("shard", "row", "length"))
    starts = np.cumsum(length) - length
    # "c", not "r": a kernel is compiled again for arrays that cannot be written to
    tokens = np.asarray(np.memmap(raw, dtype, "c")) if raw.stat().st_size else np.zeros(0, dtype)
    ranges: list[dict[str, Any]] = []
    paths = part.scratch / "tokens.bin", part.scratch / "entries.bin"
    with paths[0].open("wb") as token_file, paths[1].open("wb") as entry_file:
        for where, chosen, keys in [*routed(task, part, shard, row), *held_out(documents)]:
            entries = np.empty(len(chosen), ENTRY)
            entries["key"], entries["shard"] = keys, shard[chosen]
            entries["row"], entries["length"] = row[chosen], length[chosen]
            piece = np.empty(int(length[chosen].sum()), dtype)
            gather(tokens, starts[chosen], length[chosen], piece)
            ranges.append(
                where | {"tokens": append(token_file, piece), "entries": append(entry_file, entries)}
            )
    number = task["number"]
    for name, path in zip(("tokens", "entries"), paths, strict=True):
        part.put_file(f"tokenized/{number:05d}.{name}", path, name, temporary=True)
    return {"documents": documents.num_rows, "tokens": int(length.sum()), "ranges": ranges}


@lru_cache(maxsize=8)
def corpus_of(mix: str, name: str) -> Corpus:
    """A corpus that the mix was made from, opened once per process."""
    return Corpus.open(open_artifact(mix).input(name))


def encode_shard(key: str, part: PartWriter, dtype: np.dtype[Any], file: BinaryIO) -> pa.Table:
    """Append the tokens of one shard's documents to ``file``; <eos> ends each. Returns the documents with lengths."""
    mix, model = part.inputs["mix"], part.inputs["model"]
    entry = mix.file(key)
    listed = mix.read_table(entry)
    bits = listed["stages"].to_numpy()
    listed = listed.filter(pa.array((bits & (HELD_OUT | 1 << part.config.stage)) > 0))
    lengths = [np.zeros(0, np.int64)]
    if listed.num_rows:
        shard = corpus_of(mix.ref, entry.meta["input"]).shards[entry.meta["index"]]
        table = shard.read(["language", "text", *PAIR], kept=False).take(listed["row"])
        templates = json.loads(mix.read_bytes(mix.file("templates.json")))
        encode = open_encoder(model.ref)
        for at in range(0, listed.num_rows, BATCH):
            texts = render(table.slice(at, BATCH), listed.slice(at, BATCH), templates)
            lengths.append(encode_texts(encode, texts, dtype, file))
    found = listed.select(["row", "stages", "group", "task", "key"])
    found = found.append_column("length", pa.array(np.concatenate(lengths)))
    return found.append_column("shard", pa.array(np.full(listed.num_rows, entry.meta["number"], np.int32)))


def encode_texts(encode: Encode, texts: pa.ChunkedArray, dtype: Any, file: BinaryIO) -> np.ndarray:
    """Append the tokens of some texts to ``file``; returns how many each has."""
    tokens, counts = encode(texts.to_pylist())
    file.write(tokens.astype(dtype).data)
    return counts


def routed(
    task: dict[str, Any], part: PartWriter, shard: np.ndarray, row: np.ndarray
) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """(block, indices of its documents in the order of the plan, their places), block after block.

    ``shard`` and ``row`` are those of the group's documents, ascending.
    """
    address = shard.astype(np.int64) << ROW_BITS | row
    for plan, where in enumerate(task["routes"]):
        wanted = read_ranges(part.store, task["folder"], [where], ROUTE)
        wanted = wanted[np.lexsort((wanted["place"], wanted["block"]))]
        chosen = np.searchsorted(address, wanted["shard"].astype(np.int64) << ROW_BITS | wanted["row"])
        first = np.flatnonzero(np.diff(wanted["block"], prepend=-1))
        for start, stop in pairwise([*first.tolist(), len(wanted)]):
            block = {"set": TRAIN, "plan": plan, "block": int(wanted["block"][start]), "task": ""}
            yield block, chosen[start:stop], wanted["place"][start:stop]


def held_out(documents: pa.Table) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    """The same for held-out documents: each language or task is one block, in the order of its keys."""
    held = np.flatnonzero(documents["stages"].to_numpy() & HELD_OUT)
    group, key = documents["group"].take(pa.array(held)), documents["key"].to_numpy()[held]
    for name in sorted(pc.unique(group).to_pylist()):
        mine = np.flatnonzero(pc.equal(group, name).to_numpy(zero_copy_only=False))
        mine = mine[np.argsort(key[mine], kind="stable")]
        task = documents["task"][int(held[mine[0]])].as_py()
        block = {"set": f"{HELD_OUT_SETS}{name or 'unknown'}", "plan": 0, "block": 0, "task": task}
        yield block, held[mine], key[mine]


def render(table: pa.Table, listed: pa.Table, templates: dict[str, Any]) -> pa.ChunkedArray:
    """The text of each document as its data set's template has it; ``listed`` has its set and, for code, its tag.

    A template is a fence around code, or what stands before prompt and response by language; without one, the text
    stays as it is.
    """
    text, sets = table["text"], listed["set"]
    for name in pc.unique(sets).to_pylist():
        template = templates.get(name)
        if not template:
            continue
        written = (
            fenced(text, listed["tag"], template["fence"])
            if "fence" in template
            else prompted(table, template)
        )
        text = pc.if_else(pc.equal(sets, name), written, text)
    return text


def fenced(text: pa.ChunkedArray, tags: pa.ChunkedArray, fence: str) -> pa.ChunkedArray:
    """Each text between Markdown fences, the first with its tag; longer than its runs of ticks (CommonMark §4.5)."""
    runs = re.compile(f"{fence}+")
    inside = pc.fill_null(pc.match_substring(text, fence), False).combine_chunks()
    longer = [max(map(len, runs.findall(held))) + 1 for held in text.filter(inside).to_pylist()]
    ticks = pa.array([fence[0] * length for length in longer], pa.string())
    marks = pc.replace_with_mask(pa.repeat(fence, len(text)), inside, ticks)
    body = pc.binary_join_element_wise(marks, tags, "")
    end = pc.if_else(pc.ends_with(text, "\n"), "", "\n")
    return pc.binary_join_element_wise(body, "\n", text, end, marks, "")


def prompted(table: pa.Table, template: dict[str, Any]) -> pa.ChunkedArray:
    """Prompt and response of each record in the template's wording for its language."""
    prompt, response = (pc.fill_null(table[name], "") for name in ("prompt", "response"))
    language = pc.fill_null(table["language"], "")
    # where no language was declared, Chinese characters in the prompt tell
    undeclared = pc.and_(pc.equal(language, ""), pc.match_substring_regex(prompt, r"\p{Han}"))
    chinese = pc.or_(pc.equal(language, "zh"), undeclared)
    before, between = (pc.if_else(chinese, template["zh"][i], template["en"][i]) for i in (0, 1))
    return pc.binary_join_element_wise(before, prompt, between, response, "")
