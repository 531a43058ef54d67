"""What pack holds does not grow with the stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.speed.corpora import run_process, step_command
from steps.core.config import Runtime
from steps.core.step import run_step
from tests.steps.training import SCRATCH, make_texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SHARE, MEGABYTES = 1.1, 24  # as in tests/steps/test_memory.py
SETS: dict[str, Any] = {
    f"sets/{task}": {"stage": 1, "ungated": "test records of our own"} for task in ("qa", "math")
}


def inputs_of(root: Path, shards: int) -> dict[str, str]:
    """A mix of records in so many shards of 2,000, and a model for it."""
    texts = make_texts(root, kind="supervised", documents=2000 * shards, shards=shards)
    place, runtime = f"file://{root}", Runtime(workers=1)
    settings = {"supervised": SETS, "heldout_documents": 20, "plan_rows": 3000}
    mix = run_step("mix", config=settings, inputs={"supervised": texts.ref}, root=place, runtime=runtime)
    shape = {"from_scratch": SCRATCH, "characters": 30, "tokenizer_bytes": 50_000}
    model = run_step("initialize", config=shape, inputs={"mix": mix.ref}, root=place, runtime=runtime)
    return {"mix": mix.ref, "model": model.ref}


def test_twenty_times_the_stage_takes_no_more_memory(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("{sequence_length: 64, block_bytes: 200000}\n")
    peaks: list[float] = []
    for shards in (2, 2, 40):  # the first one compiles what no other test did
        root = tmp_path / str(len(peaks))
        command = step_command("pack", root, inputs_of(root, shards), settings)
        cost = run_process(command, {"TOKENMILL_WORKERS": "1", "STEP_MANIFEST": str(root / "result.json")})
        peaks.append(cost.memory / 1e6)
    assert peaks[2] <= SHARE * peaks[1] + MEGABYTES, f"MB of memory: {peaks[1:]}"
    found = list((tmp_path / "2" / "pack").glob("*/parts/write-*.json"))
    assert len(found) > 40  # blocks
