"""The engine: results by task, errors as they were raised, no worker left behind, and the same bytes on Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.engine import Engine
from steps.core.errors import ConfigError, DataError, ServiceError, UsageError
from steps.core.ray_engine import check_reach
from tests.steps.core import toy
from tests.steps.ray_nodes import RayNodes, start

ROOT = Path(__file__).parents[3]


OTHERS: set[int] = set()
"""What other tests of this process have running, such as an S3 server."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    OTHERS.clear()
    OTHERS.update(processes())
    started = Engine(2)
    yield started
    started.close(kill=True)


def processes() -> list[int]:
    """Living children of this process, and theirs, without those that were there before the engine."""
    found, waiting = [], [os.getpid()]
    while waiting:
        pid = waiting.pop(0)
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        children = [child for child in map(int, listed) if child not in OTHERS]
        found += children
        waiting += children
    return found


def test_every_task_gives_its_result_once_whatever_ends_first(engine: Engine, tmp_path: Path) -> None:
    last = str(tmp_path / "last")
    tasks = [(last, ""), ("", ""), ("", ""), ("", last)]  # the first ends after the last
    found = list(engine.map(toy.wait_for_and_touch, tasks))
    assert sorted(found) == list(enumerate(tasks))
    assert found[-1][0] == 0  # as they finish
    assert list(engine.map(toy.wait_for_and_touch, tasks[1:3]))  # and again, with the same workers


def test_tasks_larger_than_a_pipe_go_both_ways(engine: Engine) -> None:
    texts = [str(n) * 3_000_000 for n in range(6)]
    assert dict(engine.map(toy.say, texts)) == dict(enumerate(texts))


@pytest.mark.parametrize(
    "error", [DataError("row 3 of a.jsonl is no text"), ConfigError("field"), EOFError("cut short")]
)
def test_an_error_arrives_with_its_class_and_message_and_its_place(engine: Engine, error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        list(engine.map(toy.fail, [error, error]))
    assert raised.value.args == error.args
    assert "in fail" in raised.value.__notes__[0]


def test_an_error_that_cannot_be_sent_is_told(engine: Engine) -> None:
    with pytest.raises(RuntimeError, match="Unsendable: 3 of 4"):
        list(engine.map(toy.fail_unsendably, [1, 2]))


def test_the_first_error_stops_the_rest_and_the_engine_can_be_used_again(
    engine: Engine, tmp_path: Path
) -> None:
    tasks = [str(tmp_path / "missing" / "file"), *(str(tmp_path / str(n)) for n in range(100))]
    with pytest.raises(FileNotFoundError):
        list(engine.map(toy.touch, tasks))
    assert len(list(tmp_path.iterdir())) < 10
    assert len(dict(engine.map(toy.touch, tasks[1:4]))) == 3


def test_a_killed_worker_ends_the_step_with_a_service_error(engine: Engine) -> None:
    with pytest.raises(ServiceError, match="a worker process was killed"):
        list(engine.map(toy.kill_itself, [1, 2]))
    assert not processes()


def test_no_process_is_left_when_the_engine_closes(engine: Engine) -> None:
    list(engine.map(toy.say, ["a", "b", "c"]))
    assert len(processes()) == 3
    engine.close()
    assert not processes()
    engine.prepare("steps.filter.step")
    engine.close()  # while it loads
    assert not processes()


def test_the_workers_die_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = (
        "from steps.core.engine import Engine; from tests.steps.core import toy;"
        f"list(Engine(2).map(toy.say_pid_and_sleep, [{str(tmp_path)!r}] * 2))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while len(list(tmp_path.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    for name in tmp_path.iterdir():
        while Path(f"/proc/{name.name}/stat").exists():
            assert time.monotonic() < deadline, "a worker outlived its parent"
            time.sleep(0.01)


def test_the_server_holds_no_key_and_no_thread_and_the_workers_have_the_environment(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-show")
    engine.prepare("steps.ingest.step", "steps.score.step", "steps.deduplicate.step", "steps.evaluate.step")
    seen = list(engine.map(toy.environment, ["AWS_SECRET_ACCESS_KEY"] * 2))
    assert [value for _, value in seen] == ["do-not-show"] * 2
    found = processes()
    assert len(found) == 3
    for pid in found:
        assert b"do-not-show" not in Path(f"/proc/{pid}/environ").read_bytes()
    assert len(os.listdir(f"/proc/{found[0]}/task")) == 1


MAKE_TOY = """
import sys
from steps.core.step import run_step
from steps.core.config import Runtime
from tests.steps.core.toy import MAKE
config = {"max_quarantine_share": 1.0, "shards": 12}
runtime = Runtime(workers=int(sys.argv[2]))
print(run_step(MAKE, config=config, inputs={}, root="file://" + sys.argv[1], runtime=runtime).ref)
"""


def test_the_same_bytes_come_out_of_two_ray_nodes_of_which_one_is_killed_half_way(
    ray_nodes: RayNodes, tmp_path: Path
) -> None:
    refs = []
    for workers in ("1", "2"):
        local = start(MAKE_TOY, str(tmp_path / workers), workers)
        refs.append(local.communicate(timeout=60)[0].strip())
    ray_nodes.two()
    made = start(MAKE_TOY, str(tmp_path / "ray"), "1", RAY_ADDRESS=ray_nodes.address)
    while len(list((tmp_path / "ray").glob("make/*/parts/*.json"))) < 4:
        assert made.poll() is None
        time.sleep(0.02)
    ray_nodes.one()
    assert len(list((tmp_path / "ray").glob("make/*/parts/*.json"))) < 12, "the node was killed too late"
    refs.append(made.communicate(timeout=120)[0].strip().rpartition("\n")[2])  # below Ray's own messages
    assert made.returncode == 0
    assert len({Artifact.open(ref).digest for ref in refs}) == 1
    done = ray_nodes.count.read_text().split()
    assert sorted(set(done), key=int) == [str(n) for n in range(12)]
    assert len(done) <= 12 + 2, "more than the tasks of the killed node were done again"


def test_errors_on_ray_arrive_as_they_were_raised(ray_nodes: RayNodes) -> None:
    code = (
        "import sys; from steps.core.ray_engine import RayEngine; from tests.steps.core import toy\n"
        "from steps.core.errors import DataError\n"
        "engine = RayEngine(sys.argv[1], ['file:///here'])\n"
        "assert sorted(engine.map(toy.say, ['a', 'b', 'c'])) == [(0, 'a'), (1, 'b'), (2, 'c')]\n"
        "try: list(engine.map(toy.fail, [DataError('row 3')] * 3))\n"
        "except DataError as error: print(error)\n"
        "engine.close()"
    )
    said, _ = start(code, ray_nodes.address).communicate(timeout=120)
    assert said == "row 3\n"


def test_local_files_are_refused_where_nodes_are_elsewhere() -> None:
    check_reach(["s3://store/root", "file:///sources"], set())
    check_reach(["s3://store/root"], {"10.0.0.2"})
    with pytest.raises(UsageError, match=r"file:///sources is on this machine, and the Ray node 10\.0\.0\.2"):
        check_reach(["s3://store/root", "file:///sources"], {"10.0.0.3", "10.0.0.2"})


def test_ray_is_imported_only_where_it_is_asked_for() -> None:
    code = "import sys, steps.core.step, steps.filter.step; print('ray' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "False\n"


def test_a_ray_address_without_ray_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.steps.core.test_step import make

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"install tokenmill\[ray\]"):
        make(tmp_path)
