"""Finding and ending all processes of something that was started, whatever became of pids and parents.

Two traces are followed: the session that a process was started in, and a mark in its environment. Children
inherit both; the mark survives a child's own `setsid`, the session survives `setproctitle`, which overwrites
what the kernel shows as the environment (Airflow's components do that).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Trace:
    """How the processes of one start are found again; plain values, to be stored.

    ``session`` and ``created`` are the first process's pid and when it began (`began`), 0 until it runs; ``boot`` is
    the machine's start before that (`boot_id`).
    """

    variable: str
    mark: str
    session: int = 0
    created: int = 0
    boot: str = ""

    def of(self, process: subprocess.Popen[bytes]) -> Trace:
        """The trace with the session of ``process``, which was started with ``start_new_session``."""
        return replace(self, session=process.pid, created=began(process.pid), boot=boot_id())

    def processes(self) -> list[psutil.Process]:
        """Live processes with the mark or of the session, this one excepted."""
        return [process for process in psutil.process_iter() if self._holds(process)]

    def _holds(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if self.session and os.getsid(process.pid) == self.session and self._is_ours():
                return True
            return process.environ().get(self.variable) == self.mark
        return False

    def _is_ours(self) -> bool:
        """Whether the session is the one that was started, and not another whose first process got the same pid."""
        try:
            return began(self.session) == self.created
        except (FileNotFoundError, ProcessLookupError):
            # its first process has ended; no pid is given away while it names a session, until the machine restarts
            return self.boot == boot_id()


def began(pid: int) -> int:
    """When a process began, in clock ticks since the machine's start: field 22 of /proc/PID/stat (proc(5)).

    Unlike a time of day it stays the same when the clock is set. Raises FileNotFoundError where the process is gone.
    """
    # its name, in brackets, may hold anything
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])


def boot_id() -> str:
    """Names the machine's last start (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def end_processes(trace: Trace, grace: float, polite: signal.Signals = signal.SIGTERM) -> int:
    """End every process of ``trace``: ``polite`` first, SIGKILL for what is left after ``grace`` seconds.

    Returns how many there were.
    """
    count = len(found := trace.processes())
    _send(found, polite)
    deadline = time.monotonic() + grace
    while (found := trace.processes()) and time.monotonic() < deadline:
        time.sleep(0.1)
    while found:  # children that were being started while we looked are found in the next round
        _send(found, signal.SIGKILL)
        time.sleep(0.05)
        found = trace.processes()
    return count


def load_trace(stored: Any) -> Trace | None:
    """A trace that was stored as a mapping, or None for anything else."""
    try:
        return Trace(**stored)
    except TypeError:
        return None


def _send(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
