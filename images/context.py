"""What goes into each image: its files, their digest, and the tar that the Docker engine gets.

The context digest is what images.lock pins: sha256 over the sorted paths, modes and sha256s of every file of
the context (Dockerfile, lock files, sources; the default base image stands in the Dockerfile) and the build
arguments that change what is inside. It does not cover the site's own base image and settings, so that one
committed lock holds everywhere; which base an image was built from is on its label.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SITE = "images/site"
EPOCH = 315532800  # 1980-01-01: one time for all files, so that only their content counts
NEVER = re.compile(r"(^|/)(__pycache__|\.[^/]*)(/|$)|\.py[co]$|~$")
# Steps look the versions of other steps' libraries up in these (`plan --dry-run`).
STEPS = ("pyproject.toml", "requirements/all.txt", "requirements/torch.txt", "steps/**/*", "configs/**/*")
START = ("images/__init__.py", "images/start.py")
BUILD = ("requirements/uv.txt", "requirements/build.txt", "images/install.sh")


class ContextError(Exception):
    """A context cannot be put together; the message says which file is missing."""


@dataclass(frozen=True)
class Image:
    """One image: the patterns of its files (relative to the root), and the build arguments that count."""

    name: str
    files: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    pinned: bool = True  # built by default, and in images.lock

    @property
    def dockerfile(self) -> str:
        return f"images/{self.name}/Dockerfile"


IMAGES = {
    image.name: image
    for image in (
        Image(
            "factory",
            (
                *(*BUILD, *STEPS, "requirements/factory.txt", "demo/__init__.py", "demo/lmplz.py"),
                *("images/__init__.py", "images/warm.py", "demo/texts/zh.jsonl", "demo/texts/en.jsonl"),
            ),
        ),
        Image(
            "trainer",
            (*BUILD, *STEPS, "requirements/trainer.txt", "images/__init__.py", "images/warm.py"),
            arguments=("TORCH",),
        ),
        Image(
            "airflow",
            # all of the steps, though DAG forms import their config modules only: those may import beside them
            (*BUILD, *STEPS, *START, "requirements/airflow.txt", "dags/**/*", "plugins/**/*"),
        ),
        Image("services", (*BUILD, *START, "requirements/services.txt")),
        Image("postgres", ("images/postgres/entrypoint.sh",), pinned=False),
    )
}


def context_files(image: Image, root: Path = ROOT) -> dict[str, Path]:
    """The files of an image by their path in the context, sorted. Raises ContextError for what is not there."""
    found: dict[str, Path] = {}
    for pattern in (image.dockerfile, *image.files):
        matches = {str(path.relative_to(root)): path for path in root.glob(pattern) if path.is_file()}
        kept = {name: path for name, path in matches.items() if not NEVER.search(name)}
        if not kept:
            raise ContextError(f"image {image.name} needs {pattern}, and there is no such file in {root}")
        found |= kept
    return dict(sorted(found.items()))


def context_digest(image: Image, arguments: Mapping[str, str], root: Path = ROOT) -> str:
    """64 hex digits that change when anything that goes into the image changes."""
    files = {
        name: [mode(path), hashlib.sha256(path.read_bytes()).hexdigest()]
        for name, path in context_files(image, root).items()
    }
    chosen = {name: arguments[name] for name in image.arguments}
    payload = {"image": image.name, "arguments": chosen, "files": files}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def mode(path: Path) -> int:
    """0755 for what its owner may execute, else 0644: a checkout's umask must not count."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def site_files(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """The site's settings and wheels; at least the folder's README, which makes the folder exist."""
    for path in sorted((root / SITE).rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path


def write_context(image: Image, target: io.BufferedIOBase, root: Path = ROOT) -> None:
    """The build context as a tar: the same bytes for the same files."""
    files = context_files(image, root)
    if any(name.startswith("requirements/") for name in files):
        files |= dict(site_files(root))
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, path in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = path.stat().st_size, mode(path), EPOCH
            with path.open("rb") as content:
                archive.addfile(entry, content)
