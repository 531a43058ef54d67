"""Child processes: gone when their parent is, and without keys where they handle foreign input (DESIGN.md, Secrets)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

# what a parser needs of the environment; everything else, keys above all, stays outside
PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONHASHSEED",
)
PASSED_ON_PREFIX = "NUMBA_"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that could be a key."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIX)
    }


def hide_environment() -> None:
    """Keep other processes of this user (a child that was taken over) from reading this one's environment and memory.

    After prctl(2), PR_SET_DUMPABLE: /proc/PID/environ and ptrace are then for root alone.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with(parent: int) -> None:
    """End when the process that started this one ends; in a container that may well be number 1.

    Stopping is the parent's: signals for the whole group are not answered here.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getppid() != parent:
        os._exit(1)


def end(child: subprocess.Popen[Any]) -> None:
    """Kill the child, wait for its end and close its pipes; what it had not read yet is lost."""
    child.kill()
    with suppress(BrokenPipeError), child:
        pass
