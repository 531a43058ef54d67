"""What ingest needs in memory does not follow the size of a document, of what a file unpacks to, or of a dump."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fastwarc.stream_io import Lz4Writer

MB = 1_000_000
GB = 1_000_000_000
ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, re, sys
from pathlib import Path
from steps.ingest.config import Config
from steps.ingest.step import reader
from tests.steps.ingest.objects import ingest

def peak(process):  # of this program alone: getrusage counts what its parent had when it was forked
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

config = json.loads(sys.argv[3])
done = ingest(Path(sys.argv[1]), Path(sys.argv[2]), config=config)
child = reader(Config(**config))._process.pid
print(json.dumps({"counts": done.counts.model_dump(), "own": peak("self"), "child": peak(child)}))
"""
pytestmark = pytest.mark.slow


def measured(root: Path, folder: Path, **config: Any) -> dict[str, Any]:
    """Counts, and peak bytes of the step's process and of its reader child."""
    command = [
        sys.executable,
        "-c",
        SCRIPT,
        str(root),
        str(folder),
        json.dumps({"max_quarantine_share": 1.0, **config}),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print({name: round(found[name] / MB) for name in ("own", "child")})
    return found


def zeros(size: int) -> Iterator[bytes]:
    block = bytes(10 * MB)
    for _ in range(size // len(block)):
        yield block


def write_gzip(path: Path, blocks: Iterator[bytes]) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        for block in blocks:
            file.write(packer.compress(block))
        file.write(packer.flush())


def write_zstd(path: Path, blocks: Iterator[bytes]) -> None:
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packer:
        for block in blocks:
            packer.write(block)


def write_lz4(path: Path, blocks: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        packer = Lz4Writer(file)
        for block in blocks:
            packer.write(block)
        packer.close()


WRITERS = {"gz": write_gzip, "zst": write_zstd, "lz4": write_lz4}


def header(size: int, kind: str = "response") -> bytes:
    media = "application/http; msgtype=response" if kind == "response" else "text/plain"
    fields = ["WARC/1.0", f"WARC-Type: {kind}", "WARC-Record-ID: <urn:uuid:1>", "WARC-Date: 2026-01-05T00:00:00Z",
              "WARC-Target-URI: https://e.org/", f"Content-Type: {media}",
              f"Content-Length: {size}", "", ""]  # fmt: skip
    return "\r\n".join(fields).encode()


def small(text: bytes) -> bytes:
    return header(len(text), "conversion") + text + b"\r\n\r\n"


# zstd packs and unpacks fastest, so that the size beyond 32 bits is there
@pytest.mark.parametrize(("form", "size"), [("gz", 2 * GB), ("zst", 10 * GB), ("lz4", 2 * GB)])
def test_gigabytes_in_a_small_file_are_one_quarantined_record(tmp_path: Path, form: str, size: int) -> None:
    write: Callable[[Path, Iterator[bytes]], None] = WRITERS[form]
    folder = tmp_path / "in"
    folder.mkdir()

    def lines() -> Iterator[bytes]:
        yield b'{"text": "before"}\n'
        yield from zeros(size)
        yield b'\n{"text": "after"}\n'

    def records() -> Iterator[bytes]:
        yield small(b"before") + header(size)
        yield from zeros(size)
        yield b"\r\n\r\n" + small(b"after")

    for name, blocks in ((f"a.jsonl.{form}", lines()), (f"b.warc.{form}", records())):
        write(folder / name, blocks)
        assert (folder / name).stat().st_size < 100 * MB
    found = measured(tmp_path / "root", folder)
    assert found["counts"]["total"]["kept"]["documents"] == 4
    assert found["counts"]["quarantined_by"] == {"oversized_record": {"documents": 2, "bytes": 2 * size}}
    assert found["own"] < 300 * MB and found["child"] < 400 * MB


def test_a_page_that_unpacks_to_gigabytes_is_quarantined(tmp_path: Path) -> None:
    """Nested: a gzip body in a gzip record in a gzip file would be 2 GB of page; so would one inside the other."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_gzip(tmp_path / "page.gz", zeros(2 * GB))
    body = (tmp_path / "page.gz").read_bytes()
    for name, encoding, sent in (("a", "gzip", body), ("b", "gzip, gzip", gzip.compress(body))):
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {encoding}\r\n\r\n".encode()
        block = head + sent
        record = header(len(block)) + block + b"\r\n\r\n"
        (folder / f"{name}.warc.gz").write_bytes(gzip.compress(record) + gzip.compress(small(b"after")))
    found = measured(tmp_path / "root", folder)
    assert found["counts"]["total"]["kept"]["documents"] == 2
    assert (
        found["counts"]["total"]["kept"]["documents"]
        + sum(tally["documents"] for tally in found["counts"]["quarantined_by"].values())
        + found["counts"]["total"]["removed"]["documents"]
        == 4
    )
    assert found["own"] < 400 * MB and found["child"] < 700 * MB


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    """One document of 200 MB in every format, with small ones before and after it."""
    folder = tmp_path / "in"
    folder.mkdir()
    words = "words of a very long text 很长的文章 " * 4
    text = (words + "\n") * (200 * MB // len((words + "\n").encode()))
    lines = [json.dumps({"text": t}, ensure_ascii=False) for t in ("before", text, "after")]
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "b.json").write_text(f"[{','.join(lines)}]", encoding="utf-8")
    pq.write_table(pa.table({"text": ["before", text, "after"]}), folder / "c.parquet", compression="zstd")
    (folder / "d.warc").write_bytes(b"".join(map(small, (b"before", text.encode(), b"after"))))
    return folder


def test_a_document_of_200_mb_is_set_aside_without_being_held(tmp_path: Path, huge: Path) -> None:
    found = measured(tmp_path / "root", huge)
    assert found["counts"]["total"]["kept"]["documents"] == 8
    assert found["counts"]["quarantined_by"]["oversized_record"]["documents"] == 4
    assert found["own"] < 400 * MB and found["child"] < 1.5 * GB


def test_a_document_of_200_mb_is_read_where_that_is_wanted(tmp_path: Path, huge: Path) -> None:
    found = measured(tmp_path / "root", huge, max_record_bytes=1 << 28)
    assert found["counts"]["total"]["kept"]["documents"] == 12
    assert found["own"] < 4 * GB and found["child"] < 4 * GB


def test_memory_does_not_follow_the_size_of_the_dump(tmp_path: Path) -> None:
    """20 MB and 400 MB of records in files of 4 MB."""
    peaks = []
    for times in (1, 20):
        folder = tmp_path / f"in-{times}"
        folder.mkdir()
        for number in range(5 * times):
            texts = (f"{number} {n} " + "some words of a page " * 100 for n in range(2000))
            lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
            (folder / f"{number:03d}.jsonl").write_text(lines)
        found = measured(tmp_path / f"root-{times}", folder, documents_per_shard=2000, task_bytes=4 << 20)
        assert found["counts"]["total"]["kept"]["documents"] == 10_000 * times
        peaks.append(found)
    for process in ("own", "child"):
        assert peaks[1][process] < 1.15 * peaks[0][process] + 20 * MB
