"""One call of the demo: alone in its folder, and undone whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from demo import run
from demo.screen import Screen
from demo.services import ServiceFailed, Services

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from demo.run import alone
with alone(Path(sys.argv[1])) as first:
    print(first, flush=True)
    input()
"""


def fail(number: int, frame: object) -> None:
    raise AssertionError(f"signal {number} is not answered by the demo")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder of the test's own; the handlers of signals are put back."""
    monkeypatch.setattr(run, "STATE", tmp_path / "state")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, fail) for number in numbers]
    yield tmp_path / "state"
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What the demo prints."""
    out = StringIO()
    monkeypatch.setattr(run, "Screen", lambda: Screen(out))
    return out


@pytest.fixture
def other(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work on the folder."""
    command = [sys.executable, "-c", HOLD, str(state)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
        process.kill()


def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the demo does to its services, instead of doing it; they do not come up."""
    done: list[str] = []

    def start(self: Services, say: object) -> None:
        done.append("start")
        raise ServiceFailed("api ended at its start")

    def stop(self: Services, names: list[str] | None = None) -> list[str]:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)
        with run.alone(self.state) as first:
            done.append(f"stop, alone: {first}")
        return []

    monkeypatch.setattr(Services, "start", start)
    monkeypatch.setattr(Services, "stop", stop)
    return done


def test_a_second_demo_in_the_folder_says_that_another_is_there_and_starts_nothing(
    state: Path,
    other: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    said: StringIO,
) -> None:
    done = started(monkeypatch)
    assert run.main([]) == run.EXIT_UNAVAILABLE
    assert f"another `make demo` or `make stop` is at work in {state}" in said.getvalue()
    assert "`make stop` here" in said.getvalue()
    assert done == [] and [path.name for path in state.iterdir()] == ["demo.lock"]


def test_stop_is_for_another_demo_too(state: Path, other: subprocess.Popen[str]) -> None:
    assert run.main(["--stop"]) == 0


def test_a_killed_demo_leaves_no_lock(
    state: Path, other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    done = started(monkeypatch)
    run.main([])
    assert done[0] == "start"


def test_what_was_started_is_stopped_whatever_interrupts_come_then_and_no_other_demo_begins_meanwhile(
    state: Path, monkeypatch: pytest.MonkeyPatch, said: StringIO
) -> None:
    done = started(monkeypatch)
    assert run.main([]) == run.EXIT_UNAVAILABLE
    assert done == ["start", "stop, alone: False"]
    assert "api ended at its start; stopping what was started" in said.getvalue()
    with run.alone(state) as first:
        assert first


def test_what_was_started_is_stopped_when_two_interrupts_arrive_at_once(
    state: Path, monkeypatch: pytest.MonkeyPatch, said: StringIO
) -> None:
    """As when the whole process group is sent one after the other while something is being computed."""
    done = started(monkeypatch)
    both = (signal.SIGINT, signal.SIGTERM)

    def start(self: Services, say: object) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, both)
        for number in both:
            signal.pthread_kill(threading.get_ident(), number)  # another thread would not hold it back
        signal.pthread_sigmask(signal.SIG_UNBLOCK, both)

    monkeypatch.setattr(Services, "start", start)
    assert run.main([]) in (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert done == ["stop, alone: False"]
