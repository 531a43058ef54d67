"""The `process` runner: a step as a local process group, with the command and environment of a container."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil
from airflow.sdk import BaseOperator

from plugins.connections import endpoint_environment, s3_environment
from plugins.processes import Trace, end_processes, load_trace
from plugins.publishing import emit_outlets
from plugins.report_link import ReportLink
from plugins.step_command import (
    MAX_LINE,
    StageSpec,
    command_of,
    failure,
    parse_result,
    run_facts,
    step_environment,
)

MARK = "TOKENMILL_PROCESS_MARK"  # found again in /proc/<pid>/environ, whatever became of pids and parents
_STATE_KEY = "process"
_MACHINE = ("PATH", "HOME", "TMPDIR", "USER", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "VIRTUAL_ENV")


class ProcessStepOperator(BaseOperator):
    """Runs a stage with this interpreter's `tokenmill` command.

    A worker that dies leaves its step behind for a moment: the retry ends that process group before it
    starts anew (finished parts are kept), so a step never runs twice at once.

    :param spec: the stage
    :param grace: seconds between SIGTERM and SIGKILL, for a step to finish its part or save a checkpoint
    :param cell: number and label of the search's cell that the task is mapped to
    """

    ui_color = "#e8f1fa"
    operator_extra_links = (ReportLink(),)
    mlflow_run: str | None = None

    def __init__(
        self, *, spec: dict[str, Any], grace: float = 60.0, cell: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.spec, self.grace, self.cell = spec, grace, cell
        self._process: subprocess.Popen[bytes] | None = None
        self._trace = Trace(MARK, "")

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the step to its end; its StepResult is the XCom."""
        spec = StageSpec(**self.spec)
        self._end_leftover(context)
        with tempfile.TemporaryDirectory(prefix="tokenmill-") as folder:
            result_path = Path(folder, "result.json")
            command, environment = self._prepare(spec, context, result_path)
            self.log.info("%s", " ".join(command))
            code, last_line = self._run(command, environment, context.get("task_state_store"))
            if code != 0:
                raise failure(spec.section, code, last_line, _memory(code))
            data = result_path.read_bytes() if result_path.exists() else b""
        result = parse_result(spec.section, data)
        emit_outlets(self, context, result)
        self.mlflow_run = result.get("mlflow_run")
        return result

    def on_kill(self) -> None:
        """SIGTERM to the step and its children, SIGKILL to what is left after the grace period."""
        if self._process is not None:
            self.log.info("stopping the step, %.0f s grace", self.grace)
            end_processes(self._trace, self.grace)

    def _prepare(self, spec: StageSpec, context: Any, result: Path) -> tuple[list[str], dict[str, str]]:
        command = command_of(spec, context, self.cell)
        command[0] = str(Path(sys.executable).with_name(command[0]))
        machine = {name: os.environ[name] for name in _MACHINE if name in os.environ}
        environment = {
            **machine,
            **step_environment(spec.step, str(result), run_facts(context)),
            **s3_environment(),
            **endpoint_environment(spec.step),
            MARK: self._trace.mark,
        }
        environment["PATH"] = f"{Path(sys.executable).parent}:{machine.get('PATH', os.defpath)}"
        return command, environment

    def _end_leftover(self, context: Any) -> None:
        state = context.get("task_state_store")
        left = load_trace(state.get(_STATE_KEY)) if state is not None else None
        if left and (count := end_processes(left, self.grace)):
            self.log.warning("ended %d processes that a dead worker had left behind", count)
        self._trace = Trace(MARK, secrets.token_hex(16))
        if state is not None:  # before anything is started, so that the mark finds it in any case
            state.set(_STATE_KEY, asdict(self._trace))

    def _run(self, command: list[str], environment: dict[str, str], state: Any) -> tuple[int, str]:
        last_line = ""
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # its own process group: a signal reaches the step's workers too
        )
        assert self._process.stdout is not None
        try:
            self._trace = self._trace.of(self._process)
            if state is not None:
                state.set(_STATE_KEY, asdict(self._trace))
            for line in log_lines(self._process.stdout):
                self.log.info("%s", line)
                last_line = line
            code = self._process.wait()
        finally:
            # a step that ended, or this worker being stopped, must not leave workers of the step behind
            end_processes(self._trace, 0 if self._process.poll() is not None else self.grace)
            self._process.stdout.close()
        return code, last_line


def log_lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines of a step's output: split at LF and CR, blank ones dropped, long ones cut."""
    rest = b""
    while chunk := os.read(stream.fileno(), 65536):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        if len(rest) > MAX_LINE:
            lines, rest = [*lines, rest], b""
        yield from (text for line in lines if (text := _text(line)))
    if text := _text(rest):
        yield text


def _text(line: bytes) -> str:
    return line[:MAX_LINE].decode("utf-8", "replace").rstrip()


def _memory(code: int) -> str | None:
    """What to say about SIGKILL, which is what the kernel's out-of-memory killer sends."""
    if code != -signal.SIGKILL:
        return None
    memory = psutil.virtual_memory()
    return (
        f"probably, as nothing here sent SIGKILL (`dmesg` knows); {memory.available >> 20} MiB of "
        f"{memory.total >> 20} MiB are free now; set TOKENMILL_WORKERS lower, or use a larger machine"
    )
