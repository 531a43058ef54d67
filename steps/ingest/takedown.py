"""The takedown list: what must not come back with a later dump."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit


class Takedowns:
    """Entries ``doc_id:…``, ``url:…`` and ``domain:…``; a domain covers its subdomains."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._sets: dict[str, set[str]] = {"doc_id": set(), "url": set(), "domain": set()}
        for entry in entries:
            kind, _, value = entry.partition(":")
            self._sets[kind].add(value.lower() if kind == "domain" else value)

    def match(self, identifier: str, url: str) -> bool:
        """Whether a document with that id or URL was taken down."""
        if identifier in self._sets["doc_id"] or url in self._sets["url"]:
            return True
        if not self._sets["domain"]:
            return False
        try:
            labels = (urlsplit(url).hostname or "").split(".")
        except ValueError:  # a broken IPv6 literal
            return False
        return any(".".join(labels[i:]) in self._sets["domain"] for i in range(len(labels)))
