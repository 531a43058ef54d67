"""Writes Megatron's indexed token files: ``.bin`` holds tokens, ``.idx`` the sequences in it.

Format of megatron.core.datasets.indexed_dataset, version 1; a test reads the files back with that module.
"""

from __future__ import annotations

import struct

import numpy as np

_HEADER = b"MMIDIDX\x00\x00"
_CODES = {"uint16": 8, "int32": 4}


def token_dtype(vocabulary: int) -> str:
    """uint16 where ids fit, else int32, as Megatron chooses."""
    return "uint16" if vocabulary < 65500 else "int32"


def index_bytes(lengths: np.ndarray, dtype: str) -> bytes:
    """The ``.idx`` of sequences of ``lengths`` tokens that lie one after the other, each a document of its own."""
    sizes = lengths.astype(np.int32)
    pointers = np.concatenate(([0], np.cumsum(lengths[:-1], dtype=np.int64))) * np.dtype(dtype).itemsize
    if not len(lengths):
        pointers = np.zeros(0, np.int64)
    documents = np.arange(len(lengths) + 1, dtype=np.int64)
    head = _HEADER + struct.pack("<QBQQ", 1, _CODES[dtype], len(lengths), len(documents))
    return head + sizes.tobytes() + pointers.astype(np.int64).tobytes() + documents.tobytes()
