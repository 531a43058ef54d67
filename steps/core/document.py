"""The schema of documents (DESIGN.md) and their identifiers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from steps.core.errors import DataError

ORIGIN = pa.struct([("shard", pa.string()), ("row", pa.int64())])
SCHEMA = pa.schema(
    [
        ("doc_id", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("dump", pa.string()),
        ("fetched_at", pa.string()),
        ("licence", pa.string()),
        ("language", pa.string()),
        ("text", pa.string()),
        ("metadata", pa.string()),
        ("origin", ORIGIN),
    ],
    metadata={"tokenmill.schema": "1"},
)
SUPERVISED_FIELDS = [("prompt", pa.string()), ("response", pa.string()), ("task", pa.string())]
SUPERVISED_SCHEMA = pa.schema(
    [*SCHEMA, *(pa.field(*field) for field in SUPERVISED_FIELDS)], metadata=SCHEMA.metadata
)
PAIR = ("prompt", "response")
DIGEST_BYTES = 32


def doc_id(url: str, raw_text: str) -> str:
    """The identifier of a document for people and takedowns: xxh3-128 (hex) over URL and raw text.

    It may repeat in a corpus; (shard, row) is the address of a row.
    """
    return xxhash.xxh3_128_hexdigest(url.encode() + b"\n" + raw_text.encode("utf-8", "surrogatepass"))


def is_supervised(names: Iterable[str]) -> bool:
    """Whether documents with these columns have prompt and response beside their text."""
    return PAIR[0] in names


def joined(prompts: pa.ChunkedArray | pa.Array, responses: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """The texts that prompts and responses stand for: what is judged, and what a verdict is bound to."""
    return pc.binary_join_element_wise(prompts, responses, "\n")


def check_pairs(table: pa.Table) -> None:
    """Raise DataError unless the text of every document is its prompt and response, where it has them.

    Training reads those, and everything before it looks at the text: one that differs would get past masks and rules.
    """
    if not is_supervised(table.column_names):
        return
    same = pc.fill_null(pc.equal(joined(*(table[name] for name in PAIR)), table["text"]), False)
    if not pc.all(same, min_count=0).as_py():
        row = pc.index(same, False).as_py()
        raise DataError(
            f"the text of document {table['doc_id'][row].as_py()} (row {row}) is not its prompt and response on lines "
            "of their own; ingest and preprocess its set again"
        )


def text_digests(texts: Iterable[str]) -> np.ndarray:
    """sha256 of each text's UTF-8 bytes, as an (n, 32) uint8 array."""
    digests = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(digests, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def text_bytes(texts: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """The UTF-8 length of each text, as an int64 array; 0 for a missing one."""
    return pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
