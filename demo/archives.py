"""Writes small WARC and WET files, one gzip member per record, the same bytes for the same records."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

WARC_CREATOR = "tokenmill demo generator"


@dataclass
class Capture:
    """One record of a crawl. ``body`` are the bytes as the server sent them, or the text of a WET record."""

    url: str
    date: str
    body: bytes
    record_type: str = "response"
    status: str = "200 OK"
    media: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def record_id(self) -> str:
        """A UUID that follows from what the record holds."""
        seed = b"\n".join([self.record_type.encode(), self.url.encode(), self.date.encode(), self.body])
        digest = hashlib.sha256(seed).hexdigest()
        return f"<urn:uuid:{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}>"

    def block(self) -> tuple[str, bytes]:
        """Content type and bytes of the WARC block."""
        if self.record_type == "conversion":
            return "text/plain", self.body
        lines = [f"HTTP/1.1 {self.status}", f"Content-Type: {self.media}", "Server: demo"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "application/http; msgtype=response", "\r\n".join(lines).encode() + self.body


def write_archive(path: Path, captures: list[Capture], *, wet: bool) -> None:
    """Write ``captures`` with a warcinfo record first; a WARC gets a request record before every response."""
    fields = f"software: {WARC_CREATOR}\r\nformat: WARC File Format 1.0\r\n".encode()
    name = path.name.removesuffix(".gz")
    info = {"WARC-Filename": name, "Content-Type": "application/warc-fields"}
    members = [_member("warcinfo", _uuid(name), "2026-01-05T00:00:00Z", info, fields)]
    for capture in captures:
        if not wet and capture.record_type == "response":
            members.append(_request(capture))
        media, block = capture.block()
        headers = {"WARC-Target-URI": capture.url, "Content-Type": media}
        if capture.record_type == "revisit":
            headers["WARC-Profile"] = "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"
        members.append(_member(capture.record_type, capture.record_id, capture.date, headers, block))
    path.write_bytes(b"".join(members))


def damage_member(path: Path, record_id: str) -> None:
    """Overwrite the middle of one record's gzip member, as a bad disk or a broken transfer does."""
    data = bytearray(path.read_bytes())
    start = 0
    while start < len(data):
        following = data.find(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", start + 1)
        end = len(data) if following < 0 else following
        if record_id.encode() in gzip.decompress(bytes(data[start:end])):
            middle = (start + end) // 2
            data[start + 10 : start + 14] = b"\xff\xff\xff\xff"  # an invalid deflate block type
            data[middle : middle + 32] = bytes(32)
            path.write_bytes(bytes(data))
            return
        start = end
    raise ValueError(f"{path.name} has no record {record_id}")


def _request(capture: Capture) -> bytes:
    host, _, rest = capture.url.partition("://")[2].partition("/")
    block = f"GET /{rest} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: demo\r\nAccept-Encoding: identity\r\n\r\n".encode()
    headers = {"WARC-Target-URI": capture.url, "Content-Type": "application/http; msgtype=request"}
    return _member("request", _uuid("request" + capture.record_id), capture.date, headers, block)


def _uuid(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).hexdigest()
    return f"<urn:uuid:{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}>"


def _member(kind: str, record_id: str, date: str, headers: dict[str, str], block: bytes) -> bytes:
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Record-ID: {record_id}", f"WARC-Date: {date}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(block)}", "", ""]
    return gzip.compress("\r\n".join(lines).encode() + block + b"\r\n\r\n", 6, mtime=0)
