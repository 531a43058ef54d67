"""Builds the images and writes images/images.lock: `python -m images.build [NAME ...]`.

    python -m images.build                the four images of the stack, and images.lock
    python -m images.build postgres       the stand-in for a site without a registry (not in images.lock)
    python -m images.build --check        says which entries of images.lock are stale; builds nothing
    python -m images.build --tag postgres prints the tag that the sources call for; builds nothing

An image that is there with the right context and base is left alone. Settings, from the environment:
BASE_IMAGE (default: the one in the Dockerfiles), TORCH=cpu|cuda for the trainer (default cpu), proxies and
indexes as in images/site/README.md. The tags of the images that docker-compose.yml runs go into .env.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from images import environment
from images.context import IMAGES, ROOT, ContextError, Image, context_digest, write_context

LOCK = ROOT / "images" / "images.lock"
LABEL, BASE_LABEL = "tokenmill.context-sha256", "tokenmill.base-id"
PASSED = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("UV_DEFAULT_INDEX", "UV_INDEX", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
)
EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_CONFIG = 64, 69, 78


class BuildFailed(Exception):
    """An image could not be built; the message is for a person."""

    def __init__(self, message: str, code: int = EXIT_UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


def arguments_that_count() -> dict[str, str]:
    """Build arguments that change what is in an image."""
    torch = os.environ.get("TORCH", "").strip().lower() or "cpu"
    if torch not in ("cpu", "cuda"):
        raise BuildFailed(f"TORCH is {torch!r}: set it to cpu or cuda", EXIT_CONFIG)
    return {"TORCH": torch}


def tag_of(image: Image, digest: str) -> str:
    """tokenmill/<name>:<first twelve digits of the context digest>."""
    return f"tokenmill/{image.name}:{digest[:12]}"


def base_image() -> str:
    """BASE_IMAGE, else the default that stands in the Dockerfiles."""
    if chosen := os.environ.get("BASE_IMAGE", "").strip():
        return chosen
    text = (ROOT / IMAGES["factory"].dockerfile).read_text(encoding="utf-8")
    found = re.search(r"^ARG BASE_IMAGE=(\S+)$", text, re.MULTILINE)
    if found is None:
        raise BuildFailed(f"{IMAGES['factory'].dockerfile} names no default BASE_IMAGE", EXIT_CONFIG)
    return found.group(1)


def base_id(client: Any, base: str) -> str:
    """The engine's id of the base image, which is pulled where it is not there."""
    try:
        return str(client.images.get(base).id)
    except ImageNotFound:
        say(f"pulling {base}")
    try:
        return str(client.images.pull(base).id)
    except APIError as error:
        raise BuildFailed(
            f"the base image {base} is not on this engine and cannot be pulled ({error.explanation}): name one "
            "with BASE_IMAGE; `sh .ci/base` makes one without a registry"
        ) from None


def build(client: Any, image: Image, digest: str, arguments: Mapping[str, str], base: str) -> str:
    """Builds one image, or finds it built already; returns its id. Raises BuildFailed with the output's end."""
    tag, parent = tag_of(image, digest), base_id(client, base)
    labels = {LABEL: digest, BASE_LABEL: parent}
    try:
        present = client.images.get(tag)
        if labels.items() <= present.labels.items():
            say(f"{tag} is up to date")
            return str(present.id)
    except ImageNotFound:
        pass
    say(f"building {tag}")
    began = time.monotonic()
    chosen = {name: arguments[name] for name in image.arguments}
    passed = {name: os.environ[name] for name in PASSED if os.environ.get(name)}
    with tempfile.TemporaryFile() as context:
        write_context(image, context)
        context.seek(0)
        stream = client.api.build(
            fileobj=context,
            custom_context=True,
            dockerfile=image.dockerfile,
            tag=tag,
            buildargs={**passed, **chosen, "BASE_IMAGE": base},
            labels=labels,
            rm=True,
            forcerm=True,
            decode=True,
        )
        follow(image, stream)
    built = client.images.get(tag)
    say(f"{tag} built in {time.monotonic() - began:.0f} s, {built.attrs['Size'] / 1e6:.0f} MB")
    return str(built.id)


def follow(image: Image, stream: Any) -> None:
    """One line per build step; everything, where the build fails."""
    lines: list[str] = []
    for event in stream:
        text = event.get("stream", "")
        lines += text.rstrip("\n").split("\n") if text.strip() else []
        if text.startswith("Step "):
            print(f"  {text.strip()[:150]}", flush=True)
        if "error" in event:
            print("\n".join(lines[-60:]), file=sys.stderr)
            raise BuildFailed(f"image {image.name} cannot be built: {event['error'].strip()}")


