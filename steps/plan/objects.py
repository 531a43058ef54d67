"""Lists a source's raw objects and fixes each by size and sha256."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from steps.core.errors import ConfigError
from steps.core.recipe import RecipeSource
from steps.core.source import SourceObject
from steps.core.store import Store, open_store
from steps.plan.addresses import is_address, list_addresses

_BLOCK = 4 << 20
_THREADS = 8


def filled_uri(source: RecipeSource, dump: str | None) -> str:
    """The source's URI with {dump} and {inbox} filled in, a path made absolute.

    Raises ConfigError where the URI needs a dump or inbox that is not given.
    """
    uri = source.uri
    for name, value in (("dump", dump), ("inbox", os.environ.get("TOKENMILL_INBOX"))):
        if f"{{{name}}}" in uri:
            if not value:
                raise ConfigError(
                    f"sources.{source.name}.uri needs a {name}: "
                    + (
                        "trigger with a partition key or the param `dump`"
                        if name == "dump"
                        else "set TOKENMILL_INBOX"
                    )
                )
            uri = uri.replace(f"{{{name}}}", value.rstrip("/"))
    if "://" not in uri:
        uri = f"file://{Path(uri).resolve()}" + ("/" if uri.endswith("/") or Path(uri).is_dir() else "")
    return uri


def list_objects(source: RecipeSource, dump: str | None) -> tuple[str, list[SourceObject]]:
    """The source's folder URI and its objects sorted by key, each read once to fix its sha256 (on the web: asked for
    its size and version).

    ``_SUCCESS`` and hidden objects are not data. Raises ConfigError if the pattern matches nothing.
    """
    uri = filled_uri(source, dump)
    if is_address(uri):
        return list_addresses(source.name, uri)
    folder, _, pattern = uri.rpartition("/")
    pattern = pattern or "*"
    store = open_store(folder)
    keys = [
        info.key for info in store.list("") if _is_data(info.key) and fnmatch.fnmatchcase(info.key, pattern)
    ]
    if not keys:
        raise ConfigError(f"sources.{source.name}: nothing matches {pattern!r} in {folder}")
    with ThreadPoolExecutor(_THREADS) as pool:
        return folder, list(pool.map(lambda key: _fixed(store, source.name, key), sorted(keys)))


def _is_data(key: str) -> bool:
    name = key.rsplit("/", 1)[-1]
    return not name.startswith((".", "_"))


def _fixed(store: Store, source: str, key: str) -> SourceObject:
    digest, size = hashlib.sha256(), 0
    with store.open(key) as stream:
        for block in _blocks(stream.read):
            digest.update(block)
            size += len(block)
    return SourceObject(source=source, key=key, bytes=size, sha256=digest.hexdigest())


def _blocks(read: object) -> Iterable[bytes]:
    while block := read(_BLOCK):  # type: ignore[operator]
        yield block
