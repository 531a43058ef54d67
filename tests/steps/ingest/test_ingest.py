from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from demo.archives import Capture, write_archive
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.errors import ConfigError, DataError
from steps.ingest.config import Config
from steps.ingest.step import group_pieces
from tests.steps.ingest.objects import documents, ingest, ledger

DATE = "2026-01-05T00:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def write_lines(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_jsonl_is_split_on_newline_only(tmp_path: Path, folder: Path) -> None:
    texts = ["one\u2028still one", "two\u0085still two", "three"]
    write_lines(folder / "a.jsonl", [json.dumps({"text": t}, ensure_ascii=False).encode() for t in texts])
    done = ingest(tmp_path / "store", folder)
    assert [row["text"] for row in documents(done)] == texts


def test_broken_lines_are_quarantined_and_the_others_kept(tmp_path: Path, folder: Path) -> None:
    lines = [
        b'{"text": "good"}',
        b'{"text": "cut',
        b"[1, 2]",
        b'{"title": "no text"}',
        b'{"text": 5}',
        b'{"text": "\xff\xfe"}',
        b"",
        json.dumps({"text": "x" * 5000}).encode(),
        b'{"text": "also good"}',
        b'{"text": "  "}',
        b'{"text": "lone \\ud800 surrogate"}',
    ]
    write_lines(folder / "a.jsonl", lines)
    done = ingest(tmp_path / "store", folder, config={"max_record_bytes": 2048, "max_quarantine_share": 1.0})
    assert [row["text"] for row in documents(done)] == ["good", "also good", "lone ? surrogate"]
    reasons = [(row["rule"], row["row"]) for row in ledger(done, "quarantine")]
    assert reasons == [
        ("malformed_json", 1),
        ("malformed_record", 2),
        ("malformed_record", 3),
        ("malformed_record", 4),
        ("malformed_json", 5),
        ("oversized_record", 7),
    ]
    assert [row["rule"] for row in ledger(done)] == ["no_text"]
    total = done.counts.total
    assert (
        total.input.documents
        == 10
        == total.kept.documents + total.removed.documents + total.quarantined.documents
    )
    assert total.input.bytes == sum(len(line) for line in lines)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.json", "a.parquet"])