def read_lock() -> dict[str, dict[str, str]]:
    """The entries of images.lock, empty where it is not there."""
    try:
        return dict(json.loads(LOCK.read_text(encoding="utf-8"))["images"])
    except FileNotFoundError:
        return {}


def write_lock(entries: Mapping[str, Mapping[str, str]]) -> None:
    """images.lock: tag and context digest by image name, what the operator checks before it starts anything."""
    text = json.dumps({"images": dict(sorted(entries.items()))}, indent=2) + "\n"
    fresh = LOCK.with_name(LOCK.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(LOCK)


def stale(names: list[str], arguments: Mapping[str, str]) -> list[str]:
    """One line per entry of images.lock that the sources have left behind."""
    entries, lines = read_lock(), []
    for name in names:
        digest = context_digest(IMAGES[name], arguments)
        pinned = entries.get(name, {}).get("context", "nothing")
        if pinned != digest:
            lines.append(f"{name}: images.lock pins {pinned[:12]}, the sources are {digest[:12]}")
    return lines


def git_commit() -> str:
    """The commit of this checkout, `-dirty` where files differ from it, empty outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def connect() -> Any:
    """The Docker engine. Raises BuildFailed where none answers."""
    try:
        client = docker.from_env(timeout=1800)
        client.ping()
    except DockerException as error:
        raise BuildFailed(f"no Docker engine answers ({error}): start one, or set DOCKER_HOST") from None
    return client


def build_all(names: list[str], arguments: Mapping[str, str]) -> None:
    """Builds the named images; pins those that are pinned, and tells docker-compose.yml through .env."""
    client, base = connect(), base_image()
    entries: dict[str, dict[str, str]] = {}
    settings: dict[str, str] = {}
    for name in names:
        image = IMAGES[name]
        digest = context_digest(image, arguments)
        build(client, image, digest, arguments, base)
        if image.pinned:
            entries[name] = {"tag": tag_of(image, digest), "context": digest}
        if name in environment.COMPOSE_IMAGES:
            settings[environment.COMPOSE_IMAGES[name]] = tag_of(image, digest)
    kept = {name: entry for name, entry in read_lock().items() if name in IMAGES}
    write_lock({**kept, **entries})
    environment.update({**settings, "TOKENMILL_GIT": git_commit()})
    current = {tag_of(image, context_digest(image, arguments)) for image in IMAGES.values()}
    if line := left_behind(client, current | {entry["tag"] for entry in read_lock().values()}):
        say(line)


def left_behind(client: Any, current: set[str]) -> str:
    """What images of older sources (or of another checkout) take, and the command that removes them; or nothing.

    They stay until a person says so: a stack may be running on them, or another checkout be at these sources.
    """
    old = [image for image in client.images.list(filters={"label": LABEL}) if not current & set(image.tags)]
    if not old:
        return ""
    names = sorted(name for image in old for name in image.tags or [image.id])
    many = "1 image of other sources is" if len(old) == 1 else f"{len(old)} images of other sources are"
    return (
        f"{many} on this engine, {sum(i.attrs['Size'] for i in old) / 1e9:.1f} GB with "
        "what they share. Where nothing needs them, they and the stages that builds keep go with\n"
        f"  docker image rm {' '.join(names)}; docker image prune --force"
    )


def say(text: str) -> None:
    """One line of progress."""
    print(f"images: {text}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 done (with --check: nothing stale), 65 stale, 69 no engine or a failed build."""
    parser = argparse.ArgumentParser(
        prog="python -m images.build", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("names", nargs="*", choices=[*IMAGES, []], metavar="NAME", help=", ".join(IMAGES))
    parser.add_argument(
        "--check", action="store_true", help="say what is stale in images.lock, build nothing"
    )
    parser.add_argument("--tag", action="store_true", help="print the tags that the sources call for")
    options = parser.parse_args(arguments)
    names = options.names or [name for name, image in IMAGES.items() if image.pinned]
    try:
        counting = arguments_that_count()
        if options.tag:
            print(*(tag_of(IMAGES[name], context_digest(IMAGES[name], counting)) for name in names), sep="\n")
        elif options.check:
            lines = stale(names, counting)
            print("\n".join(lines) or "images.lock is up to date")
            return 65 if lines else 0
        else:
            build_all(names, counting)
    except (BuildFailed, ContextError) as error:
        print(f"images: {error}", file=sys.stderr)
        return getattr(error, "code", EXIT_CONFIG)
    return 0


if __name__ == "__main__":
    sys.exit(main())
