"""Runs a function over tasks: on this machine's cores, or on a Ray cluster. Results do not depend on which."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from steps.core.errors import ServiceError
from steps.core.fork_server import plain_environment

Function = Callable[[Any], Any]


class Engine:
    """Worker processes on this machine, started at the first map that has more than one task, or by `prepare`."""

    remote = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._server: subprocess.Popen[bytes] | None = None
        self._connections: list[Connection] = []
        self._used = False

    def map(self, function: Function, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, function(task))`` as tasks finish. The first exception stops the rest.

        ``function`` and ``tasks`` must be picklable. With one worker or one task they run in this process.
        Raises ServiceError where a worker dies.
        """
        if self.workers == 1 or len(tasks) <= 1:
            for index, task in enumerate(tasks):
                yield index, function(task)
            return
        self.prepare()
        self._used = True
        waiting = iter(enumerate(tasks))
        busy: dict[Connection, int] = {}
        try:
            for connection in self._connections:
                _give(connection, function, waiting, busy)
            while busy:
                for ready in wait(list(busy)):
                    assert isinstance(ready, Connection)
                    with _alive():
                        answer = ready.recv_bytes()
                    index, (done, value) = busy.pop(ready), pickle.loads(answer)
                    if not done:
                        raise value
                    # before the result is used: no worker waits for what is done with it
                    _give(ready, function, waiting, busy)
                    yield index, value
        finally:
            if busy:
                self.close(kill=True)  # their answers would be taken for those of the next map

    def prepare(self, *modules: str) -> None:
        """Start the workers if they are not there; ``modules`` are loaded before they part. Does not wait for it."""
        if self._server is not None or self.workers == 1:
            return
        pairs = [socket.socketpair() for _ in range(self.workers)]
        theirs = [their.fileno() for _, their in pairs]
        settings = {
            "sockets": theirs,
            "path": sys.path,
            "modules": modules or loaded_steps(),
            "parent": os.getpid(),
        }
        try:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "steps.core.fork_server", json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                env=plain_environment(os.environ),
                cwd=Path(__file__).parents[2],
                pass_fds=theirs,
            )
        except OSError as error:
            raise ServiceError(f"worker processes cannot be started: {error.strerror}; retry") from None
        for mine, their in pairs:
            their.close()
            connection = Connection(mine.detach())
            self._connections.append(connection)
            with contextlib.suppress(ConnectionError):  # the first task will say that it is gone
                connection.send(dict(os.environ))

    def close(self, *, kill: bool = False) -> None:
        """Stop the workers; ``kill`` does not wait for what they are doing."""
        if self._server is None:
            return
        kill = kill or not self._used  # it may still be loading
        if kill:
            self._server.kill()  # the workers die with it
        for connection in self._connections:
            with contextlib.suppress(EOFError, OSError):
                while kill:  # until the worker's end is closed: it has ended
                    connection.recv_bytes()
            connection.close()
        self._server.wait()
        self._server, self._connections, self._used = None, [], False


def _give(
    connection: Connection,
    function: Function,
    waiting: Iterator[tuple[int, Any]],
    busy: dict[Connection, int],
) -> None:
    """Send the next task, if there is one."""
    entry = next(waiting, None)
    if entry is not None:
        index, task = entry
        request = pickle.dumps((function, task))
        busy[connection] = index
        with _alive():
            connection.send_bytes(request)


@contextlib.contextmanager
def _alive() -> Iterator[None]:
    """ServiceError where the worker at the other end has died."""
    try:
        yield
    except (EOFError, ConnectionError):
        raise ServiceError(
            "a worker process was killed (out of memory?); a retry resumes at the last finished part, "
            "with TOKENMILL_WORKERS=1 it needs less memory"
        ) from None


def loaded_steps() -> list[str]:
    """The step modules that this process has loaded: what its tasks are made of."""
    return sorted(name for name in sys.modules if name.startswith("steps.") and name.endswith(".step"))
