"""Bodies that browsers read and FastWARC does not, through the archive reader."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest

from demo.archives import Capture, write_archive
from steps.ingest.archive import read_archive
from steps.ingest.records import RawRecord, Skipped

BODY = "<p>正文 of a page.</p>\n".encode() * 20
NOISE = bytes(random.Random(3).choices(range(256), k=5000))


def chunks(data: bytes, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    pieces = [data[at : at + 70] for at in range(0, len(data), 70)]
    return (
        b"".join(b"%x%s\r\n%s\r\n" % (len(one), extension, one) for one in pieces)
        + b"0\r\n"
        + trailer
        + b"\r\n"
    )


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def read(folder: Path, body: bytes, limit: int = 1 << 20, **headers: str) -> RawRecord:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    path = folder / "a.warc.gz"
    write_archive(path, [Capture("https://e.org/", "2026-01-05T00:00:00Z", body, headers=named)], wet=False)
    (record,) = read_archive(path, limit, Skipped())
    return record


@pytest.mark.parametrize(
    ("body", "transfer", "content"),
    [
        (chunks(BODY, b";name=value"), "chunked", ""),
        (chunks(BODY, b' ; signature="' + b"a" * 64 + b'"'), "chunked", ""),
        (chunks(BODY, trailer=b"Expires: never\r\n"), "Chunked", ""),
        (chunks(gzip.compress(BODY), b";a"), "chunked", "gzip"),
        (chunks(BODY), "chunked", "gzip"),
        (gzip.compress(BODY), "chunked", "x-gzip"),
        (gzip.compress(BODY) + b"<!-- served -->", "", "gzip"),
        (raw_deflate(BODY), "", "deflate"),
        (zlib.compress(BODY), "", "deflate"),
        (raw_deflate(gzip.compress(BODY)), "", "gzip, deflate"),
        (BODY, "chunked", "br"),
        (BODY, "", "UTF-8"),
    ],
    ids=range(12),
)
def test_a_body_is_read_as_browsers_do(tmp_path: Path, body: bytes, transfer: str, content: str) -> None:
    headers = {"Transfer_Encoding": transfer, "Content_Encoding": content}
    assert read(tmp_path, body, **{name: value for name, value in headers.items() if value}).payload == BODY


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip", "zstd", "deflate, br"])
def test_what_cannot_be_decoded_is_no_text(tmp_path: Path, coding: str) -> None:
    data = gzip.compress(NOISE.hex().encode())[:900] + b"damage" * 99 if coding == "gzip" else NOISE
    assert read(tmp_path, data, Content_Encoding=coding).broken == "broken_http"


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("x-gzip", gzip.compress), ("deflate", raw_deflate), ("x-gzip", lambda d: gzip.compress(d) * 2)],
)
def test_a_body_that_grows_beyond_the_limit_is_not_held(tmp_path: Path, coding: str, pack: object) -> None:
    assert callable(pack)
    assert read(tmp_path, pack(bytes(5_000_000)), 1 << 20, Content_Encoding=coding).broken == "oversized_body"


@pytest.mark.timeout(60)
def test_time_grows_with_the_length_however_many_members_are_empty(tmp_path: Path) -> None:
    empty = gzip.compress(b"") * 600_000
    body = empty + gzip.compress(BODY) + b"<!-- served -->"
    found = read(tmp_path, body, 1 << 24, Content_Encoding="x-gzip")
    assert found.payload == BODY


@pytest.mark.parametrize(("number", "broken"), [(5, None), (6, "broken_http")])
def test_encodings_within_each_other_are_undone_up_to_a_bound(
    tmp_path: Path, number: int, broken: str | None
) -> None:
    body = BODY
    for _ in range(number):
        body = gzip.compress(body)
    found = read(tmp_path, body, Content_Encoding=", ".join(["x-gzip"] * number))
    assert found.broken == broken and found.payload == (None if broken else BODY)