def test_other_tables_give_the_same_documents(tmp_path: Path, folder: Path, name: str) -> None:
    rows = [{"text": f"text {n}", "url": f"https://e.org/{n}", "title": f"t{n}"} for n in range(5)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    if name.endswith("gz"):
        (folder / name).write_bytes(gzip.compress(data[:40]) + gzip.compress(data[40:]))
    elif name.endswith("zst"):
        compress = zstandard.ZstdCompressor().compress
        (folder / name).write_bytes(compress(data[:40]) + compress(data[40:]))
    elif name.endswith("json"):
        (folder / name).write_text(json.dumps(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / name)
    found = documents(ingest(tmp_path / "store", folder, licence="CC0", language="en"))
    assert [(d["text"], d["url"], json.loads(d["metadata"])["title"]) for d in found] == [
        (row["text"], row["url"], row["title"]) for row in rows
    ]
    assert {(d["source"], d["dump"], d["licence"], d["language"]) for d in found} == {
        ("crawl", "test", "CC0", "en")
    }


def test_json_lines_under_the_name_json_are_read(tmp_path: Path, folder: Path) -> None:
    write_lines(folder / "a.json", [b'{"text": "one"}', b'{"text": "two"}'])
    assert [d["text"] for d in documents(ingest(tmp_path / "store", folder))] == ["one", "two"]
    write_lines(folder / "a.json", [b'"neither"'])
    with pytest.raises(DataError, match="has no document"):
        ingest(tmp_path / "store", folder, config={"max_quarantine_share": 1})


def test_a_truncated_gzip_gives_what_can_be_read(tmp_path: Path, folder: Path) -> None:
    lines = b"".join(
        json.dumps({"text": f"text number {n} {n * 7919}"}).encode() + b"\n" for n in range(3000)
    )
    data = gzip.compress(lines)
    (folder / "a.jsonl.gz").write_bytes(data[: len(data) // 2])
    done = ingest(tmp_path / "store", folder)
    assert 500 < done.counts.total.kept.documents < 2500
    assert [row["rule"] for row in ledger(done, "quarantine")] == ["truncated_object"]


def test_supervised_records_carry_prompt_response_and_task(tmp_path: Path, folder: Path) -> None:
    rows = [
        {"instruction": "Add.", "input": "1+1", "output": "2"},
        {"instruction": "Say hi.", "input": "", "output": "hi", "type": "chat"},
        {"instruction": "No answer.", "output": ""},
    ]
    write_lines(folder / "a.jsonl", [json.dumps(row).encode() for row in rows])
    fields = {"prompt": "instruction+input", "response": "output", "task": "type"}
    done = ingest(
        tmp_path / "store",
        folder,
        kind="supervised",
        task="maths",
        fields=fields,
        config={"max_quarantine_share": 1},
    )
    found = [(d["prompt"], d["response"], d["task"], d["text"]) for d in documents(done)]
    assert found == [("Add.\n1+1", "2", "maths", "Add.\n1+1\n2"), ("Say hi.", "hi", "chat", "Say hi.\nhi")]
    assert "field 'output' (response)" in ledger(done, "quarantine")[0]["detail"]


def test_a_takedown_keeps_documents_out(tmp_path: Path, folder: Path) -> None:
    rows = [{"text": f"text {n}", "url": u} for n, u in enumerate(
        ["https://a.org/1", "https://sub.bad.org/2", "https://notbad.org/3", "https://b.org/4"]
    )]  # fmt: skip
    write_lines(folder / "a.jsonl", [json.dumps(row).encode() for row in rows])
    first = ingest(tmp_path / "store", folder)
    fourth = documents(first)[3]["doc_id"]
    takedowns = ["url:https://a.org/1", "domain:bad.org", f"doc_id:{fourth}"]
    done = ingest(tmp_path / "store", folder, config={"takedowns": takedowns})
    assert [row["text"] for row in documents(done)] == ["text 2"]
    assert done.counts.removed_by["takedown"].documents == 3
    with pytest.raises(ConfigError, match="'site:x' is not doc_id:ID"):
        ingest(tmp_path / "store", folder, config={"takedowns": ["site:x"]})


def test_an_empty_dump_is_an_error_that_names_the_source(tmp_path: Path, folder: Path) -> None:
    write_archive(
        folder / "a.warc.gz", [Capture("https://e.org/1", DATE, b"", record_type="revisit")], wet=False
    )
    with pytest.raises(DataError, match="dump test: source crawl has no document in 1 objects"):
        ingest(tmp_path / "store", folder)
    with pytest.raises(DataError, match="source crawl has no objects"):
        ingest(tmp_path / "store", folder, names=[])


def test_a_recipe_without_sources_of_its_own_has_an_empty_corpus(tmp_path: Path) -> None:
    """A training on published corpora alone has this stage, too."""
    from steps.core.step import run_step

    root = f"file://{tmp_path}"
    listing = {"dump": "test", "sources": [], "objects": []}
    source = run_step("plan", config=listing, inputs={}, root=root)
    done = run_step("ingest", config={}, inputs={"source": source.ref}, root=root)
    assert Corpus.open(done.artifact).shards == [] and done.counts.total.input.documents == 0


def test_too_many_broken_records_end_the_step(tmp_path: Path, folder: Path) -> None:
    write_lines(folder / "a.jsonl", [b'{"text": "good"}', *[b"bad"] * 3])
    with pytest.raises(DataError, match=r"malformed_json: 3"):
        ingest(tmp_path / "store", folder)


def test_an_object_that_changed_after_planning_ends_the_step(tmp_path: Path, folder: Path) -> None:
    from steps.core.step import run_step
    from tests.steps.ingest.objects import ONE, plan_files

    write_lines(folder / "a.jsonl", [b'{"text": "good"}'])
    reference, locations = plan_files(tmp_path / "store", folder)
    write_lines(folder / "a.jsonl", [b'{"text": "evil"}'])
    with pytest.raises(DataError, match="has changed since it was planned"):
        run_step(
            "ingest", config={}, inputs={"source": reference}, root=f"file://{tmp_path}/store",
            locations=locations, runtime=ONE,
        )  # fmt: skip


def test_the_result_does_not_depend_on_the_number_of_workers(tmp_path: Path, folder: Path) -> None:
    for n in range(4):
        lines = [json.dumps({"text": f"text {n} {i}"}).encode() for i in range(50)] + [b"broken"]
        write_lines(folder / f"{n}.jsonl", lines)
    config = {"task_bytes": 1, "documents_per_shard": 20}
    one = ingest(tmp_path / "one", folder, config=config)
    two = ingest(tmp_path / "two", folder, config=config, runtime=Runtime(workers=2))
    assert one.digest == two.digest
    assert len(one.artifact.files("shard")) == 4 * 3
    assert [d["text"] for d in documents(one)][:2] == ["text 0 0", "text 0 1"]


def test_small_neighbours_share_a_task_and_large_objects_have_their_own() -> None:
    pieces = [{"item": {"bytes": size}} for size in (3, 3, 9, 1, 1, 20)]
    groups = group_pieces([*pieces, {"item": {"bytes": 90}, "start": 4, "end": 6}], 8)
    assert [[piece["item"]["bytes"] for piece in group] for group in groups] == [
        [3, 3],
        [9],
        [1, 1],
        [20],
        [90],
    ]
    assert group_pieces([], 8) == []


def test_every_document_points_to_its_raw_record(tmp_path: Path, folder: Path) -> None:
    pages = [
        Capture(f"https://e.org/{n}", DATE, f"<main><p>Page number {n} with words.</p></main>".encode())
        for n in range(3)
    ]
    write_archive(folder / "a.warc.gz", pages, wet=False)
    done = ingest(tmp_path / "store", folder)
    found = documents(done)
    assert [json.loads(d["metadata"])["record_id"] for d in found] == [page.record_id for page in pages]
    assert [d["origin"]["row"] for d in found] == [
        2,
        4,
        6,
    ]  # warcinfo is 0, each page has its request before it
    assert {d["fetched_at"] for d in found} == {DATE}
    assert Config().documents_per_shard == 10_000
