"""The parent's side of the reader child: starts it without keys, and turns its death into lost records.

Foreign input is parsed outside of the process that holds the store's keys (DESIGN.md, Secrets). A record at
which the child crashes, runs out of memory or out of time is quarantined with that reason; the others are read
again by a new child. What was lost to a clock or to memory is remembered before it is used, so that a retry of
the task loses the same records (CONTRACT §1).
"""

from __future__ import annotations

import atexit
import dataclasses
import json
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from steps.core.child import clean_environment, end, hide_environment
from steps.core.errors import DataError, ServiceError
from steps.ingest.config import Config
from steps.ingest.protocol import CELL, FRAME, LOADING, OUT_OF_MEMORY, OUTCOMES, WORKING, Request

CRASHED, TIMED_OUT, NO_MEMORY = "parser_crashed", "parser_timeout", "parser_out_of_memory"
MAX_LOST = 20  # records per object for which a new child is started (own choice); then its rest is set aside
# a child may wait for its turn on a busy machine; a deadlock ends after this many times the limit
WALL_FACTOR = 10
# seconds in which kernels may be compiled where no image did it (own measurement: half a minute on a quiet machine)
LONGEST_LOADING = 1800
# own measurement: a page takes 12 to 20 times its size while its tree is held, a Parquet cell of 200 MB 1.1 GB before
# its size is known, and allocators ask for twice what they use
BASE_MEMORY, MEMORY_PER_BYTE = 3 << 30, 32
_ROOT = Path(__file__).parents[2]


class ReaderDied(Exception):
    """The child ended. ``number`` is the record that it was at, ``working`` whether it had been read."""

    def __init__(self, reason: str, number: int, working: bool) -> None:
        super().__init__(f"{reason} at record {number}")
        self.reason, self.number, self.working = reason, number, working


def memory_limit(config: Config) -> int:
    """Bytes of private memory that a child may have."""
    return BASE_MEMORY + MEMORY_PER_BYTE * config.max_record_bytes


class Reader:
    """One reader child, started at its first request and again after its death."""

    def __init__(self, config: Config, command: tuple[str, ...] = ("-m", "steps.ingest.reader")) -> None:
        self.config, self._command = config, command
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Request) -> Iterator[pa.Table | dict[str, Any]]:
        """Tables of OUTCOMES, and at the end what the child says of the whole.

        Raises ReaderDied, and DataError for a request that the recipe must change.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(dataclasses.asdict(request)).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        ended = False
        try:
            while not ended:
                size, kind = FRAME.unpack(self._receive(FRAME.size))
                if not 0 <= size <= memory_limit(self.config):
                    raise self._died()
                payload = self._receive(size)
                ended = kind == b"E"
                yield self._end(payload) if ended else self._table(payload)
        finally:
            if not ended:  # what is still on its way must not be taken for the next answer
                self.close()

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            end(self._process)
            self._cell.close()
            self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        hide_environment()
        environment = clean_environment()
        environment["ARROW_DEFAULT_MEMORY_POOL"] = "system"  # gives back what a large record took
        cell = os.memfd_create("progress")
        os.ftruncate(cell, CELL.size)
        self._cell = mmap.mmap(cell, CELL.size)
        CELL.pack_into(self._cell, 0, 0, 0, LOADING)  # its imports, which take seconds, are no record's time
        try:
            process = subprocess.Popen(
                [sys.executable, *self._command, str(cell), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                cwd=_ROOT,
                pass_fds=(cell,),
                bufsize=0,
            )
        except OSError as error:
            raise ServiceError(f"the reader process cannot be started: {error.strerror}; retry") from None
        finally:
            os.close(cell)
        self._process = process
        hello = {"config": self.config.model_dump(mode="json"), "memory_bytes": memory_limit(self.config)}
        assert process.stdin is not None
        process.stdin.write(json.dumps(hello).encode() + b"\n")
        return process

    def _receive(self, size: int) -> bytes:
        """Exactly ``size`` bytes of the child's answer."""
        assert self._process is not None and self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        chunks, missing = [], size
        ticks, since = -1, time.monotonic()
        while missing:
            if select.select([pipe], [], [], 1.0)[0]:
                chunk = os.read(pipe, min(missing, 1 << 20))
                if not chunk:
                    raise self._died()
                chunks.append(chunk)
                missing -= len(chunk)
                since = time.monotonic()
            elif (cell := CELL.unpack_from(self._cell))[0] != ticks:
                ticks, since = cell[0], time.monotonic()
            elif time.monotonic() - since > WALL_FACTOR * self.config.max_record_seconds + (
                LONGEST_LOADING if cell[2] == LOADING else 0
            ):
                raise self._died(TIMED_OUT)
        return b"".join(chunks)

    def _end(self, payload: bytes) -> dict[str, Any]:
        """What the child says of the whole."""
        try:
            end = json.loads(payload)
        except ValueError:
            raise self._died() from None
        if not isinstance(end, dict):
            raise self._died()
        if "error" in end:
            raise DataError(str(end["error"]))
        return end

    def _table(self, payload: bytes) -> pa.Table:
        """The batch that a child sent; it may have been taken over, so that nothing of it is believed."""
        try:
            table = pa.ipc.open_stream(payload).read_all()
            table.validate(full=True)
        except (pa.ArrowException, OSError):
            raise self._died() from None
        if table.schema != OUTCOMES:
            raise self._died()
        return table

    def _died(self, reason: str | None = None) -> ReaderDied:
        assert self._process is not None
        if reason is None:
            try:
                code = self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                code = 0
            reason = {-signal.SIGPROF: TIMED_OUT, OUT_OF_MEMORY: NO_MEMORY}.get(code, CRASHED)
        ticks, number, working = CELL.unpack_from(self._cell)
        self.close()
        if not ticks:
            raise ServiceError("the reader process ended before its first record; see its message above")
        return ReaderDied(reason, number, working == WORKING)


