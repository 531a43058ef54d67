"""What of a container's log is held while it is read."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from plugins.step_command import MAX_LINE
from plugins.step_operator import StepOperator

STAMP = b"2026-11-21T03:00:00.000000001Z "


def test_a_line_without_end_is_cut_and_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    def logs(container: str, **options: Any) -> Iterator[bytes]:
        yield STAMP + b"first\n" + STAMP
        for _ in range(2000):  # the engine cuts lines at 16 KiB
            yield b"x" * 16384
        yield b"\n" + STAMP + b"last\n"

    monkeypatch.setattr(StepOperator, "cli", SimpleNamespace(logs=logs))
    spec = {"dag": "data_factory", "section": "filter", "step": "filter"}
    operator = StepOperator(task_id="filter", spec=spec, image="factory")
    tracemalloc.start()
    lines = [line for _, line in operator._stamped_lines("c", "")]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [lines[0], lines[2]] == ["first", "last"]
    assert len(lines) == 3 and MAX_LINE <= len(lines[1]) <= MAX_LINE + 40 and set(lines[1]) == {"x"}
    assert peak < 1 << 20
