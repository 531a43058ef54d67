"""WARC-Block-Digest and WARC-Payload-Digest: ``algorithm:value``, the value in base 32, base 16 or base 64."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any, Literal

Digests = Literal["none", "block", "all"]
_CHUNK_LINE = 1024  # bytes; an extension may stand behind the size (RFC 9112 §7.1.1)
_HEADERS_END = re.compile(rb"\r?\n\r?\n")  # ClueWeb09 has bare newlines
_ALGORITHMS = {"sha1": "sha1", "sha256": "sha256", "sha512": "sha512", "md5": "md5"}


def wrong_digest(headers: Any, block: bytes, digests: Digests) -> str | None:
    """What is wrong with a record's digests, or None. A digest that cannot be read is not held against a record.

    ``headers`` are a record's WARC headers. Tools differ in what they call the payload of an HTTP response: its body
    as it was sent, without the chunks, or (ClueWeb09) the whole block; any of them will do.
    """
    if digests == "none":
        return None
    if not _matches(headers.get("WARC-Block-Digest"), block):
        return "its block does not have the WARC-Block-Digest that the record says"
    stated = headers.get("WARC-Payload-Digest") if digests == "all" else None
    if stated and block.startswith(b"HTTP/"):
        body = _HEADERS_END.split(block, maxsplit=1)[-1]
        if not any(_matches(stated, payload) for payload in (body, dechunked(body), block)):
            return "its payload does not have the WARC-Payload-Digest that the record says"
    return None


def _matches(stated: str | None, data: bytes | None) -> bool:
    """Whether ``data`` has the digest; True where the header is missing or its form unknown."""
    if data is None:
        return False
    label, _, value = (stated or "").partition(":")
    algorithm = _ALGORITHMS.get(label.strip().lower().replace("-", ""))
    if algorithm is None:
        return True
    found = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    wanted = _decoded(value.strip(), len(found))
    return wanted is None or wanted == found


def _decoded(value: str, size: int) -> bytes | None:
    padded = value + "=" * (-len(value) % 8)
    for decode, text in (
        (bytes.fromhex, value),
        (base64.b32decode, padded.upper()),
        (base64.urlsafe_b64decode, value + "=" * (-len(value) % 4)),
    ):
        try:
            data = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(data) == size:
            return data
    return None


def dechunked(body: bytes) -> bytes | None:
    """The body with chunked transfer encoding undone; None where it has none."""
    parts: list[bytes] = []
    place = 0
    while True:
        line = body.find(b"\r\n", place, place + _CHUNK_LINE)
        try:
            size = int(body[place:line].partition(b";")[0], 16) if line > 0 else -1
        except ValueError:
            return None
        if size < 0 or line + 2 + size > len(body):
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(body[line + 2 : line + 2 + size])
        place = line + 4 + size
