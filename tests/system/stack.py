"""A stack of its own for the tests: docker-compose.yml under another project, network and ports."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images import environment
from images.build import tag_of
from images.context import IMAGES, ROOT, context_digest
from tests.conftest import free_ports
from tests.images.engine import built_tags, lacking

PROJECT = "tokenmill-test"
SERVICES = (
    *("postgres", "s3", "mlflow"),
    *("airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"),
)


@dataclass(frozen=True)
class Stack:
    """The settings of a stack, and `docker-compose` on it."""

    settings: dict[str, str]
    file: Path

    @classmethod
    def prepare(cls, folder: Path) -> Stack:
        """Settings on free ports with passwords of their own; the test is skipped where something is missing."""
        tags = built_tags()
        if not compose_command():
            lacking("needs docker-compose or `docker compose`")
        names = {setting: tags[name] for name, setting in environment.COMPOSE_IMAGES.items() if name in tags}
        ports = dict(zip(("S3_PORT", "MLFLOW_PORT", "AIRFLOW_PORT"), map(str, free_ports(3)), strict=True))
        own = {
            **{"COMPOSE_PROJECT_NAME": PROJECT, "TOKENMILL_NETWORK": PROJECT},
            "POSTGRES_IMAGE": os.environ.get("POSTGRES_IMAGE") or stand_in(),
        }
        file = folder / ".env"
        return cls(environment.update({**names, **ports, **own}, file), file)

    def compose(self, *arguments: str, timeout: float = 300) -> str:
        """Output of a docker-compose command; asserts that it ends well."""
        command = [
            *compose_command(),
            "--file",
            str(ROOT / "docker-compose.yml"),
            "--env-file",
            str(self.file),
        ]
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
        done = subprocess.run(
            [*command, *arguments], env=kept, capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def up(self, seconds: float = 300) -> None:
        """Starts the stack and waits until every service is healthy."""
        self.compose("up", "--detach")
        wait_until(lambda: set(self.health().values()) == {"healthy"}, seconds, self.health)

    def health(self) -> dict[str, str]:
        """Health of each service, as the engine sees it."""
        found = {}
        for name in SERVICES:
            container = self.compose("ps", "--quiet", name).strip()
            form = "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}"
            inspect = ["docker", "inspect", "--format", form, container]
            done = subprocess.run(inspect, capture_output=True, text=True, timeout=60)
            found[name] = done.stdout.strip() if container else "not there"
        return found

    def down(self) -> None:
        """Ends everything, the step containers on the network included, and removes the volumes."""
        listing = [
            "docker",
            "ps",
            "--all",
            "--quiet",
            "--filter",
            f"network={PROJECT}",
            "--filter",
            "label=tokenmill.dag",
        ]
        steps = subprocess.run(listing, capture_output=True, text=True, timeout=60).stdout.split()
        self.compose("stop", "--timeout", "5", "airflow-scheduler")
        if steps:
            subprocess.run(["docker", "rm", "--force", *steps], capture_output=True, timeout=120)
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def url(self, service: str) -> str:
        """Address of S3, MLFLOW or AIRFLOW on this machine."""
        return f"http://127.0.0.1:{self.settings[f'{service}_PORT']}"

    def s3_environment(self, identity: str = "S3") -> dict[str, str]:
        """AWS_* variables of the stack's S3 server, for the steps' identity or for MLFLOW_S3."""
        return {
            "AWS_ENDPOINT_URL": self.url("S3"),
            "AWS_ACCESS_KEY_ID": self.settings[f"{identity}_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.settings[f"{identity}_SECRET_KEY"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def compose_command() -> list[str]:
    """docker-compose where it is installed, else the engine's own plugin, else nothing."""
    if found := shutil.which("docker-compose"):
        return [found]
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ["docker", "compose"] if plugin.returncode == 0 else []


def stand_in() -> str:
    """The PostgreSQL image built from Debian's packages, where it is there, else the public one."""
    tag = tag_of(IMAGES["postgres"], context_digest(IMAGES["postgres"], {}))
    there = subprocess.run(["docker", "image", "inspect", tag], capture_output=True).returncode == 0
    return tag if there else ""


def wait_until(true: Callable[[], bool], seconds: float, say: Callable[[], Any]) -> None:
    """Returns when ``true()`` is; fails after ``seconds`` with what ``say()`` knows."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {say()}"
        time.sleep(1)
