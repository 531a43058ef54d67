"""Cutting a plan into blocks, gathering tokens, and noticing damaged ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.core.errors import DataError
from steps.core.store import open_store
from steps.pack.blocks import DOCUMENT_BYTES, append, cut, groups, read_ranges
from steps.pack.fit import gather

SIZES = st.lists(st.integers(0, 500), min_size=1, max_size=80).map(lambda v: np.array(v, np.int64))


@given(SIZES, st.integers(1, 4000))
@settings(deadline=None)
def test_a_block_ends_with_the_document_that_reaches_another_limit(sizes: np.ndarray, limit: int) -> None:
    blocks: list[list[int]] = []
    before, reached = 0, 0
    for document, size in enumerate(sizes.tolist()):
        if not blocks or before // limit > reached:
            blocks.append([])
        reached = before // limit
        blocks[-1].append(document)
        before += size + DOCUMENT_BYTES
    assert cut(sizes, limit).tolist() == [block[0] for block in blocks]
    for block in blocks:  # all but its last document fit into the limit
        assert sum(sizes[document] + DOCUMENT_BYTES for document in block[:-1]) < limit


@given(st.integers(1, 3000))
def test_groups_hold_every_shard_once_and_are_not_too_many(shards: int) -> None:
    found = groups(shards)
    assert [shard for group in found for shard in group] == list(range(shards)) and len(found) <= 512
    assert len(found) == shards or shards > 512


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9)), max_size=40))
@settings(deadline=None)
def test_gathered_tokens_are_the_slices_one_after_the_other(slices: list[tuple[int, int]]) -> None:
    tokens = np.arange(100, dtype=np.uint16)
    start, length = (np.array([s[i] for s in slices], np.int64) for i in (0, 1))
    out = np.empty(int(length.sum()), np.uint16)
    gather(tokens, start, length, out)
    assert out.tolist() == [t for s, n in slices for t in range(s, s + n)]


def test_a_damaged_range_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    with path.open("wb") as file:
        ranges = [append(file, np.arange(n, dtype=np.int32)) | {"object": "file.bin"} for n in (3, 0, 5)]
    store = open_store(tmp_path.parent.as_uri())
    assert read_ranges(store, tmp_path.name, ranges, np.int32).tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    data = bytearray(path.read_bytes())
    data[13] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"bytes 12 to 32 of .*file\.bin are corrupt"):
        read_ranges(store, tmp_path.name, ranges, np.int32)
