"""The catalog's list of live de-duplication indexes: a published dump's enters, those that it took over leave."""

from __future__ import annotations

from typing import Any, NamedTuple

from steps.core.artifact import Artifact
from steps.core.catalog import index_dumps
from steps.core.dedup_index import HOLDS, members
from steps.core.errors import DataError


class NewIndex(NamedTuple):
    """A dump's index: its reference, and digests of the earlier dumps' that it took over and was compared with."""

    ref: str
    holds: frozenset[str]
    compared: frozenset[str]


def new_index(deduplicated: Artifact) -> NewIndex:
    """What the catalog needs to know of a deduplicate artifact."""
    given = [name for name in deduplicated.input_names() if name.startswith("index.")]
    compared = {digest for name in given for digest in members(deduplicated.input(name))}
    return NewIndex(deduplicated.local_ref, frozenset(deduplicated.facts.get(HOLDS, ())), frozenset(compared))


def with_index(value: dict[str, Any], new: NewIndex, corpus: str, dump: str) -> dict[str, Any]:
    """The catalog's live indexes with the new one; those whose dumps it took over and an earlier one of its dump go.

    Idempotent. Raises DataError if a dump was published since that the new one was not compared with, or if its own
    earlier publication lies in an index that it did not take over: the de-duplication must then be repeated.
    """
    live = value.setdefault("live", [])
    mine = {"corpus": corpus, "dump": dump, "ref": new.ref}
    if any(mine in index_dumps(entry) for entry in live):
        return value
    stay, late, found = [], [], {}
    for entry in live:
        dumps = [(_digest(held["ref"]), held) for held in index_dumps(entry)]
        others = {digest: held for digest, held in dumps if (held["corpus"], held["dump"]) != (corpus, dump)}
        rest = {digest: held for digest, held in others.items() if digest not in new.holds}
        found.update(others)
        late += [held for digest, held in rest.items() if digest not in new.compared]
        if rest:
            stay.append(entry)
            late += [
                held for digest, held in dumps if digest not in rest
            ]  # it cannot be cut out of the index
    missing = new.holds - found.keys()
    if late or missing:
        names = ", ".join(sorted({f"{held['corpus']}/{held['dump']}" for held in late})) or "another dump"
        raise DataError(
            f"{names} was published since this dump was compared with what is published; trigger a new run, "
            "which de-duplicates against it and reuses every earlier stage"
        )
    holds = sorted((found[digest] for digest in new.holds), key=lambda held: (held["corpus"], held["dump"]))
    value["live"] = [*stay, {**mine, "holds": holds} if holds else mine]
    return value


def _digest(ref: str) -> str:
    return ref.rpartition("@")[2]
