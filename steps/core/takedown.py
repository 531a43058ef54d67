"""The takedown list: what must not come back with a later dump, and must not be published."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

KINDS = ("doc_id", "url", "domain")
MADE_FROM = "#/made-from/"


def made_from(url: str, document: str, name: str) -> str:
    """The address of something ``name`` that was made from a document: the document's, with a route that names it.

    De-duplication tells addresses with routes apart, and what covers the document covers what was made from it.
    """
    return f"{url}{MADE_FROM}{document}/{name}"


def checked(entries: tuple[str, ...]) -> tuple[str, ...]:
    """``entries`` sorted and each once.

    Raises ValueError for one that is not doc_id:, url: or domain:, or is more than a domain's name and covers nothing.
    """
    for entry in entries:
        kind, colon, value = entry.partition(":")
        if kind not in KINDS or not colon or not value:
            raise ValueError(f"{entry!r} is not doc_id:ID, url:URL or domain:NAME")
        if kind == "domain" and (not domain_name(value) or re.search(r"[\s/:@*?#]", value)):
            raise ValueError(f"{entry!r}: give a domain's name alone, without scheme, port, path and *")
    return tuple(sorted(set(entries)))


def domain_name(host: str) -> str:
    """A host's name in the one form of many: lower case, no dot at its ends, ASCII (IDNA 2003) where it has one."""
    name = host.lower().strip(".")
    try:
        return name if name.isascii() else name.encode("idna").decode().strip(".")
    except UnicodeError:  # no name of a host
        return name


TakedownList = Annotated[tuple[str, ...], AfterValidator(checked)]


class Takedowns:
    """Entries ``doc_id:…``, ``url:…`` and ``domain:…``; a domain covers its subdomains."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._sets: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for entry in entries:
            kind, _, value = entry.partition(":")
            self._sets[kind].add(domain_name(value) if kind == "domain" else value)

    def match(self, identifier: str, url: str) -> bool:
        """Whether a document with that id or URL was taken down, or what it was made from."""
        page, made, origin = url.partition(MADE_FROM)
        if made and self.match(origin.partition("/")[0], page):
            return True
        if identifier in self._sets["doc_id"] or url in self._sets["url"]:
            return True
        if not self._sets["domain"]:
            return False
        try:
            labels = domain_name(urlsplit(url).hostname or "").split(".")
        except ValueError:  # a broken IPv6 literal
            return False
        return any(".".join(labels[i:]) in self._sets["domain"] for i in range(len(labels)))
