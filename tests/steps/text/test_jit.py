"""Compiled kernels are kept soundly: for every CPU, from a folder that need not be written to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steps.text import jit, segment
from steps.text.jit import njit

ROOT = Path(__file__).parents[3]
HELPER = """
from steps.text.jit import njit
STEP = {step}

@njit(inline="always")
def helper(x):
    return x + STEP
"""
KERNEL = """
import json, sys
import numpy as np
from steps.text.jit import njit
from helper import helper

@njit
def outer(values):
    return below(values) + helper(values[0])

@njit
def below(values):
    return values.sum()

result = int(outer(np.array([1, 2, 3])))
stats = outer.stats
compiler = any(name.startswith("numba.np.polynomial") for name in sys.modules)
print(json.dumps([result, sum(stats.cache_hits.values()), sum(stats.cache_misses.values()), compiler]))
"""


def run(folder: Path, cache: Path, step: int) -> tuple[list[object], str]:
    """([result, loaded, compiled, whether the compiler was imported], what was logged) of a new process."""
    (folder / "helper.py").write_text(HELPER.format(step=step))
    (folder / "kernel.py").write_text(KERNEL)
    done = subprocess.run(
        [sys.executable, "-B", str(folder / "kernel.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def test_a_kernel_is_compiled_once_and_again_when_one_that_it_calls_in_another_module_changes(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "cache"
    assert run(tmp_path, cache, step=10)[0] == [17, 0, 1, True]
    files = {path: path.read_bytes() for path in cache.iterdir()}
    assert run(tmp_path, cache, step=10)[0] == [17, 1, 0, False]
    assert {path: path.read_bytes() for path in cache.iterdir()} == files
    assert run(tmp_path, cache, step=20)[0] == [27, 0, 1, True]
    assert run(tmp_path, cache, step=10)[0] == [17, 1, 0, False]


def test_a_folder_that_cannot_be_written_to_is_read_from_or_compiled_beside(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result, log = run(tmp_path, tmp_path / "file" / "cache", step=1)
    assert result == [8, 0, 1, True]
    assert "outer" in log and "cannot be written to" in log


def test_kernels_are_compiled_for_the_baseline_and_not_for_this_machine() -> None:
    _, cpu, features = segment._tokens.targetctx.codegen().magic_tuple()
    assert (cpu, features) == (jit.BASELINE, "")


def test_a_kernel_may_not_read_what_its_digest_cannot_see() -> None:
    outside = 3

    @njit
    def closes(x):
        return x + outside

    @njit
    def reads_module(x):
        return x + jit.BASELINE

    for kernel, reason in ((closes, "closes over"), (reads_module, "another module")):
        with pytest.raises(TypeError, match=reason):
            kernel(np.int64(1))
