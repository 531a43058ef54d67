"""Metrics in MLflow while a step still works. Whatever goes wrong there, the step does not notice.

The points go to the run that the step's lineage entry will complete; that entry holds all of them again, and adds only
those that MLflow has not got yet (`lineage.deliver`). So nothing depends on what is sent here.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from steps.core.errors import StepError
from steps.core.lineage import LineageEntry, Point, open_runs, point_rows
from steps.core.mlflow_rest import Away, MlflowRest, Refused, tracking_uri
from steps.core.store import Store

log = logging.getLogger(__name__)

_EVERY = 5.0  # seconds between sendings
_WAIT = 10.0  # seconds that one sending may take
_MOST = 50_000  # points kept while MLflow is away; older ones go first, the lineage entry has them


_shown: ContextVar[Live | None] = ContextVar("_shown", default=None)


@contextmanager
def shown(store: Store, head: LineageEntry) -> Iterator[None]:
    """What `show` is given meanwhile goes to the MLflow run of the task that ``head`` names."""
    live = Live(store, head)
    token = _shown.set(live)
    try:
        yield
    finally:
        _shown.reset(token)
        live.close()


def show(name: str, value: float, step: int) -> None:
    """Show a point of a series now, where somebody looks; `StepContext.metric` is what is kept."""
    if (live := _shown.get()) is not None:
        live.log(name, value, step)


def looked_at() -> bool:
    """Whether anything comes of `show`."""
    return _shown.get() is not None and tracking_uri() is not None


class Live:
    """Sends points of one task's run from a thread of its own."""

    def __init__(self, store: Store, head: LineageEntry) -> None:
        self._store, self._head = store, head
        self._points: deque[Point] = deque(maxlen=_MOST)
        self._wake = threading.Event()
        self._closed = False
        self._run: str | None = None
        self._thread = threading.Thread(target=self._work, name="live-metrics", daemon=True)

    def log(self, name: str, value: float, step: int) -> None:
        """Add a point; its time is now."""
        if tracking_uri() is None:
            return
        self._points.append(Point(name=name, value=value, step=step, time_ms=int(time.time() * 1000)))
        if self._thread.ident is None:
            self._thread.start()

    def close(self) -> None:
        """Send what is left, waiting `_WAIT` seconds at most."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_WAIT)

    def _work(self) -> None:
        while True:
            self._wake.wait(_EVERY)
            last = self._closed  # asked before, so that what came until then is sent
            if not self._send() or last:
                return

    def _send(self) -> bool:
        """Send all points; False where sending more is of no use."""
        uri = tracking_uri()
        points = [self._points.popleft() for _ in range(len(self._points))]
        if uri is None or not points:
            return True
        mlflow = MlflowRest(uri, time.monotonic() + _WAIT)
        try:
            if self._run is None:
                _, self._run = open_runs(self._store, mlflow, self._head)
            mlflow.log(self._run, {}, point_rows(points), {})
        except (Away, StepError) as problem:
            log.info("live metrics wait: %s", problem)
            self._points.extendleft(reversed(points))
        except (Refused, ValueError, KeyError) as problem:
            log.warning("no live metrics: %s", problem)
            return False
        return True
