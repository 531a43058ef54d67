from __future__ import annotations

import base64
import gzip
import hashlib
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer

from demo.archives import Capture, damage_member, write_archive
from steps.ingest import archive as ingest_archive
from steps.ingest.archive import read_archive
from steps.ingest.compressed import begins_record
from steps.ingest.records import RawRecord, Skipped

LIMIT = 1 << 20
DATE = "2026-01-05T00:00:00Z"


def read(path: Path, limit: int = LIMIT) -> list[RawRecord]:
    return list(read_archive(path, limit, Skipped()))


def fate(record: RawRecord) -> str:
    return "document" if record.payload is not None else record.removed or f"broken:{record.broken}"


def captures(count: int = 5) -> list[Capture]:
    return [
        Capture(f"https://example.org/{n}", DATE, f"<html><body><p>Page {n}</p></body></html>".encode() * 40)
        for n in range(count)
    ]


def split_members(data: bytes) -> list[bytes]:
    """The records of a gzip archive, each decompressed."""
    found = []
    while data:
        decoder = zlib.decompressobj(31)
        found.append(decoder.decompress(data))
        data = decoder.unused_data
    return found


def lz4(data: bytes) -> bytes:
    """One lz4 frame."""
    sink = io.BytesIO()
    writer = Lz4Writer(sink)
    writer.write(data)
    writer.close()
    return sink.getvalue()


