"""Puts dumps into the demo's inbox: the sample, or somebody's own WARC, WET, JSONL or Parquet files."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugins.inbox import MARKER, s3_client

_DATA = re.compile(r"\.(warc|wet|jsonl?|parquet)(\.(gz|zst|lz4))?$", re.IGNORECASE)
_BLOCK = 4 << 20


class NoData(Exception):
    """The place that was named holds nothing to work on; the message names it."""


class Inbox:
    """The bucket of the demo's S3 server in which dumps arrive."""

    def __init__(self, environment: dict[str, str], bucket: str) -> None:
        self.client, self.bucket = s3_client(environment), bucket

    def deliver(self, name: str, files: dict[str, Path], say: Callable[[str], None]) -> str:
        """Upload ``files`` (by key in the dump) and then the marker; returns the dump's name.

        The name gets the digest of keys and contents, so that a dump that is there needs no second look.
        """
        dump = f"{name}-{content_digest(files)[:8]}"
        if self._exists(f"{dump}/{MARKER}"):
            return dump
        size = sum(path.stat().st_size for path in files.values())
        say(f"uploading {len(files)} files, {size / 1e6:.1f} MB, as dump {dump}")
        self.upload(dump, files)
        self.client.put_object(Bucket=self.bucket, Key=f"{dump}/{MARKER}", Body=b"")
        return dump

    def upload(self, folder: str, files: dict[str, Path]) -> None:
        """Upload files below ``folder``, replacing what is there."""
        for key, path in files.items():
            self.client.upload_file(str(path), self.bucket, f"{folder}/{key}")

    def _exists(self, key: str) -> bool:
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=key, MaxKeys=1)
        return any(item["Key"] == key for item in found.get("Contents", []))


def content_digest(files: dict[str, Path]) -> str:
    """sha256 over the keys and contents of ``files``."""
    digest = hashlib.sha256()
    for key, path in sorted(files.items()):
        with path.open("rb") as file:
            digest.update(f"{key}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def files_below(folder: Path) -> dict[str, Path]:
    """Every visible file below ``folder`` by its relative path, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        key: path for key, path in named.items() if not any(p.startswith((".", "_")) for p in key.split("/"))
    }


@contextmanager
def own_files(place: str) -> Iterator[tuple[str, dict[str, Path]]]:
    """Name and files of somebody's own data: a file, a folder, or an s3:// address.

    What comes from S3 (with the caller's own AWS_* settings) is kept only inside the block. Raises NoData.
    """
    if place.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="tokenmill-dump-") as folder:
            _download(place, Path(folder))
            yield slug(place), _data_files(place, files_below(Path(folder)))
        return
    path = Path(place).expanduser()
    if path.is_dir():
        yield slug(path.resolve().name), _data_files(place, files_below(path))
    elif path.is_file():
        yield slug(path.name), _data_files(place, {path.name: path})
    else:
        raise NoData(f"{place}: there is no such file or folder")


def slug(place: str) -> str:
    """A short name for a place, fit for keys."""
    name = _DATA.sub("", place.rstrip("/").rsplit("/", 1)[-1]).lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:40] or "own"


def _data_files(place: str, files: dict[str, Path]) -> dict[str, Path]:
    found = {key: path for key, path in files.items() if _DATA.search(key)}
    if not found:
        raise NoData(f"{place}: no .warc, .wet, .jsonl or .parquet files (.gz, .zst, .lz4) in it")
    return found


def _download(place: str, folder: Path) -> None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, prefix = place.removeprefix("s3://").partition(
        "/"
    )  # no urlsplit: "#" and "?" are parts of keys
    client: Any = boto3.client("s3")
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                relative = item["Key"][len(prefix) :].lstrip("/") or item["Key"].rsplit("/", 1)[-1]
                target = (folder / relative).resolve()
                if not target.is_relative_to(folder.resolve()) or item["Key"].endswith("/"):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(bucket, item["Key"], str(target))
    except (ClientError, BotoCoreError) as error:
        raise NoData(f"{place}: {error}") from None
