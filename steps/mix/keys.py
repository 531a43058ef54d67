"""Seeded keys of rows: what order and what selection follow from. Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import xxhash


def row_keys(shard: str, rows: np.ndarray, seed: int) -> np.ndarray:
    """xxh3-64 of (seed, shard sha256, row), one uint64 per row number."""
    stem = bytes.fromhex(shard)
    packed = np.ascontiguousarray(rows, "<i8").tobytes()
    digest = xxhash.xxh3_64_intdigest
    keys = (digest(stem + packed[at : at + 8], seed) for at in range(0, len(packed), 8))
    return np.fromiter(keys, np.uint64, len(rows))


def text_keys(texts: pa.ChunkedArray, seed: int) -> np.ndarray:
    """xxh3-64 of each text's UTF-8 bytes: equal texts have equal keys, wherever they stand."""
    array = (
        pa.concat_arrays(texts.cast(pa.large_binary()).chunks)
        if texts.num_chunks
        else pa.array([], pa.large_binary())
    )
    bounds = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    data = memoryview(array.buffers()[2] or b"")
    digest = xxhash.xxh3_64_intdigest
    keys = (digest(data[bounds[i] : bounds[i + 1]], seed) for i in range(len(array)))
    return np.fromiter(keys, np.uint64, len(array))


def derive(keys: np.ndarray, salt: int | np.ndarray) -> np.ndarray:
    """Independent keys for another use: the splitmix64 finaliser of key + salt × golden ratio (Steele et al., 2014).

    ``salt`` is one number from 0, or one per key.
    """
    with np.errstate(over="ignore"):
        z = keys + (np.asarray(salt).astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
