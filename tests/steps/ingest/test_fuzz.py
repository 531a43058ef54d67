"""Mutated files of every format through the reader child: no crash, no hang, bounded memory, everything counted."""

from __future__ import annotations

import gzip
import io
import itertools
import json
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import zstandard

from demo.archives import Capture, write_archive
from steps.ingest.config import Config
from steps.ingest.protocol import KEPT, QUARANTINED, REMOVED, Request
from steps.ingest.sandbox import CRASHED, NO_MEMORY, TIMED_OUT, Reader, read_outcomes
from tests.conftest import DATA
from tests.fuzz import FUZZ_INPUTS, mutations
from tests.steps.ingest.test_archive import lz4, record, split_members
from tests.steps.ingest.test_tables import turns

DATE = "2026-01-05T00:00:00Z"
SETTINGS = {"warc": {}, "jsonl": {}, "json": {"kind": "supervised"}, "parquet": {"kind": "supervised"}}
FORMS = {"warc": 6, "jsonl": 2, "json": 1, "parquet": 1}  # shares of the inputs


def archive_seeds(folder: Path) -> list[bytes]:
    page = "<html><head><title>标题</title><meta charset=gbk></head><main><p>正文 text</p><table><tr><td>1</table>"
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(page.encode("gbk")), page.encode("gbk"))
    sent = [
        Capture("https://e.org/1", DATE, page.encode("gbk"), media="text/html; charset=gb2312"),
        Capture("https://e.org/2", DATE, gzip.compress(page.encode()), headers={"Content-Encoding": "gzip"}),
        Capture("https://e.org/3", DATE, chunked, headers={"Transfer-Encoding": "chunked"}),
        Capture("https://e.org/4", DATE, b"", record_type="revisit"),
        Capture("https://e.org/5", DATE, "第一行\n第二行\n".encode(), record_type="conversion"),
        Capture("https://e.org/6", DATE, b"gone", status="404 Not Found"),
    ]
    write_archive(folder / "seed", sent, wet=False)
    packed = (folder / "seed").read_bytes()
    records = split_members(packed)
    plain = b"".join(records) + record(b"text", WARC_Block_Digest="sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ")
    html = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>an old page</p>"
    arc = b"filedesc://a.arc 0.0.0.0 20050614070144 text/plain 4\n1 0\n\n" + (
        b"http://e.org/a 1.2.3.4 20050614070145 text/html %d\n%s\n" % (len(html), html)
    )
    seeds = [packed, plain, gzip.compress(plain), zstandard.ZstdCompressor().compress(plain), lz4(plain), arc]
    seeds += [
        b"".join(map(zstandard.ZstdCompressor().compress, records)),
        b"".join(map(lz4, records)),
        gzip.compress(arc),
    ]
    real = sorted(p for p in (DATA / "crawl_native").rglob("*") if p.is_file() and p.stat().st_size < 8_000)
    return seeds + [path.read_bytes() for path in real if path.name != "SOURCE.txt"]


def table_seeds(form: str) -> list[bytes]:
    chats = [{"messages": turns("问", "答", "q", "a"), "task": "chat", "url": "https://e.org/1"}] * 3
    if form == "parquet":
        return [_parquet(chats, codec) for codec in ("none", "zstd", "snappy")]
    if form == "json":
        array = json.dumps(chats, ensure_ascii=False, indent=1).encode()
        return [array, gzip.compress(array), zstandard.ZstdCompressor().compress(array)]
    rows = [
        {"text": f'text {n} \u2028 文字 \\ "', "title": "t", "url": "https://e.org/", "n": [1.5e3, None]}
        for n in range(9)
    ]
    lines = b"".join(json.dumps(row, ensure_ascii=bool(n % 2)).encode() + b"\n" for n, row in enumerate(rows))
    return [lines, gzip.compress(lines), zstandard.ZstdCompressor().compress(lines), lz4(lines)]


def _parquet(rows: list[dict[str, object]], codec: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, compression=codec)
    return sink.getvalue()


@pytest.mark.fuzz
@pytest.mark.parametrize("form", FORMS)
def test_no_input_harms_a_reader(tmp_path: Path, form: str) -> None:
    seeds = archive_seeds(tmp_path) if form == "warc" else table_seeds(form)
    count = FUZZ_INPUTS * FORMS[form] // sum(FORMS.values())
    child = Reader(Config(max_record_bytes=1 << 16, max_record_seconds=10, verify_digests="all"))
    path = tmp_path / "input"
    fates: Counter[int] = Counter()
    reasons: Counter[str] = Counter()
    peak = 0
    for number, data in enumerate(itertools.chain(seeds, mutations(seeds, count))):
        path.write_bytes(data)
        request = Request(str(path), form, "input", "shard", "dump", {"name": "fuzz", **SETTINGS[form]})
        rows: list[int] = []
        for answer in read_outcomes(child, request, {}, lambda name, why: why):
            if isinstance(answer, dict):
                assert answer["records"] == len(rows) and not answer["rest"], (number, answer)
                continue
            rows += answer["record_row"].to_pylist()
            fates.update(answer["fate"].to_pylist())
            reasons.update(answer["reason"].to_pylist())
            kept = answer.filter(pc.equal(answer["fate"], KEPT))
            assert kept["text"].null_count == 0 and pc.min(answer["size"]).as_py() >= 0
        assert rows == sorted(set(rows)), (number, "a row was given twice")
        if child._process is not None and not number % 50:
            peak = max(peak, psutil.Process(child._process.pid).memory_info().rss)
    child.close()
    assert fates[KEPT] and fates[QUARANTINED] and (form != "warc" or fates[REMOVED])
    assert not {CRASHED, TIMED_OUT, NO_MEMORY} & set(reasons), reasons
    assert peak < 600_000_000
