"""Cuts a JSON array into its elements without holding more than one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from steps.ingest.compressed import READ_ERRORS, ends_early, open_compressed

_CHUNK = 1 << 20
_BLANK = b" \t\r\n"
# strings count as one, so that what stands in them does not; the group is empty where the chunk ends in one
_REST = rb"[^\"\\]*+(?:\\.[^\"\\]*+)*+(\"?)"
_STRING_END = re.compile(_REST, re.DOTALL)
_ELEMENTS = re.compile(rb"\"" + _REST + rb"|[\[\]{},]", re.DOTALL)
_INSIDE = re.compile(rb"\"" + _REST + rb"|[\[\]{}]", re.DOTALL)


class Element(NamedTuple):
    """One element's bytes (None: longer than the limit, and not held) and how many they were."""

    raw: bytes | None
    size: int


def begins_array(path: Path) -> bool:
    """Whether the file's first byte that is not blank opens an array."""
    with open_compressed(path) as stream:
        read = getattr(stream, "read1", stream.read)
        try:
            while chunk := read(_CHUNK):
                if head := chunk.lstrip(_BLANK + b"\xef\xbb\xbf"):
                    return bool(head.startswith(b"["))
        except READ_ERRORS:
            pass  # its reader will say what is wrong with it
    return False


def array_elements(path: Path, limit: int) -> Iterator[Element]:
    """The elements of the array; each has yet to be parsed.

    Raises ValueError where the array is not closed or something stands after it.
    """
    cutter = _Cutter(limit)
    with open_compressed(path) as stream:
        read = getattr(stream, "read1", stream.read)
        while chunk := read(_CHUNK):
            yield from cutter.feed(chunk)
    if ends_early(path):
        raise ValueError("the file ends in the middle of a compressed frame")
    if not cutter.closed:
        raise ValueError("the file ends inside the array")


class _Cutter:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._depth = 0  # 1: directly inside the array
        self._in_string = self._escaped = False
        self._parts: list[bytes] = []
        self._size = 0
        self.closed = False

    def feed(self, chunk: bytes) -> Iterator[Element]:
        """Elements that end in this chunk."""
        place = 0
        if self._depth == 0 and not self.closed:
            place = chunk.find(b"[") + 1
            if place:
                self._depth = 1
            else:
                return
        if self.closed:
            if chunk.strip(_BLANK):
                raise ValueError("something stands after the array")
            return
        start = place
        if self._escaped:
            place, self._escaped = place + 1, False
        if self._in_string:
            end = _STRING_END.match(chunk, place)
            place = self._string(chunk, end) if end else place
        while not self._in_string:
            match = (_ELEMENTS if self._depth == 1 else _INSIDE).search(chunk, place)
            if match is None:
                break
            place, found = match.end(), match[0]
            if found.startswith(b'"'):
                place = self._string(chunk, match)
                continue
            if found in b"[{":
                self._depth += 1
            elif found in b"]}":
                self._depth -= 1
            if (found == b"," and self._depth == 1) or self._depth == 0:
                self._hold(chunk[start : place - 1])
                start = place
                yield from self._element(last=self._depth == 0)
            if self._depth == 0:
                self.closed = True
                yield from self.feed(chunk[place:])
                return
        self._hold(chunk[start:])

    def _string(self, chunk: bytes, match: re.Match[bytes]) -> int:
        """Behind a string, or at the end of a chunk that ends inside of one."""
        self._in_string = not match[1]
        # what is left then is a backslash; the byte behind it is in the next chunk
        self._escaped = self._in_string and match.end() < len(chunk)
        return match.end()

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts = []

    def _element(self, last: bool) -> Iterator[Element]:
        raw = b"".join(self._parts).strip(_BLANK) if self._size <= self._limit else None
        size, self._parts, self._size = len(raw) if raw is not None else self._size, [], 0
        if raw != b"" or not last:  # an empty array, or a comma before its end
            yield Element(raw, size)
