"""The process that workers are forked from: it has loaded the step's modules once, for all of them.

``python -m steps.core.fork_server SETTINGS`` (JSON: ``sockets``, ``path``, ``modules``) imports the modules, forks one
worker per socket and waits for their ends. It dies with the process that started it, and they with it.

It never holds a key: it starts without those in the environment (`plain_environment`), and every worker gets its own
over its socket. So a foreign parser that was taken over (steps/ingest/sandbox.py) finds none in its /proc.
It has no second thread to fork away from: OpenBLAS and jemalloc, which pyarrow brings, start theirs at import unless
told not to.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pickle
import sys
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from steps.core.child import die_with, hide_environment
from steps.core.lean import lean

SINGLE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
# what an interpreter and the imports read; nothing that could hold a key
PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR", "VIRTUAL_ENV")
PASSED_ON_PREFIXES = ("LC_", "LD_", "PYTHON", "NUMBA_", "ARROW_", "OMP_", "MKL_", "XDG_")


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What the server starts with."""
    kept = {
        name: value
        for name, value in environment.items()
        if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
    return kept | SINGLE_THREAD


def main(settings: dict[str, Any]) -> None:
    """Fork a worker per socket; returns when all have ended."""
    die_with(settings["parent"])
    hide_environment()  # no other process of this user may read what workers will hold
    sys.path[:] = settings["path"]
    lean()
    for module in settings["modules"]:
        with contextlib.suppress(Exception):  # a task that needs it meets the same error, and reports it
            importlib.import_module(module)
    gc.freeze()  # what is loaded stays shared: no collection of a worker writes to it
    server, sockets = os.getpid(), settings["sockets"]
    for socket in sockets:
        if os.fork() == 0:
            for other in sockets:
                if other != socket:
                    os.close(other)
            die_with(server)
            with contextlib.suppress(EOFError, OSError):  # the other side has closed: that is the end
                work(Connection(socket))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # nothing is left to do; taking the interpreter apart takes a quarter of a second
    for socket in sockets:
        os.close(socket)
    for _ in sockets:
        os.wait()


def work(connection: Connection) -> None:
    """Take the environment, then answer requests until EOFError."""
    os.environ.update(connection.recv())
    while True:
        connection.send_bytes(answer(connection.recv_bytes()))


def answer(request: bytes) -> bytes:
    """(True, result) or (False, error) of a pickled (function, task), pickled."""
    try:
        function, task = pickle.loads(request)
        return pickle.dumps((True, function(task)))
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> bytes:
    error.add_note(traceback.format_exc())  # a traceback cannot be sent; the text shows where it was
    try:
        failed = pickle.dumps((False, error))
        pickle.loads(failed)
    except Exception:  # an error whose class cannot be sent
        failed = pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))
    return failed


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