_readers: list[Reader] = []


def reader(config: Config) -> Reader:
    """The child of this worker process, which is kept from task to task; one with another config is ended."""
    if not _readers or _readers[0].config != config:
        close_reader()
        _readers.append(Reader(config))
    return _readers[0]


@atexit.register
def close_reader() -> None:
    """End the child of this process, if there is one."""
    while _readers:
        _readers.pop().close()


def read_outcomes(
    child: Reader,
    request: Request,
    losses: dict[str, str],
    remember: Callable[[str, str], str],
) -> Iterator[pa.Table | dict[str, Any]]:
    """Tables of OUTCOMES of one file, whatever happens to the child; at the end one dict about the whole.

    ``losses`` are remembered from an earlier attempt: reasons by record number, with "rest" appended to the number
    from which on nothing could be read. ``remember(number, reason)`` keeps a new one and gives the one that counts.
    The dict has ``rest``: the reason why reading ended early, if it did.
    """
    losses = dict(losses)
    delivered, auxiliary = request.after, 0
    while True:
        rest = {int(name.removesuffix("rest")): why for name, why in losses.items() if name.endswith("rest")}
        stop = min(rest, default=request.stop)
        end = {"auxiliary": auxiliary, "records": delivered, "rest": rest[min(rest)] if rest else None}
        if rest and stop == delivered:  # nothing is left to ask for
            yield end
            return
        lost = {name: why for name, why in losses.items() if not name.endswith("rest")}
        try:
            for answer in child.ask(dataclasses.replace(request, after=delivered, stop=stop, lost=lost)):
                if isinstance(answer, dict):
                    auxiliary = answer["auxiliary"]
                else:
                    delivered += answer.num_rows
                    yield answer
            yield {**end, "auxiliary": auxiliary, "records": delivered}
            return
        except ReaderDied as died:
            name, why = f"{died.number}", died.reason
            if name in losses or not died.working or len(lost) >= MAX_LOST:  # it cannot even be passed over
                name = f"{died.number}rest"
            if name in losses:
                raise DataError(
                    f"{request.key}: the reader ends at record {died.number} again and again"
                ) from None
            losses[name] = remember(name, why)
