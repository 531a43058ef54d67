"""The docker runner with a real engine."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from docker.errors import DockerException, ImageNotFound, NotFound

from plugins import step_operator
from plugins.image_lock import CONTEXT_LABEL
from plugins.step_operator import StepOperator, step_task
from steps.core.pipeline import stage
from steps.core.signing import new_keys
from tests.plugins.contexts import SHOW_KEYS, StateStore, TaskLog, context

pytestmark = pytest.mark.docker

SPEC = {"dag": "data_factory", "section": "filter", "step": "filter", "inputs": {"corpus": "score"}}
RESULT = {"ref": "s3://bucket/filter/aa@bb", "digest": "bb"}
WRITE = f"import json, os; open(os.environ['STEP_MANIFEST'], 'w').write({json.dumps(json.dumps(RESULT))})"
TAG, CONTEXT = "tokenmill/operator-test:1", "c" * 64


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    """The Docker engine's client; the tests are skipped, saying so, where there is none."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        pytest.skip("needs a Docker engine")
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: Any) -> Iterator[str]:
    """A small image with Python that carries the label which images.lock asks for."""
    from images.build import base_image

    bases = [os.environ.get("BASE_IMAGE"), "tokenmill/base:stand-in", base_image()]
    for base in filter(None, bases):
        try:
            engine.images.get(base)
            break
        except ImageNotFound:
            continue
    else:
        pytest.skip(f"needs a base image with Python on the engine: one of {bases}")
    dockerfile = f'FROM {base}\nLABEL {CONTEXT_LABEL}="{CONTEXT}"\nENTRYPOINT []\n'
    built, _ = engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=TAG, rm=True)
    yield built.id
    engine.images.remove(TAG, force=True)


@pytest.fixture
def program(image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], StepOperator]:
    """An operator whose container runs a piece of Python."""
    lock(tmp_path, monkeypatch, CONTEXT)
    monkeypatch.setattr(step_operator, "s3_environment", lambda: {"AWS_SECRET_ACCESS_KEY": "s3cr3t-value"})
    monkeypatch.setattr(StepOperator, "log", TaskLog())

    def make(code: str, step: str = "filter", **options: Any) -> StepOperator:
        monkeypatch.setattr(
            step_operator, "command_of", lambda spec, context, cell: ["python3", "-u", "-c", code]
        )
        return StepOperator(task_id="filter", spec={**SPEC, "step": step}, image="factory", **options)

    return make


def lock(folder: Path, monkeypatch: pytest.MonkeyPatch, digest: str, tag: str = TAG) -> None:
    path = folder / "images.lock"
    path.write_text(json.dumps({"images": {"factory": {"tag": tag, "context": digest}}}))
    monkeypatch.setenv("TOKENMILL_IMAGES_LOCK", str(path))


def containers(engine: Any) -> list[Any]:
    return engine.containers.list(
        all=True, filters={"label": ["tokenmill.task=filter", "tokenmill.run=manual__1"]}
    )


@pytest.fixture(autouse=True)
def nothing_left(engine: Any) -> Iterator[None]:
    yield
    left = containers(engine)
    for container in left:
        container.remove(force=True)
    assert not left, "a container was left behind"


