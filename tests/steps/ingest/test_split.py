"""One large file is read by several tasks, and gives what it gives as a whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zstandard

from demo.archives import Capture, damage_member, write_archive
from steps.core.config import Runtime
from steps.core.errors import DataError
from steps.core.step import Outcome, run_step
from steps.core.store import open_store
from steps.ingest.config import Config
from steps.ingest.split import cut_places
from tests.steps.ingest.objects import ONE, documents, ingest, ledger, plan_files
from tests.steps.ingest.test_archive import lz4, split_members
from tests.steps.ingest.web import serve

DATE = "2026-01-05T00:00:00Z"
MIXED = {"max_quarantine_share": 1.0, "documents_per_shard": 7}


@pytest.fixture
def archives(tmp_path: Path) -> dict[str, bytes]:
    """The same forty records, one of them without text, in every form."""
    draw = Random(5)
    sent = []
    for n in range(40):
        words = " ".join(f"word{draw.randrange(5000)}" for _ in range(draw.randrange(20, 400)))
        page = f"<main><p>Page {n}. {words}</p></main>".encode()
        sent.append(Capture(f"https://e.org/{n}", DATE, page, status="404 Not Found" if n == 9 else "200 OK"))
    write_archive(tmp_path / "a.warc.gz", sent, wet=False)
    packed = (tmp_path / "a.warc.gz").read_bytes()
    records = split_members(packed)
    damage_member(tmp_path / "a.warc.gz", sent[20].record_id)
    return {
        "members.warc.gz": packed,
        "damaged.warc.gz": (tmp_path / "a.warc.gz").read_bytes(),
        "plain.warc": b"".join(records),
        "frames.warc.zst": b"".join(map(zstandard.ZstdCompressor().compress, records)),
        "frames.warc.lz4": b"".join(map(lz4, records)),
        "whole.warc.gz": gzip.compress(b"".join(records)),
        "whole.warc.zst": zstandard.ZstdCompressor().compress(b"".join(records)),
    }


def content(done: Outcome) -> Any:
    """Everything that came of the records, wherever it lies."""
    lost = [
        [(row["rule"], row["row"], row["bytes"], row["shard"], row["detail"]) for row in ledger(done, kind)]
        for kind in ("ledger", "quarantine")
    ]
    return [{k: v for k, v in row.items() if k != "_row"} for row in documents(done)], lost, done.counts.total


@pytest.mark.parametrize(
    ("name", "cuts"),
    [("members.warc.gz", True), ("damaged.warc.gz", True), ("plain.warc", True), ("frames.warc.zst", True),
     ("frames.warc.lz4", True), ("whole.warc.gz", False), ("whole.warc.zst", False)],
)  # fmt: skip
def test_an_archive_in_pieces_is_the_archive(
    tmp_path: Path, archives: dict[str, bytes], name: str, cuts: bool
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_bytes(archives[name])
    size = len(archives[name]) // 5
    whole = ingest(tmp_path / "whole", folder, config=MIXED)
    split = ingest(tmp_path / "split", folder, config={**MIXED, "split_bytes": size, "task_bytes": 1})
    assert content(split) == content(whole)
    numbers = {int(entry.key[7:12]) // 10_000 for entry in split.artifact.files("shard")}
    assert (len(numbers) > 2) is cuts
    assert len(content(whole)[0]) == (38 if "damaged" in name else 39)


def test_lines_in_pieces_are_the_lines(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    draw = Random(3)
    lines = [json.dumps({"text": f"{n} " + "x" * draw.randrange(300)}).encode() for n in range(500)]
    lines[100], lines[101], lines[400] = b"", b"broken", json.dumps({"text": "y" * 5000}).encode()
    (folder / "a.jsonl").write_bytes(b"\n".join(lines))  # no newline at its end
    whole = ingest(tmp_path / "whole", folder, config=MIXED)
    for size in (1, 777, 5_000, 40_000):
        split = ingest(tmp_path / f"split-{size}", folder, config={**MIXED, "split_bytes": size})
        assert content(split) == content(whole)


def test_cuts_lie_after_newlines_and_know_their_row(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = b"".join(b"%d\n" % n for n in range(1000))
    path.write_bytes(data)
    for size in (1, 2, 3, 50, 3889, 3890, 4000):
        places = cut_places(path, "jsonl", size, Config(), lambda: None)
        assert places[0] == (0, 0)
        for (start, row), (following, _) in zip(places, [*places[1:], (len(data) + size, 0)], strict=True):
            assert data[start:].startswith(b"%d\n" % row)
            assert following - start >= size
    path.write_bytes(gzip.compress(data))
    assert cut_places(path, "jsonl", 10, Config(), lambda: None) == [(0, 0)]
    path.write_bytes(b"")
    assert cut_places(path, "jsonl", 10, Config(), lambda: None) == [(0, 0)]
    assert cut_places(path, "warc", 10, Config(), lambda: None) == [(0, 0)]


def test_pieces_do_not_depend_on_the_workers(tmp_path: Path, archives: dict[str, bytes]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.warc.gz").write_bytes(archives["members.warc.gz"])
    config = {**MIXED, "split_bytes": 3000, "task_bytes": 1}
    one = ingest(tmp_path / "one", folder, config=config)
    two = ingest(tmp_path / "two", folder, config=config, runtime=Runtime(workers=2))
    assert one.digest == two.digest


def test_a_piece_that_changed_after_it_was_cut_is_refused(
    tmp_path: Path, archives: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steps.ingest import step

    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.warc").write_bytes(archives["plain.warc"])
    fetch = step.fetch_piece

    def changed(*arguments: Any) -> Path:
        (folder / "a.warc").write_bytes(archives["plain.warc"].replace(b"Page 30", b"Pagf 30"))
        return fetch(*arguments)

    monkeypatch.setattr(step, "fetch_piece", changed)
    with pytest.raises(DataError, match="has changed since it was planned"):
        ingest(tmp_path / "root", folder, config={**MIXED, "split_bytes": 3000})


def test_pieces_are_read_from_s3_and_from_the_web_by_ranges(
    tmp_path: Path, archives: dict[str, bytes], s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same object on disk, in S3 and behind HTTP gives the same documents; of the last two only pieces are read."""
    name, data = "a.warc.gz", archives["members.warc.gz"]
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_bytes(data)
    config = {**MIXED, "split_bytes": len(data) // 3, "task_bytes": 1}
    expected = content(ingest(tmp_path / "disk", folder, config=config))
    open_store(f"{s3_root}/in").put(name, data)
    reference, _ = plan_files(tmp_path / "root", folder)
    places = {"s3": f"{s3_root}/in"}
    with serve() as site:
        monkeypatch.setenv("TOKENMILL_PRIVATE_HOSTS", site.host)
        site.objects[f"/x/{name}"] = data
        places["web"] = f"{site.url}/x"
        for place, uri in places.items():
            root = f"file://{tmp_path}/{place}"
            inputs = {"source": reference}
            made = run_step(
                "ingest", config=config, inputs=inputs, root=root, locations={"crawl": uri}, runtime=ONE
            )
            assert content(made) == expected
        ranges = site.requests[f"/x/{name}"]
    assert ranges[0] == "" and len(ranges) >= 4 and all(asked.startswith("bytes=") for asked in ranges[1:])
