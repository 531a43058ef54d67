"""How long a rank works and waits for data, and batches made ahead. Nothing of it enters an artifact."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

T = TypeVar("T")


class Clock:
    """Times of one optimizer step: `begin`, `arrive` (own work done, gradients go to the others), `end`."""

    def __init__(self) -> None:
        self.seconds = self.own = self.stall = 0.0
        self._on_gpu = torch.cuda.is_available()

    def begin(self) -> None:
        self.stall = 0.0
        self._began = self._arrived = self._now()
        self._start = time.perf_counter()

    def arrive(self) -> None:
        self._arrived = self._now()

    def end(self) -> None:
        """Set ``seconds`` of the step, ``own`` work until `arrive`, and ``stall`` for data, in seconds."""
        if self._on_gpu:
            torch.cuda.synchronize()
            self.own = self._began.elapsed_time(self._arrived) / 1000
        else:
            self.own = self._arrived - self._began
        self.seconds = time.perf_counter() - self._start

    def _now(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def timed(self, items: Iterable[T]) -> Iterator[T]:
        """The items; the time until each comes counts as stall."""
        source = iter(items)
        while True:
            asked = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            self.stall += time.perf_counter() - asked
            yield item


class Ahead(Generic[T]):
    """The items of each step, made by a thread while the step before is under way."""

    def __init__(self, make: Callable[[int], Iterable[T]], steps: int) -> None:
        self._make, self._steps = make, steps
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._began: dict[int, Future[list[T]]] = {}

    def take(self, step: int) -> Iterator[T]:
        """The items of ``step`` as they come; those of the next one are begun."""
        items = self._began.pop(step, None) or self._begin(step)
        if step + 1 < self._steps:
            self._began = {step + 1: self._begin(step + 1)}
        yield from items.result()

    def _begin(self, step: int) -> Future[list[T]]:
        return self._pool.submit(lambda: list(self._make(step)))