def log_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_result_of_the_step_is_the_xcom(
    program: Any, image: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    code = f"{WRITE}; print('image', os.environ['TOKENMILL_IMAGE']); print('run', os.environ['TOKENMILL_AIRFLOW_RUN'])"
    assert program(code).execute(context()) == RESULT
    assert f"image {image}" in log_of(caplog)
    assert "run manual__1" in log_of(caplog)


@pytest.mark.parametrize("step", ["gate", "train"])
def test_only_the_gates_container_gets_the_key_that_signs(
    program: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    caplog.set_level(logging.INFO)
    for name, value in new_keys({}).items():
        monkeypatch.setenv(name, value)
    program(f"{SHOW_KEYS}; {WRITE}", step).execute(context())
    assert f"keys [{step == 'gate'}, True]" in log_of(caplog)


def test_what_a_container_said_that_ended_at_once_is_logged(
    program: Any, engine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    follow = StepOperator.poll_until_complete

    def late(self: StepOperator, container: str, context: Any) -> Any:
        engine.api.wait(container)
        return follow(self, container, context)

    monkeypatch.setattr(StepOperator, "poll_until_complete", late)
    program(f"print('said and gone'); {WRITE}").execute(context())
    assert log_of(caplog).count("said and gone") == 1


LIMITS = """
import os, resource
status = open("/proc/self/status").read()
print("capabilities", [l.split()[1] for l in status.splitlines() if l.startswith("CapEff")][0])
print("privileges", [l.split()[1] for l in status.splitlines() if l.startswith("NoNewPrivs")][0])
print("first", open("/proc/1/comm").read().strip())
"""


def test_a_step_has_limits_and_no_capabilities(
    program: Any, engine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "200m")
    monkeypatch.setenv("TOKENMILL_STEP_CPUS", "0.5")
    monkeypatch.setenv("TOKENMILL_STEP_PIDS", "77")
    started: list[dict[str, Any]] = []
    inspect = StepOperator.poll_until_complete

    def looked_at(self: StepOperator, container: str, context: Any) -> Any:
        started.append(engine.api.inspect_container(container)["HostConfig"])
        return inspect(self, container, context)

    monkeypatch.setattr(StepOperator, "poll_until_complete", looked_at)
    program(LIMITS + WRITE).execute(context())
    host = started[0]
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        200 << 20,
        200 << 20,
        5e8,
        77,
    )
    assert "capabilities 0000000000000000" in log_of(caplog)
    assert "privileges 1" in log_of(caplog)
    assert "first docker-init" in log_of(caplog)


def test_an_input_error_is_not_retried_and_says_why(program: Any) -> None:
    code = "import sys; print('error: filter.min: too small', file=sys.stderr); sys.exit(78)"
    with pytest.raises(AirflowFailException, match=r"exited 78.*filter\.min: too small"):
        program(code).execute(context())


def test_a_kill_for_memory_names_the_limit(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"TOKENMILL_STEP_MEMORY_{SPEC['step'].upper()}"
    monkeypatch.setenv("TOKENMILL_STEP_MEMORY", "2g")
    monkeypatch.setenv(name, "64m")
    said = rf"lack of memory: its container's limit is 64m \({name}\)"
    with pytest.raises(AirflowException, match=said) as failed:
        program("x = bytearray(300 << 20); print(len(x))").execute(context())
    assert not isinstance(failed.value, AirflowFailException)


def test_a_missing_image_says_how_to_build_it(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = program(WRITE)
    lock(tmp_path, monkeypatch, CONTEXT, tag="tokenmill/nowhere:1")
    with pytest.raises(
        AirflowFailException, match=r"tokenmill/nowhere:1.*is not on this engine.*make images"
    ):
        operator.execute(context())


def test_an_image_of_another_context_is_refused(
    program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = program(WRITE)
    lock(tmp_path, monkeypatch, "d" * 64)
    with pytest.raises(
        AirflowFailException, match=r"another context \(cccccccccccc\); images.lock wants.*dddddddddddd"
    ):
        operator.execute(context())


def test_a_missing_lock_file_is_named(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = program(WRITE)
    monkeypatch.setenv("TOKENMILL_IMAGES_LOCK", str(tmp_path / "none.lock"))
    with pytest.raises(AirflowFailException, match=r"none\.lock is missing: run `make images`"):
        operator.execute(context())


def test_a_step_without_result_fails_clearly(program: Any) -> None:
    with pytest.raises(AirflowFailException, match="ended well but wrote no"):
        program("print('nothing')").execute(context())


def test_a_kill_gives_the_step_its_grace_period(
    program: Any, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    code = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: (print('checkpoint saved'), sys.exit(143)))\n"
    )
    operator = program(code + "print('up')\ntime.sleep(600)", grace=20)
    failed: list[str] = []

    def run() -> None:
        try:
            operator.execute(context())
        except AirflowException as error:
            failed.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 30
    while "up" not in log_of(caplog):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    operator.on_kill()
    thread.join(20)
    assert failed
    assert "checkpoint saved" in log_of(caplog)
    assert not containers(engine)


WORKER = """
import json, os, sys
from plugins import step_operator
from tests.plugins.contexts import StateStore, context
step_operator.s3_environment = lambda: {}
step_operator.command_of = lambda spec, context, cell: ["python3", "-u", "-c", sys.argv[2]]
class Stored(StateStore):
    def set(self, key, value):
        super().set(key, value)
        open(sys.argv[1], "w").write(json.dumps(self))
operator = step_operator.StepOperator(task_id="filter", spec=json.loads(sys.argv[3]), image="factory")
operator.execute(context(state=Stored()))
"""


def test_a_container_outlives_its_worker_and_the_retry_follows_it(
    program: Any, engine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stored = tmp_path / "state.json"
    code = f"import time\nfor n in range(15): print('line', n); time.sleep(1)\n{WRITE}"
    command = [sys.executable, "-c", WORKER, str(stored), code, json.dumps(SPEC)]
    worker = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not stored.exists() or "logged_until" not in stored.read_text():
        assert worker.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    before = containers(engine)
    assert [container.status for container in before] == ["running"]
    state = StateStore(json.loads(stored.read_text()))
    assert program("raise SystemExit('started again')").execute(context(state=state)) == RESULT
    lines = [int(line.split()[1]) for line in log_of(caplog) if line.startswith("line ")]
    assert lines == list(range(lines[0], 15)), "no line twice, none missing after the reattach"
    assert lines[0] > 0, "the retry repeats what the first worker had logged"


def test_a_leftover_that_nobody_follows_is_removed_first(program: Any, engine: Any, image: str) -> None:
    labels = {f"tokenmill.{k}": v for k, v in
              {"dag": "data_factory", "run": "manual__1", "task": "filter", "map_index": "-1"}.items()}  # fmt: skip
    left = engine.containers.run(
        image, ["python3", "-c", "import time; time.sleep(600)"], detach=True, labels=labels
    )
    assert program(WRITE, grace=1).execute(context()) == RESULT
    with pytest.raises(NotFound):
        engine.containers.get(left.id)


def test_the_secret_is_in_the_container_and_in_no_log(program: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    program(f"{WRITE}; assert os.environ['AWS_SECRET_ACCESS_KEY'][::-1] == 'eulav-t3rc3s'").execute(context())
    assert not [line for line in log_of(caplog) if "s3cr3t-value" in line]


def test_training_steps_run_in_the_trainer_image_and_on_the_gpu_pool() -> None:
    train = step_task("continual_pretraining", stage("continual_pretraining", "train_1"), runner="docker")
    score = step_task("data_factory", stage("data_factory", "score"), runner="docker")
    assert (train.image, train.pool, train.task_id) == ("trainer", "gpu", "train_1")
    assert (score.image, score.pool) == ("factory", "cpu")
    assert score.spec["inputs"] == {"corpus": "preprocess"}


def test_an_unknown_runner_is_refused() -> None:
    with pytest.raises(ValueError, match="docker or process"):
        step_task("data_factory", stage("data_factory", "score"), runner="podman")
