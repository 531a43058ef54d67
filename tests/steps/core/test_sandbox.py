"""Programs that a model wrote run to their end or not at all, and reach nothing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.core.config import CodeLimits
from steps.core.errors import ConfigError
from steps.core.sandbox import require, run, run_all

LIMITS = CodeLimits(seconds=1)


def possible() -> bool:
    try:
        require()
    except ConfigError:
        return False
    return True


needs_sandbox = pytest.mark.skipif(not possible(), reason="this machine has no libseccomp2 or no Landlock")
pytestmark = needs_sandbox


def test_a_right_program_passes_with_all_that_computing_needs() -> None:
    assert (
        run(
            "import math, collections, heapq, hashlib, re, json, itertools, functools, decimal, datetime, random\n"
            "from typing import List\n"
            "assert math.gcd(4, 6) == 2 and hashlib.md5(b'x').hexdigest() and len([0] * 10**6) == 10**6\n",
            LIMITS,
        )
        == "passed"
    )


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("assert 1 == 2", "failed: AssertionError"),
        ("def (", "failed: SyntaxError"),
        ("def f(): f()\nf()", "failed: RecursionError"),
        ("import sys; sys.exit(0)", "failed: SystemExit"),
        ("import os; os._exit(0)", "failed: ended before its tests did"),
        ("import ctypes; ctypes.string_at(0)", "failed: killed by signal 11"),
        ("x = [0] * 10**12", "failed: MemoryError"),
        ("import os\nwhile True: os.fork()", "failed: PermissionError"),
        ("import threading; threading.Thread(target=print).start()", "failed: RuntimeError"),
        ("import subprocess; subprocess.run(['/bin/true'])", "failed: PermissionError"),
        ("import os; os.execv('/bin/true', ['true'])", "failed: PermissionError"),
        ("import os; os.kill(os.getppid(), 9)", "failed: PermissionError"),
        ("open('/etc/passwd')", "failed: PermissionError"),
        ("import os; os.listdir('/')", "failed: PermissionError"),
        ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (99, 99))", "failed: ValueError"),
    ],
)
def test_a_program_that_does_not_compute_fails_with_the_reason(program: str, why: str) -> None:
    assert run(program, LIMITS) == why


@pytest.mark.parametrize("program", ["while True: pass", "while True: print('x' * 1000)"])
def test_a_program_without_an_end_is_ended(program: str) -> None:
    assert run(program, LIMITS) == "timed out"


def test_a_flood_of_answers_is_no_pass() -> None:
    """A program that finds the pipe its verdict goes through writes rubbish into it, without end."""
    program = (
        "import os\n"
        "for fd in range(3, 32):\n"
        "    try:\n"
        "        while True: os.write(fd, b'passed ' * 999)\n"
        "    except OSError: pass\n"
    )
    assert run(program, LIMITS) != "passed"


def test_a_program_sees_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    program = "import os\nassert 'hunter2' not in str(os.environ)\n"
    assert run(program, LIMITS) == "passed"
    for place in ("/proc/self/environ", f"/proc/{os.getpid()}/environ"):
        assert run(f"open({place!r}).read()", LIMITS) in (
            "failed: PermissionError",
            "failed: FileNotFoundError",
        )


def test_a_program_writes_changes_and_removes_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("here")
    attempts = [
        f"open({str(victim)!r}, 'w')",
        f"open({str(victim)!r}, 'a')",
        f"import os; os.open({str(tmp_path / 'new')!r}, os.O_CREAT)",
        f"import os; os.unlink({str(victim)!r})",
        f"import os; os.rename({str(victim)!r}, {str(tmp_path / 'gone')!r})",
        f"import os; os.truncate({str(victim)!r}, 0)",
        f"import os; os.chmod({str(victim)!r}, 0)",
        f"import os; os.mkdir({str(tmp_path / 'folder')!r})",
        f"import os; os.symlink('/', {str(tmp_path / 'link')!r})",
    ]
    assert set(run_all(attempts, LIMITS)) == {"failed: PermissionError"}
    assert list(tmp_path.iterdir()) == [victim] and victim.read_text() == "here"


@pytest.fixture
def listener() -> Iterator[tuple[int, list[bool]]]:
    """A port on this machine, and whether anybody came."""
    server, came = socket.create_server(("127.0.0.1", 0)), [False]

    def wait() -> None:
        try:
            server.accept()
            came[0] = True
        except OSError:
            return

    thread = threading.Thread(target=wait)
    thread.start()
    yield server.getsockname()[1], came
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_program_connects_to_nothing(listener: tuple[int, list[bool]]) -> None:
    port, came = listener
    program = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    assert run(program, LIMITS) == "failed: PermissionError" and came == [False]


def test_where_code_cannot_be_held_none_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("steps.core.sandbox._landlock_version", lambda: -1)
    with pytest.raises(ConfigError, match="no Landlock"):
        run_all(["x = 1"], LIMITS)
