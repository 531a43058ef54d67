"""Checks of what can be computed: mathematics in a child of its own, programs in the sandbox. None has a key."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from types import TracebackType

import psutil

from steps.core import sandbox
from steps.core.child import clean_environment, end, hide_environment
from steps.core.config import CodeLimits
from steps.core.errors import ServiceError
from steps.synthesize.answers import Pair

PASSED, WRONG_ANSWER, FAILED_PROGRAM, TOO_LONG, UNREADABLE = (
    "passed", "wrong_answer", "failed_program", "check_took_too_long", "unreadable_check",
)  # fmt: skip
WRONG = frozenset({WRONG_ANSWER, FAILED_PROGRAM, TOO_LONG})
RECORDED = frozenset({TOO_LONG})  # by a clock: kept, so that a retry finds the same
LONGEST_START = 300.0  # seconds; SymPy takes one or two on a quiet machine
LONGEST_LINE = 4096  # bytes; what the child says is shorter
_ROOT = Path(__file__).parents[2]
_OUTCOMES = {"right": PASSED, "wrong": WRONG_ANSWER, "unreadable": UNREADABLE}


class Checker:
    """Checks pairs one after the other; as a context manager, it ends its child."""

    def __init__(self, limits: CodeLimits) -> None:
        self.limits = limits
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._end()

    def check(self, pair: Pair) -> tuple[str, str]:
        """What became of a pair's check, and what was found. A pair without one has passed."""
        if "program" in pair.computed:
            return self._run(pair.computed["program"], pair.computed["tests"])
        if "calculation" in pair.computed:
            return self._compare(pair.computed["answer"], pair.computed["calculation"])
        return PASSED, ""

    def _run(self, program: str, tests: str) -> tuple[str, str]:
        """The program with its tests; and the tests alone, which must fail, or they test something else."""
        outcome = sandbox.run(f"{program}\n{tests}\n", self.limits)
        if outcome == "timed out":
            return TOO_LONG, f"more than {self.limits.seconds:g} s"
        if outcome != "passed":
            return FAILED_PROGRAM, outcome
        if sandbox.run(f"{tests}\n", self.limits) == "passed":
            return FAILED_PROGRAM, "its tests pass without it"
        return PASSED, ""

    def _compare(self, answer: str, calculation: str) -> tuple[str, str]:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"answer": answer, "calculation": calculation}).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process, self.limits.seconds, self.limits.seconds * sandbox.WALL_FACTOR)
        except BrokenPipeError:
            line = b""
        if line is None:
            self._end()
            return TOO_LONG, f"more than {self.limits.seconds:g} s"
        if not line.endswith(b"\n"):  # killed by its limits, or by what it computed
            self._end()
            return UNREADABLE, "the calculation ended its process"
        outcome, detail = json.loads(line)
        return _OUTCOMES[outcome], str(detail)

    def _start(self) -> subprocess.Popen[bytes]:
        sandbox.require()
        hide_environment()
        with tempfile.TemporaryFile() as rules:
            rules.write(sandbox.seccomp_filter())
            rules.seek(0)
            process = subprocess.Popen(
                [sys.executable, "-m", "steps.synthesize.math_child", str(rules.fileno()), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=clean_environment() | {"OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
                cwd=_ROOT,
                pass_fds=(rules.fileno(),),
                bufsize=0,
            )
        self._process = process
        paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        hello = {"reads": sorted({*paths, *sandbox.system_libraries()}), "memory": self.limits.memory_bytes}
        # and one easy question, so that its start is not counted for the first answer
        assert process.stdin is not None
        process.stdin.write(json.dumps(hello).encode() + b'\n{"answer": "2", "calculation": "1 + 1"}\n')
        if self._line(process, LONGEST_START, LONGEST_START) != b'["right", ""]\n':
            self._end()
            raise ServiceError(
                "the process that checks mathematics does not start; see its message above, and retry"
            )
        return process

    def _line(self, process: subprocess.Popen[bytes], seconds: float, wall: float) -> bytes | None:
        """What the child says next; None where it takes more seconds of its processor's time, or of the wall's."""
        assert process.stdout is not None
        pipe, said, deadline = process.stdout.fileno(), b"", time.monotonic() + wall
        before = cpu_seconds(process.pid)
        while not said.endswith(b"\n"):
            if select.select([pipe], [], [], 0.2)[0]:
                chunk = os.read(pipe, 4096)
                said += chunk
                if not chunk or len(said) > LONGEST_LINE:
                    return said.rstrip(b"\n")
            elif cpu_seconds(process.pid) - before > seconds or time.monotonic() > deadline:
                return None
        return said

    def _end(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; 0 where it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
