"""Runs a function over tasks on this machine's cores. Results do not depend on how many."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from steps.core.errors import ServiceError

_PR_SET_PDEATHSIG = 1


class Engine:
    """A pool of worker processes, started at the first map that has more than one task."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def map(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, function(task))`` as tasks finish. The first exception stops the rest.

        ``function`` and ``tasks`` must be picklable. With one worker or one task they run in this process.
        """
        if self.workers == 1 or len(tasks) <= 1:
            for index, task in enumerate(tasks):
                yield index, function(task)
            return
        pool = self._start()
        running: dict[Future[Any], int] = {}
        waiting = iter(enumerate(tasks))
        try:
            while True:
                # a short queue: a failing task must not leave hundreds behind it
                while len(running) < 2 * self.workers and (entry := next(waiting, None)) is not None:
                    running[pool.submit(function, entry[1])] = entry[0]
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    index = running.pop(future)
                    yield index, future.result()
        except BrokenProcessPool:
            raise ServiceError(
                "a worker process was killed (out of memory?); a retry resumes at the last finished part, "
                "with TOKENMILL_WORKERS=1 it needs less memory"
            ) from None
        finally:
            for future in running:
                future.cancel()

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
            )
        return self._pool

    def close(self, *, kill: bool = False) -> None:
        """Stop the workers; ``kill`` does not wait for what they are doing."""
        if self._pool is None:
            return
        if kill:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None


def _start_worker() -> None:
    """Die with the parent, and leave stopping to it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.getppid() == 1:
        os._exit(1)
