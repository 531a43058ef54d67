"""The memory of a container is its limit, where that is below the machine's."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from steps.core import memory


@pytest.mark.parametrize(
    ("limit", "found"), [("1000000\n", 1_000_000), ("max\n", None), (str(1 << 60), None), (None, None)]
)
def test_the_smaller_of_container_and_machine_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, found: int | None
) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "memory.max")
    assert memory.host_memory() == (found or psutil.virtual_memory().total)
