"""Undoes the encodings of an HTTP body as browsers do, where FastWARC, which is stricter, cannot.

Chunks may have extensions and trailers (RFC 9112 §7.1), ``x-gzip`` is gzip (RFC 9110 §8.4.1.3), ``deflate`` is sent
with and without zlib's header, and something may stand behind a gzip stream. Many crawlers store bodies already
decoded, with the headers as they were.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable

from steps.ingest.compressed import GZIP, READ_ERRORS, ZSTD
from steps.ingest.digests import dechunked

# what texts in any encoding without zero bytes seldom have: ISO-2022-JP has escapes, 0x1B
_CONTROLS = bytes(byte for byte in range(1, 32) if byte not in b"\t\n\f\r\x1b") + b"\x7f"
_SAMPLE = 4096
_CHUNK = 4096  # packed bytes at once: what is behind a member's end is copied
MAX_CODINGS = 5  # one within the other, as in curl: each costs up to ``limit`` bytes
MAX_CONTROLS = 0.04  # share of a text (own choice); compressed data have 0.1


def decode_body(body: bytes, transfer: str | None, content: str | None, limit: int) -> bytes | None:
    """The body as its Transfer-Encoding and Content-Encoding say, of at most ``limit`` bytes and one more; as it is
    where it seems to be stored decoded, None where it is neither.
    """
    if "chunked" in (transfer or "").lower():
        whole = dechunked(body)
        body = body if whole is None else whole
    codings = [name.strip().lower() for name in (content or "").split(",")]
    undo = [_CODINGS[name] for name in reversed(codings) if name in _CODINGS]
    if len(undo) > MAX_CODINGS:
        return None
    decoded = body
    try:
        for function in undo:
            decoded = function(decoded, limit + 1)
    except READ_ERRORS:
        return None if _is_binary(body) else body
    return decoded


def _is_binary(body: bytes) -> bool:
    head = body[:_SAMPLE]
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return body.startswith((GZIP[:2], ZSTD)) or controls > MAX_CONTROLS * len(head)


def _gunzip(data: bytes, limit: int) -> bytes:
    """Every member that stands one behind the other, in time by the length of ``data`` however many are empty."""
    out = bytearray()
    at = 0
    while at < len(data) and len(out) < limit and (at == 0 or data.startswith(GZIP, at)):
        member = zlib.decompressobj(31)
        while not member.eof and at < len(data) and len(out) < limit:
            chunk = data[at : at + _CHUNK]
            out += member.decompress(chunk, limit - len(out))
            at += len(chunk)
        at -= len(member.unused_data)
    return bytes(out)


def _inflate(data: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        raw = zlib.decompressobj(-15)
        inflated = raw.decompress(data, limit)
        if not raw.eof and len(inflated) < limit:  # what is no such stream may begin like one
            raise
        return inflated


def _by_fastwarc(name: str) -> Callable[[bytes, int], bytes]:
    def undo(data: bytes, limit: int) -> bytes:
        from fastwarc import stream_io

        reader = getattr(stream_io, name)(io.BytesIO(data))
        chunks, missing = [], limit
        while missing > 0 and (chunk := reader.read(missing)):
            chunks.append(chunk)
            missing -= len(chunk)
        return b"".join(chunks)

    return undo


_CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _by_fastwarc("BrotliReader"),
    "zstd": _by_fastwarc("ZstdReader"),
}
