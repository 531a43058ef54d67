"""The stack's S3 server, started by its own command on a small disk: how much room it needs, and what it says."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from images import start
from tests.conftest import KEY, SECRET, free_ports

BUCKETS = ["tokenmill", "inbox", "mlflow"]
Started = Callable[[str], None]


@pytest.fixture
def s3_on_a_disk_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Started]:
    """Starts what `start s3` becomes, on a disk of a size such as 6g, for clients of the environment."""
    monkeypatch.setenv("MLFLOW_BUCKET", "mlflow")
    for name in ("S3_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, KEY)
    for name in ("S3_SECRET_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MLFLOW_S3_ACCESS_KEY", "mlflow-test-key")
    monkeypatch.setenv("MLFLOW_S3_SECRET_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(start, "S3_SETTINGS", tmp_path / "s3.json")
    with contextlib.ExitStack() as stack:

        def started(size: str) -> None:
            disk = tmp_path / "disk"
            disk.mkdir()
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], capture_output=True
            )
            if mounted.returncode:
                pytest.skip("mounting a small tmpfs needs root")
            stack.callback(lambda: subprocess.run(["umount", disk], check=True))
            command, port = _command(disk, monkeypatch)
            with (tmp_path / "log").open("wb") as log:
                server = subprocess.Popen(command, cwd=disk, stdout=log, stderr=log)
            stack.callback(server.wait)
            stack.callback(server.kill)
            endpoint = f"http://127.0.0.1:{port}"
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            _await(endpoint, server)

        yield started


def _command(disk: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], int]:
    """The command line of the container with folder, address and ports of this test behind it, and S3's port."""
    taken: list[list[str]] = []
    monkeypatch.setattr(os, "execvp", lambda _, command: taken.append(command))
    start.s3()
    ports = free_ports(8)
    changed = [f"-dir={disk}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-filer.localSocket={disk}/filer.sock"]
    for number, part in enumerate(("master", "volume", "filer", "s3")):
        changed += [f"-{part}.port={ports[2 * number]}", f"-{part}.port.grpc={ports[2 * number + 1]}"]
    return [str(Path(sys.executable).with_name("weed")), *taken[0][1:], *changed], ports[6]


def _await(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    """Until the server refuses a request without credentials, as the container's health check does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(endpoint, timeout=5)
        except urllib.error.HTTPError as refused:
            if refused.code == 403:
                return
        except OSError:
            pass
        assert server.poll() is None and time.monotonic() < deadline, "SeaweedFS did not start"
        time.sleep(0.1)


def test_all_buckets_of_the_stack_can_be_written_to_where_6_gb_are_free(s3_on_a_disk_of: Started) -> None:
    s3_on_a_disk_of("6g")
    start.buckets(BUCKETS)
    start.buckets(BUCKETS)  # as at every later start


def test_too_little_room_is_said_before_anything_else_starts(
    s3_on_a_disk_of: Started, capfd: pytest.CaptureFixture[str]
) -> None:
    s3_on_a_disk_of("1g")
    with pytest.raises(SystemExit) as ended:
        start.buckets(BUCKETS, seconds=0)
    assert ended.value.code == start.EXIT_UNAVAILABLE
    assert "S3 takes no object into bucket" in (said := capfd.readouterr().err)
    assert "needs 6 GB free" in said and "InternalError" in said
