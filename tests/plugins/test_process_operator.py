"""The process runner with real processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from plugins import process_operator
from plugins.process_operator import ProcessStepOperator
from plugins.processes import Trace, began, end_processes
from steps.core.signing import new_keys
from tests.plugins.contexts import SHOW_KEYS, StateStore, TaskLog, context

SPEC = {"dag": "data_factory", "section": "filter", "step": "filter", "inputs": {"corpus": "score"}}
RESULT = {"ref": "s3://bucket/filter/aa@bb", "digest": "bb"}
WRITE = f"import json, os; open(os.environ['STEP_MANIFEST'], 'w').write({json.dumps(json.dumps(RESULT))})"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ProcessStepOperator]:
    """An operator whose step is a piece of Python."""
    monkeypatch.setenv("TOKENMILL_ROOT", "file:///tmp/none")
    monkeypatch.setattr(process_operator, "s3_environment", lambda: {"AWS_SECRET_ACCESS_KEY": "s3cr3t-value"})

    monkeypatch.setattr(ProcessStepOperator, "log", TaskLog())  # where caplog sees it

    def make(code: str, **options: Any) -> ProcessStepOperator:
        monkeypatch.setattr(
            process_operator, "command_of", lambda spec, context, cell: ["python", "-c", code]
        )
        return ProcessStepOperator(task_id="filter", spec=SPEC, **options)

    return make


def log_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_result_of_the_step_is_the_xcom(program: Any) -> None:
    assert program(WRITE).execute(context()) == RESULT


def test_the_error_message_of_the_step_is_in_the_failure(program: Any) -> None:
    code = (
        "import sys; print('working'); print('error: filter.min: too small', file=sys.stderr); sys.exit(78)"
    )
    with pytest.raises(AirflowFailException, match=r"exited 78.*filter\.min: too small"):
        program(code).execute(context())


def test_a_service_away_is_retried(program: Any) -> None:
    with pytest.raises(AirflowException) as failed:
        program("raise SystemExit(69)").execute(context())
    assert not isinstance(failed.value, AirflowFailException)


def test_a_step_killed_by_the_kernel_is_explained(program: Any) -> None:
    with pytest.raises(AirflowException, match=r"killed for lack of memory: probably.*MiB are free"):
        program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").execute(context())


def test_secrets_reach_the_step_and_no_log(program: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    code = f"{WRITE}; assert os.environ['AWS_SECRET_ACCESS_KEY'][::-1] == 'eulav-t3rc3s'; print('began')"
    program(code).execute(context())
    assert "began" in log_of(caplog)
    assert not [line for line in log_of(caplog) if "s3cr3t-value" in line]


@pytest.mark.parametrize("step", ["gate", "review", "publish", "mix", "train"])
def test_only_the_gates_process_gets_the_key_that_signs(
    program: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    caplog.set_level(logging.INFO)
    for name, value in new_keys({}).items():
        monkeypatch.setenv(name, value)
    operator = program(f"{SHOW_KEYS}; {WRITE}")
    operator.spec = {**SPEC, "step": step}
    operator.execute(context())
    assert f"keys [{step == 'gate'}, True]" in log_of(caplog)


def test_progress_bars_and_long_lines_are_logged_line_by_line(
    program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    program(f"{WRITE}; print('10 %\\r20 %\\r\\n\\nlast' + 'x' * 20000, end='')").execute(context())
    lines = log_of(caplog)
    assert "10 %" in lines and "20 %" in lines
    assert max(len(line) for line in lines) <= process_operator.MAX_LINE


FAMILY = """
import os, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
signal.signal(signal.SIGTERM, lambda *_: (child.wait(), print("stopped well", flush=True), sys.exit(143)))
print("child", child.pid, flush=True)
time.sleep(600)
"""


def child_pid(caplog: pytest.LogCaptureFixture) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in log_of(caplog):
            if line.startswith("child "):
                return int(line.split()[1])
        time.sleep(0.05)
    raise AssertionError("the step did not start")


def test_a_kill_ends_the_step_and_its_children_with_grace(
    program: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    operator = program(FAMILY, grace=20)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute(context())
        except AirflowException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    child = child_pid(caplog)
    operator.on_kill()
    thread.join(20)
    assert failed and "signal 15" in str(failed[0])
    assert "stopped well" in log_of(caplog)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_step_that_ignores_sigterm_is_killed_after_the_grace_period(program: Any, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    operator = program(f"{code}; open({str(deaf)!r}, 'w'); time.sleep(600)", grace=1)
    failed: list[str] = []

    def run() -> None:
        try:
            operator.execute(context())
        except AirflowException as error:
            failed.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 60
    while not deaf.exists():
        assert thread.is_alive() and time.monotonic() < deadline
        time.sleep(0.05)
    began = time.monotonic()
    operator.on_kill()
    thread.join(60)
    assert not thread.is_alive()
    assert time.monotonic() - began > 0.9
    assert failed


WORKER = """
import sys
from plugins import process_operator
from tests.plugins.contexts import StateStore, context
import json, os
process_operator.s3_environment = lambda: {}
process_operator.command_of = lambda spec, context, cell: ["python", "-c", "import time; time.sleep(600)"]
class Stored(StateStore):
    def set(self, key, value):
        super().set(key, value)
        open(sys.argv[1], "w").write(json.dumps(self))
process_operator.ProcessStepOperator(task_id="filter", spec=%r).execute(context(state=Stored()))
"""


def test_what_a_dead_worker_left_is_ended_before_the_step_starts_again(program: Any, tmp_path: Path) -> None:
    stored = tmp_path / "state.json"
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER % SPEC, str(stored)], cwd=Path(__file__).parents[2]
    )
    deadline = time.monotonic() + 60
    while not (
        stored.exists() and stored.read_text() and json.loads(stored.read_text())["process"]["session"]
    ):
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    state = StateStore(json.loads(stored.read_text()))
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    leftover = Trace(**state["process"])
    assert leftover.processes()
    assert program(WRITE, grace=5).execute(context(state=state)) == RESULT
    assert not leftover.processes()


STRANGERS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_step_that_cannot_be_noted_does_not_go_on_alone(program: Any) -> None:
    """The second note has its session; the server that keeps it may be away by then."""

    class Away(StateStore):
        def set(self, key: str, value: Any) -> None:
            if value["session"]:
                raise ConnectionError("no answer")
            super().set(key, value)

    state = Away()
    with pytest.raises(ConnectionError):
        program("import time; time.sleep(600)", grace=5).execute(context(state=state))
    assert not Trace(**state["process"]).processes()


def test_other_processes_are_never_touched() -> None:
    """After a restart of the machine pids begin anew: another session may have the pid of what was noted before."""
    stranger = subprocess.Popen(
        [sys.executable, "-c", STRANGERS],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    now = Trace("TOKENMILL_PROCESS_MARK", "gone").of(stranger)
    try:
        assert stranger.stdin is not None and stranger.stdout is not None
        child = psutil.Process(int(stranger.stdout.readline()))
        old = replace(now, created=began(stranger.pid) - 1, boot="before the restart")
        assert old.processes() == []
        assert end_processes(old, grace=0.2) == 0
        assert stranger.poll() is None and child.is_running()
        stranger.stdin.close()
        stranger.wait(60)
        assert end_processes(old, grace=0.2) == 0, "of a session whose first process has ended"
        assert child.is_running()
    finally:
        stranger.kill()
        assert end_processes(now, grace=5) == 1
        stranger.wait()
