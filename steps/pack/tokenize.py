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
            texts = render(table.slice(at, BATCH), listed["set"].slice(at, BATCH), templates)
            for ids in processor.encode_as_numpy(texts.to_pylist()):
                file.write(np.append(ids, processor.eos_id()).astype(dtype).tobytes())
                lengths.append(len(ids) + 1)
    number = entry.meta["number"]
    tokens = part.put_file(f"tokenized/{number:05d}.bin", path, "tokenized", temporary=True)
    found = listed.select(["row", "stages", "set", "group", "task", "key"])
    found = found.append_column("length", pa.array(lengths, pa.int64()))
    part.put_table(f"tokenized/{number:05d}.parquet", found, "lengths", temporary=True)
    return {"documents": len(lengths), "bytes": tokens.bytes}


def render(table: pa.Table, sets: pa.ChunkedArray, templates: dict[str, Any]) -> pa.ChunkedArray:
    """The text of each document: as it is, or prompt and response in the template of its data set and language."""
    text = table["text"]
    if "prompt" not in table.column_names:
        return text
    prompt, response = (pc.fill_null(table[name], "") for name in ("prompt", "response"))
    chinese = pc.or_kleene(
        pc.equal(pc.fill_null(table["language"], ""), "zh"),
        # where no language was declared, Chinese characters in the prompt tell
        pc.and_(
            pc.equal(pc.fill_null(table["language"], ""), ""), pc.match_substring_regex(prompt, r"\p{Han}")
        ),
    )
    for name in pc.unique(sets).to_pylist():
        if not templates.get(name):
            continue
        for language, mask in (("zh", chinese), ("en", pc.invert(chinese))):
            before, between = templates[name][language]
            written = pc.binary_join_element_wise(before, prompt, between, response, "")
            text = pc.if_else(pc.and_(pc.equal(sets, name), mask), written, text)
    return text
