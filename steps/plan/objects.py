"""Lists a source's raw objects and fixes each by size and sha256."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from steps.core.errors import ConfigError
from steps.core.pipeline import stages
from steps.core.recipe import Recipe, RecipeSource
from steps.core.source import Kind, SourceObject
from steps.core.store import Store, open_store
from steps.plan.addresses import is_address, list_addresses

SUCCESS = "_SUCCESS"
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
        info.key
        for info in store.list("")
        if _is_data(info.key, source.kind) and fnmatch.fnmatchcase(info.key, pattern)
    ]
    if not keys:
        raise ConfigError(f"sources.{source.name}: nothing matches {pattern!r} in {folder}")
    with ThreadPoolExecutor(_THREADS) as pool:
        return folder, list(pool.map(lambda key: _fixed(store, source.name, key), sorted(keys)))


def split_sources(
    recipe: Recipe, listed: Sequence[Sequence[SourceObject]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and objects of the sources that become corpora, and of the benchmarks.

    Raises ConfigError for a benchmark in a DAG that has no such stage.
    """
    read = any("run:benchmarks" in stage.inputs.values() for stage in stages(recipe.dag))
    found: tuple[dict[str, Any], ...] = tuple({"sources": [], "objects": []} for _ in range(2))
    for source, items in zip(recipe.sources, listed, strict=True):
        if source.kind == "benchmark" and not read:
            raise ConfigError(
                f"sources.{source.name}: no stage of DAG {recipe.dag} reads sources of kind benchmark"
            )
        side = found[source.kind == "benchmark"]
        side["sources"].append(source.settings())
        side["objects"].extend(items)
    return found[0], found[1]


def _is_data(key: str, kind: Kind) -> bool:
    name = key.rsplit("/", 1)[-1]
    if kind == "benchmark":  # the harness' templates are named _default_template_yaml and the like
        return not name.startswith(".") and name != SUCCESS
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
