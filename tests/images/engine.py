"""The Docker engine and the built images, for tests that need them."""

from __future__ import annotations

import functools
import os
from typing import Any, NoReturn

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

from images import build
from images.context import IMAGES


@functools.cache
def built_tags() -> dict[str, str]:
    """Tags of the images that this checkout's sources call for, by name.

    The test is skipped, saying what to do, where there is no engine or they are not built; it fails where
    TOKENMILL_REQUIRE_DOCKER is set.
    """
    engine: Any
    try:
        engine = docker.from_env(timeout=120)
        engine.ping()
    except DockerException:
        lacking("needs a Docker engine")
    arguments = build.arguments_that_count()
    if stale := build.stale([name for name, image in IMAGES.items() if image.pinned], arguments):
        lacking(f"needs the images of these sources, run `make images`: {'; '.join(stale)}")
    tags = {name: entry["tag"] for name, entry in build.read_lock().items()}
    for tag in tags.values():
        try:
            engine.images.get(tag)
        except ImageNotFound:
            lacking(f"needs {tag} on the engine, run `make images`")
    return tags


def lacking(reason: str) -> NoReturn:
    """Skips the test, or fails it where container tests are required."""
    if os.environ.get("TOKENMILL_REQUIRE_DOCKER"):
        pytest.fail(reason)
    pytest.skip(reason)
