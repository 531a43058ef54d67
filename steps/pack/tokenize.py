"""Tokens of one shard's documents, each shard read once: later phases pick documents from the token files."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sentencepiece

from steps.core.corpus import Corpus
from steps.core.parts import PartWriter
from steps.pack.indexed import token_dtype

HELD_OUT = 1  # bit 0 of mix's row lists; bit s is stage s
BATCH = 512
LONGEST_FENCE = 8


@lru_cache(maxsize=2)
def _processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def tokenize(task: dict[str, Any], part: PartWriter) -> dict[str, int]:
    """Encode the stage's and the held-out documents of one shard; <eos> ends each."""
    mix, model = part.inputs["mix"], part.inputs["model"]
    entry = mix.file(task["rows"])
    listed = mix.read_table(entry)
    bits = listed["stages"].to_numpy()
    listed = listed.filter(pa.array((bits & (HELD_OUT | 1 << part.config.stage)) > 0))
    shard = Corpus.open(mix.input(entry.meta["input"])).shards[entry.meta["index"]]
    columns = ["language", "text", *(("prompt", "response") if entry.meta["input"] == "supervised" else ())]
    table = shard.read(columns, kept=False).take(listed["row"]) if listed.num_rows else None
    templates = json.loads(mix.read_bytes(mix.file("templates.json")))
    processor = _processor(model.read_bytes(model.file("tokenizer.model")))
    dtype = token_dtype(model.facts["vocabulary"])
    path = part.scratch / "tokens.bin"
    lengths: list[int] = []
    with path.open("wb") as file:
        for at in range(0, listed.num_rows, BATCH):
            assert table is not None
            texts = render(table.slice(at, BATCH), listed.slice(at, BATCH), templates)
            for ids in processor.encode_as_numpy(texts.to_pylist()):
                file.write(np.append(ids, processor.eos_id()).astype(dtype).tobytes())
                lengths.append(len(ids) + 1)
    number = entry.meta["number"]
    tokens = part.put_file(f"tokenized/{number:05d}.bin", path, "tokenized", temporary=True)
    found = listed.select(["row", "stages", "set", "group", "task", "key"])
    found = found.append_column("length", pa.array(lengths, pa.int64()))
    part.put_table(f"tokenized/{number:05d}.parquet", found, "lengths", temporary=True)
    return {"documents": len(lengths), "bytes": tokens.bytes}


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
    """Each text between Markdown fences, the first with its tag; longer ones (CommonMark §4.5) where it has some."""
    marks = pc.if_else(pc.is_valid(text), fence, fence)
    for longer in range(LONGEST_FENCE - len(fence)):
        inner = fence + fence[0] * longer
        marks = pc.if_else(pc.match_substring(text, inner), inner + fence[0], marks)
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
