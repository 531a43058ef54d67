"""The catalog: the few mutable pointers, changed only by compare-and-swap, with their history kept (CONTRACT §6).

Names: ``corpora``, ``language_models``, ``classifiers``, ``dedup_index``, ``looks``, ``takedowns``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from steps.core.digest import canonical_json
from steps.core.errors import DataError, ServiceError
from steps.core.store import ObjectMissing, Store

_ATTEMPTS = 50


def index_dumps(entry: dict[str, Any]) -> list[dict[str, str]]:
    """The dumps whose keys a live de-duplication index (an entry of ``dedup_index``) holds: corpus, dump, and the
    reference of the index that was made of it; its own first."""
    return [{name: entry[name] for name in ("corpus", "dump", "ref")}, *entry.get("holds", ())]


def live_indexes(value: dict[str, Any], corpus: str, dump: str | None) -> tuple[dict[str, str], str | None]:
    """From ``dedup_index``: the live indexes of what is published, numbered, and the index that was made of this
    very dump inside one of them.

    An index of that dump only is left out, and of an index that holds it among others de-duplication leaves it out: a
    repeat never meets itself.
    """
    others, own = [], None
    for entry in value.get("live", []):
        held = {(d["corpus"], d["dump"]): d["ref"] for d in index_dumps(entry)}
        if held.keys() != {(corpus, dump)}:
            others.append(entry["ref"])
            own = held.get((corpus, dump or ""), own)
    return {f"{number:03d}": ref for number, ref in enumerate(others)}, own


class Catalog:
    """Small JSON objects below ``catalog/`` of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: str) -> dict[str, Any]:
        """The pointer's current value; empty where nothing was written yet."""
        return self._read(name)[0]

    def update(self, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Replace the value by ``change(value)``; repeated with the new value if somebody was faster.

        A change that alters nothing writes nothing. Every value that was current is kept under
        ``catalog/history/<name>/<number>.json``. Raises ServiceError after 50 lost races.
        """
        for _ in range(_ATTEMPTS):
            value, number, etag = self._read(name)
            changed = change(json.loads(json.dumps(value)))
            if changed == value:
                return value
            data = canonical_json({"number": number + 1, "value": changed})
            if self._store.replace(f"catalog/{name}.json", data, etag):
                self._store.create(f"catalog/history/{name}/{number + 1:08d}.json", data)
                return changed
        raise ServiceError(f"catalog {name} is changed by others all the time; retry later")

    def history(self, name: str) -> list[dict[str, Any]]:
        """Every value the pointer has had, oldest first."""
        keys = [info.key for info in self._store.list(f"catalog/history/{name}/")]
        return [json.loads(self._store.get(key))["value"] for key in keys]

    def _read(self, name: str) -> tuple[dict[str, Any], int, str | None]:
        try:
            data, etag = self._store.get_with_etag(f"catalog/{name}.json")
        except ObjectMissing:
            return {}, 0, None
        try:
            content = json.loads(data)
            return content["value"], content["number"], etag
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f"catalog/{name}.json in {self._store.uri} is damaged; restore it from its history"
            ) from None
