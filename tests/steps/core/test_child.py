"""Children that handle foreign input."""

from __future__ import annotations

import subprocess
import sys

import pytest

from steps.core.child import end


def test_a_child_that_died_before_it_read_everything_is_ended_without_an_error() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.wait()
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("a request")
    with pytest.raises(BrokenPipeError):
        child.stdin.flush()
    end(child)
    assert child.stdin.closed and child.stdout.closed and child.returncode == 0


def test_a_child_that_works_on_is_killed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    end(child)
    assert child.returncode == -9