def record(block: bytes, **headers: str) -> bytes:
    """An uncompressed conversion record with more WARC headers."""
    fields = {
        "WARC-Type": "conversion",
        "WARC-Record-ID": "<urn:uuid:1>",
        "WARC-Date": DATE,
        "WARC-Target-URI": "https://e.org/",
        "Content-Type": "text/plain",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in fields.items()]
    return (
        "\r\n".join(["WARC/1.0", *lines, f"Content-Length: {len(block)}", "", ""]).encode()
        + block
        + b"\r\n\r\n"
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.warc.gz"
    write_archive(path, captures(), wet=False)
    return path


def test_records_are_read_from_every_compression(archive: Path, tmp_path: Path) -> None:
    plain = gzip.decompress(archive.read_bytes())
    forms = {
        "plain.warc": plain,
        "whole.warc.gz": gzip.compress(plain),
        "whole.warc.zst": zstandard.ZstdCompressor().compress(plain),
    }
    expected = [(r.row, r.url, r.payload) for r in read(archive)]
    assert len(expected) == 5
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        assert [(r.row, r.url, r.payload) for r in read(tmp_path / name)] == expected, name


def test_what_is_no_document_has_its_reason(tmp_path: Path) -> None:
    page = b"<p>x</p>"
    kinds = {
        "http_status": Capture("https://e.org/1", DATE, page, status="404 Not Found"),
        "content_type": Capture("https://e.org/2", DATE, b"\x89PNG", media="image/png"),
        "revisit": Capture("https://e.org/3", DATE, b"", record_type="revisit"),
        "empty_body": Capture("https://e.org/4", DATE, b" "),
        "not_a_page": Capture("metadata://gnu.org/wget.log", DATE, page, record_type="resource"),
        "document": Capture("https://e.org/6", DATE, page),
        "broken:unknown_record_type": Capture("https://e.org/7", DATE, page, record_type="whatever"),
    }
    write_archive(tmp_path / "a.warc.gz", list(kinds.values()), wet=False)
    records = read(tmp_path / "a.warc.gz")
    assert [fate(record) for record in records] == list(kinds)
    assert records[0].value == 404.0


def test_reading_goes_on_after_a_destroyed_member(archive: Path) -> None:
    whole = read(archive)
    damage_member(archive, str(whole[2].metadata["record_id"]))
    records = read(archive)
    assert [fate(r) for r in records].count("document") == 4
    broken = [r for r in records if r.broken]
    assert len(broken) == 1 and broken[0].broken == "broken_record"
    assert broken[0].size > 0 and "at byte" in str(broken[0].detail)
    assert {r.url for r in records if r.payload} == {r.url for r in whole} - {whole[2].url}


def test_reading_goes_on_after_a_damaged_header_in_a_plain_archive(archive: Path, tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(archive.read_bytes()))
    third = [i for i in range(len(plain)) if plain.startswith(b"WARC/1.0\r\nWARC-Type: response", i)][2]
    plain[third : third + 4] = b"JUNK"
    (tmp_path / "a.warc").write_bytes(plain)
    records = read(tmp_path / "a.warc")
    assert Counter(map(fate, records)) == {"document": 4, "broken:broken_record": 1}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_archive_is_read_as_far_as_it_goes(archive: Path, share: float) -> None:
    whole = read(archive)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    records = read(archive)
    good = [r for r in records if r.payload is not None]
    assert [(r.url, r.payload) for r in good] == [(r.url, r.payload) for r in whole[: len(good)]]
    assert all(r.broken in ("truncated_record", "broken_record") for r in records[len(good) :])


@pytest.mark.parametrize(
    "form", ["members.gz", "whole.gz", "plain", "whole.zst", "frames.zst", "whole.lz4", "frames.lz4"]
)
def test_wherever_an_archive_is_cut_off_the_loss_is_counted_once(
    archive: Path, tmp_path: Path, form: str
) -> None:
    members = archive.read_bytes()
    plain = gzip.decompress(members)
    data = {
        "members.gz": members,
        "whole.gz": gzip.compress(plain, mtime=0),
        "plain": plain,
        "whole.zst": zstandard.ZstdCompressor().compress(plain),
        "frames.zst": b"".join(map(zstandard.ZstdCompressor().compress, split_members(members))),
        "whole.lz4": lz4(plain),
        "frames.lz4": b"".join(map(lz4, split_members(members))),
    }[form]
    path = tmp_path / f"cut.warc.{form.rpartition('.')[2]}"
    whole = [r.url for r in read(archive)]
    ends = [0]  # where nothing is missing: between two members or records
    if form == "members.gz":
        ends += [i for i in range(1, len(data)) if data.startswith(b"\x1f\x8b\x08\x00", i)]
    elif form.startswith("frames"):
        ends += [i for i in range(1, len(data)) if data.startswith(data[:4], i)]
    elif form == "plain":
        ends += [i + k for i in range(len(data)) if data.startswith(b"\r\n\r\nWARC/", i) for k in range(5)]
    draw = Random(form)
    for cut in [2, 3, 40, len(data) - 5, *(draw.randrange(2, len(data)) for _ in range(60))]:
        if cut in ends or (form == "plain" and cut > len(data) - 5):
            continue
        path.write_bytes(data[:cut])
        records = read(path)
        broken = [r.broken for r in records if r.broken]
        assert len(broken) == 1 and records[-1].broken, (cut, records)
        good = [r.url for r in records[:-1]]
        assert good == whole[: len(good)]


def test_a_decompression_bomb_is_quarantined(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    sent = Capture("https://e.org/bomb", DATE, bomb, headers={"Content-Encoding": "gzip"})
    large = Capture("https://e.org/large", DATE, bytes(3 << 20))
    write_archive(tmp_path / "a.warc.gz", [sent, large, *captures(1)], wet=False)
    assert [fate(r) for r in read(tmp_path / "a.warc.gz")] == [
        "broken:oversized_body",
        "broken:oversized_record",
        "document",
    ]


def test_compressed_and_wrongly_declared_bodies_are_decoded(tmp_path: Path) -> None:
    page = b"<html><body><p>compressed</p></body></html>"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(page), page)
    bodies = [
        Capture("https://e.org/1", DATE, gzip.compress(page), headers={"Content-Encoding": "gzip"}),
        Capture("https://e.org/2", DATE, page, headers={"Content-Encoding": "gzip"}),
        Capture("https://e.org/3", DATE, chunked, headers={"Transfer-Encoding": "chunked"}),
        Capture("https://e.org/4", DATE, page, headers={"Transfer-Encoding": "chunked"}),
    ]
    write_archive(tmp_path / "a.warc.gz", bodies, wet=False)
    assert [record.payload for record in read(tmp_path / "a.warc.gz")] == [page] * 4


def test_wet_records_are_texts(tmp_path: Path) -> None:
    sent = Capture("https://e.org/1", DATE, "第一行\n第二行\n".encode(), record_type="conversion")
    write_archive(tmp_path / "a.warc.wet.gz", [sent], wet=True)
    (record,) = read(tmp_path / "a.warc.wet.gz")
    assert (record.content_type, record.payload) == ("text/plain", "第一行\n第二行\n".encode())


def test_a_file_that_is_no_archive_is_one_broken_record(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(b"just some text\n")
    (tmp_path / "empty.warc").write_bytes(b"")
    assert [fate(r) for r in read(tmp_path / "a.warc")] == ["broken:not_an_archive"]
    assert read(tmp_path / "empty.warc") == []


def test_a_record_that_is_not_what_its_digest_says_is_quarantined(tmp_path: Path) -> None:
    sha1, sha256 = hashlib.sha1(b"text").digest(), hashlib.sha256(b"text").digest()
    digests = {
        f"sha1:{base64.b32encode(sha1).decode()}": True,
        f"SHA-1:{sha1.hex()}": True,
        f"sha256:{sha256.hex()}": True,
        f"sha256:{base64.urlsafe_b64encode(sha256).decode().rstrip('=')}": True,
        f"sha256:{base64.b32encode(sha256).decode().rstrip('=').lower()}": True,
        f"sha1:{base64.b32encode(sha1[::-1]).decode()}": False,
        f"md5:{'0' * 32}": False,
        "sha1:not base 32 at all": True,  # says nothing
        "crc32:1234": True,
    }
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(record(b"text", WARC_Block_Digest=digest) for digest in digests))
    found = list(read_archive(path, LIMIT, Skipped(), "block"))
    assert [r.broken for r in found] == [None if good else "digest_mismatch" for good in digests.values()]
    assert [r.broken for r in read(path)] == [None] * len(digests)


def test_the_payload_may_be_signed_with_or_without_its_chunks(tmp_path: Path) -> None:
    body = b"4\r\ntext\r\n0\r\n\r\n"
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    path = tmp_path / "a.warc"
    headers = {"WARC_Type": "response", "Content_Type": "application/http; msgtype=response"}
    for signed, good in ((body, True), (b"text", True), (block, True), (b"other", False)):
        digest = f"sha1:{base64.b32encode(hashlib.sha1(signed).digest()).decode()}"
        path.write_bytes(record(block, WARC_Payload_Digest=digest, **headers))
        (found,) = read_archive(path, LIMIT, Skipped(), "all")
        assert (found.broken is None) is good
        assert found.payload == (b"text" if good else None)


def test_what_the_crawler_cut_and_what_it_took_the_language_for_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.wet"
    path.write_bytes(record(b"text", WARC_Truncated="length", WARC_Identified_Content_Language="zho,eng"))
    (found,) = read(path)
    assert found.metadata == {"record_id": "<urn:uuid:1>", "truncated": "length", "languages": "zho,eng"}


@pytest.mark.parametrize("packed", [False, True])
def test_arc_archives_are_read_to_the_first_broken_line(tmp_path: Path, packed: bool) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>an old page</p>"
    lost = b"HTTP/1.1 404 Not Found\r\n\r\n"
    records = [
        b"filedesc://a.arc 0.0.0.0 20050614070144 text/plain 4\n1 0\n\n",
        b"dns:e.org 1.2.3.4 20050614070144 text/dns 3\nabc\n",
        b"http://e.org/a page 1.2.3.4 20050614070145 text/html %d\n%s\n" % (len(page), page),
        b"http://e.org/2 1.2.3.4 20050614070146 text/html %d\n%s\n" % (len(lost), lost),
        b"http://e.org/3 1.2.3.4 20050614070146 text/html 3000000\n" + bytes(3_000_000) + b"\n",
        b"http://e.org/4 1.2.3.4 20050614070147 text/html -1\n\n",
    ]
    path = tmp_path / "a.arc"
    path.write_bytes(b"".join(map(gzip.compress, records)) if packed else b"".join(records))
    found = read(path)
    assert [fate(r) for r in found] == [
        "not_a_page",
        "document",
        "http_status",
        "broken:oversized_record",
        "broken:broken_record",
    ]
    assert (found[1].url, found[1].fetched_at) == ("http://e.org/a page", "2005-06-14T07:01:45Z")
    assert found[1].payload == b"<p>an old page</p>"


@pytest.mark.data
def test_real_archives_of_other_tools_are_read_as_far_as_they_go(shared_data: Path) -> None:
    fates: Counter[str] = Counter()
    files = [
        p for p in sorted((shared_data / "crawl_native").rglob("*")) if p.is_file() and p.name != "SOURCE.txt"
    ]
    per_file = {}
    for path in files:
        per_file[path.name] = Counter(fate(record) for record in read(path, 16 << 20))
        fates += per_file[path.name]
    assert len(files) == 67
    assert fates["document"] == 438
    assert fates["revisit"] == 147
    assert sum(count for name, count in fates.items() if name.startswith("broken:")) == 24
    # the same crawl in both formats
    assert per_file["example.arc.gz"]["document"] == 1  # of pywb and warcio, which come last
    aut = shared_data / "crawl_native" / "aut"
    both = [Counter(map(fate, read(aut / name, 16 << 20))) for name in ("example.arc.gz", "example.warc.gz")]
    assert both[0] == both[1] and both[0]["document"] == 129
    assert per_file["clipped.warc.gz"] == {"broken:truncated_record": 1}
    assert per_file["example-trunc.warc"] == {"document": 1, "broken:broken_record": 1}
    assert per_file["clueweb-quirk.warc.gz"] == {"document": 29}
    assert per_file["warcfile.warc.lz4"] == per_file["warcfile.warc"] == {"document": 16}


def test_a_panic_of_fastwarc_is_a_broken_place_and_other_interruptions_are_not(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a wrong checksum of an lz4 frame makes it: an exception that is no Exception and cannot be imported."""
    good = ingest_archive.ArchiveIterator
    calls = 0

    class PanicException(BaseException):
        """Has the name of PyO3's."""

    def interrupted(error: type[BaseException]) -> Callable[..., Iterator[Any]]:
        def read_some(file: Any, **options: Any) -> Iterator[Any]:
            nonlocal calls
            calls += 1
            first = calls == 1  # the others read bodies, and go on behind the broken place
            for number, found in enumerate(good(file, **options)):
                if first and number == 4:
                    raise error("unwrap")
                yield found

        return read_some

    monkeypatch.setattr(ingest_archive, "ArchiveIterator", interrupted(PanicException))
    fates = [fate(record) for record in islice(read_archive(archive, LIMIT, Skipped()), 99)]
    assert fates.count("broken:broken_record") == 1 and fates.count("document") >= 3
    calls = 0
    monkeypatch.setattr(ingest_archive, "ArchiveIterator", interrupted(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        read(archive)


@pytest.mark.parametrize(
    "pack", [gzip.compress, lz4, zstandard.ZstdCompressor().compress], ids=["gz", "lz4", "zst"]
)
def test_empty_members_do_not_end_an_archive(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """bgzip ends its files with an empty member, and files are put together."""
    records = [record(b"page %d" % n) for n in range(6)]
    between = [b"", pack(b""), pack(b"") * 3]
    archives = [b"".join(pack(one) + empty for one in records) for empty in between] + [
        pack(b"") * 2 + b"".join(map(pack, records)),
        pack(b"") + pack(b"".join(records)),
        pack(b"".join(records[:3]))
        + pack(b"") * 4
        + pack(records[3] + records[4][:9])
        + pack(records[4][9:] + records[5]),
        pack(b"") + pack(records[0][:3]) + pack(records[0][3:] + b"".join(records[1:])),
        b"".join(map(pack, records)) + pack(b"") * 2,
    ]
    for number, data in enumerate(archives):
        path = tmp_path / "a.warc"
        path.write_bytes(data)
        assert [r.payload for r in read(path)] == [b"page %d" % n for n in range(6)], number
        assert [r.row for r in read(path)] == list(range(6))
        path.write_bytes(data[:-9] if number == 4 else data + pack(records[0])[:-9])
        assert read(path)[-1].broken is not None, number


def test_an_lz4_frame_with_a_large_block_is_known_to_begin_a_record(tmp_path: Path) -> None:
    frame = lz4(record(bytes(Random(0).choices(range(256), k=200_000))))
    assert begins_record(frame + frame, 0) and begins_record(frame + frame, len(frame))


def test_frames_to_skip_may_stand_before_each_frame(tmp_path: Path) -> None:
    """pzstd writes them."""
    table = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    records = [record(b"page %d" % n) for n in range(6)]
    data = b"".join(table + zstandard.ZstdCompressor().compress(one) for one in records)
    path = tmp_path / "a.warc.zst"
    path.write_bytes(data)
    assert [r.payload for r in read(path)] == [b"page %d" % n for n in range(6)]
    path.write_bytes(data[:-1])
    assert read(path)[-1].broken in ("truncated_record", "broken_record")
