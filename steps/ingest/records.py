"""What every reader yields: one raw record, readable or not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
TEXT_TYPES = frozenset({*HTML_TYPES, "text/plain"})


@dataclass
class RawRecord:
    """A record of a raw object.

    ``row`` is its number in the object, ``size`` its bytes there (of the block or line). Exactly one of
    ``payload`` (bytes to decode), ``text``, ``removed`` (a reason of the ledger) and ``broken`` (a reason of
    the quarantine) is set.
    """

    row: int
    size: int
    url: str = ""
    fetched_at: str = ""
    payload: bytes | None = None
    content_type: str = ""
    charset: str | None = None
    text: str | None = None
    removed: str | None = None
    broken: str | None = None
    detail: str | None = None
    value: float | None = None
    raw: bytes | None = None
    language: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    supervised: tuple[str, str, str] | None = None
    """prompt, response and task of a supervised record."""
    offset: int | None = None
    """Byte of the object where an archive record begins, in its compressed form."""


class Skipped:
    """Counts archive records that describe others (requests, metadata, warcinfo) and are no documents
    themselves. ``on_add`` is called at each.
    """

    def __init__(self, on_add: Callable[[], None] = lambda: None) -> None:
        self.auxiliary = 0
        self._on_add = on_add

    def add(self) -> None:
        """One more was passed over."""
        self.auxiliary += 1
        self._on_add()
