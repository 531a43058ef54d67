"""The catalog's list of live de-duplication indexes: a published dump's enters, those that it took over leave."""

from __future__ import annotations

from typing import Any, NamedTuple

from steps.core.artifact import Artifact
from steps.core.catalog import index_dumps
from steps.core.dedup_index import HOLDS, members
from steps.core.errors import Overtaken


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


def overtaken_by(value: dict[str, Any], new: NewIndex, corpus: str, dump: str) -> list[str]:
    """Dumps (``corpus/dump``) in the catalog's live indexes that the new one was not compared with.

    This dump itself is among them where its earlier publication lies in an index that the new one did not take over:
    it cannot be cut out of there.
    """
    late = set()
    for dumps in _live(value):
        others = {digest: held for digest, held in dumps if _name(held) != (corpus, dump)}
        rest = {digest: held for digest, held in others.items() if digest not in new.holds}
        late |= {_name(held) for digest, held in rest.items() if digest not in new.compared}
        if rest:
            late |= {_name(held) for digest, held in dumps if digest not in rest}
    return sorted("/".join(name) for name in late)


def with_index(value: dict[str, Any], new: NewIndex, corpus: str, dump: str) -> dict[str, Any]:
    """The catalog's live indexes with the new one; those whose dumps it took over and an earlier one of its dump go.

    Idempotent. Raises Overtaken if a dump was published that the new one was not compared with (`overtaken_by`), or if
    it took over what is no longer live: the de-duplication must then be repeated.
    """
    mine = {"corpus": corpus, "dump": dump, "ref": new.ref}
    live = _live(value)
    if any(held == mine for dumps in live for _, held in dumps):
        return value
    found = {digest: held for dumps in live for digest, held in dumps if _name(held) != (corpus, dump)}
    late = overtaken_by(value, new, corpus, dump)
    if late or new.holds - found.keys():
        raise Overtaken(
            f"{', '.join(late) or 'another dump'} was published since this dump was compared with what is published, "
            "each time that it was compared again; retry later"
        )
    stay = [
        entry
        for entry, dumps in zip(value.get("live", ()), live, strict=True)
        if any(digest in found and digest not in new.holds for digest, _ in dumps)
    ]
    holds = sorted((found[digest] for digest in new.holds), key=_name)
    return {**value, "live": [*stay, {**mine, "holds": holds} if holds else mine]}


def published_index(value: dict[str, Any], corpus: str, dump: str) -> str | None:
    """Reference of the index that was made of this dump when it was published, if it was."""
    return next(
        (held["ref"] for dumps in _live(value) for _, held in dumps if _name(held) == (corpus, dump)), None
    )


def _live(value: dict[str, Any]) -> list[list[tuple[str, dict[str, str]]]]:
    """For each live index the dumps that it holds, with their indexes' digests."""
    return [[(_digest(held["ref"]), held) for held in index_dumps(entry)] for entry in value.get("live", ())]


def _name(held: dict[str, str]) -> tuple[str, str]:
    return held["corpus"], held["dump"]


def _digest(ref: str) -> str:
    return ref.rpartition("@")[2]
