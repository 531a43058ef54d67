"""What the tests share: a real S3 server, and the folder of real data where it exists."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
KEY, SECRET = "tokenmill-test-key", "tokenmill-test-secret-8kQz"


# A kernel's first call compiles it, and no test asserts a time. The same examples everywhere: for new ones there is
# `make fuzz`.
settings.register_profile("tokenmill", deadline=None, derandomize=True)
settings.load_profile("tokenmill")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """With TOKENMILL_REQUIRE_DOCKER, as in CI, a container test that is skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("TOKENMILL_REQUIRE_DOCKER") and item.get_closest_marker("docker"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but TOKENMILL_REQUIRE_DOCKER is set: {report.longrepr}"
    return report


@pytest.fixture
def shared_data() -> Path:
    """The folder of real test data beside the checkout; the test is skipped, naming it, where it is missing."""
    if not DATA.is_dir():
        pytest.skip(f"needs the shared data folder {DATA}")
    return DATA


def free_ports(count: int) -> list[int]:
    """Free TCP ports below the range from which clients get theirs (the server also opens port + 10000)."""
    found: list[int] = []
    # `make test` runs two processes at once: those of the other one are elsewhere, and may not listen yet
    port = 21_000 + (64 * os.getpid()) % 3_000
    while len(found) < count:
        port += 1
        with contextlib.closing(socket.socket()) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a SeaweedFS S3 server that runs for the whole test session."""
    home = tmp_path_factory.mktemp("s3")
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": "test", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (home / "s3.json").write_text(json.dumps({"identities": [identity]}))
    parts = ("master", "volume", "filer", "s3")
    ports = free_ports(8)
    command = [
        str(Path(sys.executable).with_name("weed")),
        "server",
        f"-dir={home}",
        "-ip=127.0.0.1",
        "-filer",
        "-s3",
    ]
    command += ["-ip.bind=127.0.0.1", f"-s3.config={home / 's3.json'}", "-master.volumeSizeLimitMB=64"]
    command += [
        "-volume.max=0",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-filer.localSocket={home / 'filer.sock'}",
    ]
    for number, part in enumerate(parts):
        command += [f"-{part}.port={ports[2 * number]}", f"-{part}.port.grpc={ports[2 * number + 1]}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=home)
    endpoint = f"http://127.0.0.1:{ports[6]}"
    try:
        _make_bucket(endpoint, process)
        yield endpoint
    finally:
        process.kill()  # its graceful end takes half a minute, and its data goes anyway
        process.wait()


def _make_bucket(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(
            retries={"max_attempts": 1}, connect_timeout=2, read_timeout=5, s3={"addressing_style": "path"}
        ),
    )
    deadline = time.monotonic() + 90
    while True:
        assert process.poll() is None, "the S3 server ended at its start"
        try:
            client.create_bucket(Bucket="test")
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A root of its own for one test, on the S3 server, with the credentials in the environment."""
    from steps.core.parts import cached_store, open_artifact

    for name, value in (
        ("AWS_ENDPOINT_URL", s3_server),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    cached_store.cache_clear()  # a store keeps the client, which keeps the credentials it was made with
    open_artifact.cache_clear()
    return f"s3://test/{request.node.name.replace('[', '-').rstrip(']')}-{time.time_ns()}"
