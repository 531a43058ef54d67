from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.core.errors import DataError
from steps.core.source import SourceSettings
from steps.ingest.fields import FieldMapping, conversation
from steps.ingest.json_array import array_elements
from steps.ingest.records import RawRecord
from steps.ingest.tables import read_json, read_jsonl, read_parquet
from tests.steps.ingest.test_archive import lz4

LIMIT = 1 << 20
PLAIN = SourceSettings(name="s")


def supervised(**fields: str) -> FieldMapping:
    return FieldMapping(SourceSettings(name="s", kind="supervised", fields=fields, task="chat"))


def turns(*said: str, form: str = "openai") -> list[dict[str, str]]:
    """Messages of alternating speakers; "system: …" is the system's."""
    found, names = [], {"openai": ("user", "assistant"), "sharegpt": ("human", "gpt")}[form]
    for text in said:
        role = "system" if text.startswith("system") else names[sum(t["role"] != "system" for t in found) % 2]
        found.append({"role": role, "content": text})
    if form == "sharegpt":
        return [{"from": turn["role"], "value": turn["content"]} for turn in found]
    return found


@pytest.mark.parametrize(("form", "field"), [("openai", "messages"), ("sharegpt", "conversations")])
def test_conversations_become_prompt_and_response(form: str, field: str) -> None:
    mapping = supervised()
    one = mapping.record(0, 9, {field: turns("What is 1+1?", "2", form=form)}, None)
    assert one.supervised == ("What is 1+1?", "2", "chat") and one.text == "What is 1+1?\n2"
    told = mapping.record(0, 9, {field: turns("system: be brief", "Hi", "Hello", form=form)}, None)
    assert told.supervised == ("system: be brief\nHi", "Hello", "chat")
    several = mapping.record(0, 9, {field: turns("a", "b", "c", "d", "e", form=form)}, None)
    assert several.supervised == ("User: a\nAssistant: b\nUser: c", "d", "chat")  # e was not answered


def test_a_conversation_under_another_name_is_mapped() -> None:
    found = supervised(messages="data.chat").record(0, 9, {"data": {"chat": turns("q", "a")}}, None)
    assert found.supervised == ("q", "a", "chat")


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ("text", "not a list"),
        (["text"], "message 0 of its conversation is not an object"),
        ([{"role": "narrator", "content": "x"}], "unknown role 'narrator'"),
        ([{"role": "user", "content": 5}], "message 0 of its conversation is not a text"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "message 0 of its conversation is not a text",
        ),
        (turns("q"), "has no answer"),
        ([{"role": "assistant", "content": "a"}], "has no question"),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": None}], "has no answer"),
        ([], "has no answer"),
    ],
)
def test_a_conversation_that_is_none_says_why(messages: Any, problem: str) -> None:
    record = supervised().record(3, 9, {"messages": messages}, b"raw")
    assert record.broken == "malformed_record" and problem in str(record.detail) and record.raw == b"raw"


def test_parts_of_a_message_are_joined() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert conversation([{"role": "user", "content": parts}, {"role": "assistant", "content": "a"}]) == (
        "one\ntwo",
        "a",
    )


def test_fields_are_found_by_path_in_lists_and_joined() -> None:
    row = {
        "q": {"text": "Who?"},
        "context": "A story.",
        "answers": [{"text": "Li"}, {"text": "Wu"}],
        "steps": ["a", "b"],
    }
    mapping = supervised(prompt="context+q.text", response="answers.0.text", task="steps")
    assert mapping.record(0, 9, row, None).supervised == ("A story.\nWho?", "Li", "a\nb")
    missing = supervised(prompt="q.text", response="answers.7.text").record(0, 9, row, None)
    assert "field 'answers.7.text' (response) is missing" in str(missing.detail)
    with pytest.raises(DataError, match="fields maps unknown columns txt; known: text, url"):
        FieldMapping(SourceSettings(name="s", fields={"txt": "body"}))


def test_conversations_of_parquet_are_read(tmp_path: Path) -> None:
    rows = [{"messages": turns("问", "答"), "id": 1}, {"messages": turns("q"), "id": 2}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    chats = SourceSettings(name="s", kind="supervised")
    first, second = read_parquet(tmp_path / "a.parquet", chats, LIMIT)
    assert first.supervised == ("问", "答", "") and first.size == len("user问assistant答".encode())
    assert second.broken == "malformed_record"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JSON, max_size=8), st.sampled_from([None, 1, "\t"]), st.booleans(), st.integers(1, 9))
def test_an_array_is_cut_into_what_json_reads(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any], indent: Any, escape: bool, chunk: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(" \n" + json.dumps(values, indent=indent, ensure_ascii=escape) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("steps.ingest.json_array._CHUNK", chunk)
        assert [json.loads(element.raw or b"") for element in array_elements(path, LIMIT)] == values


def fates(records: Any) -> list[str]:
    return [record.broken or record.text for record in records]


def test_an_array_gives_what_stands_before_its_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    good = '{"text": "one"}, {"text": "two"}'
    long = json.dumps({"text": "x" * 5000})
    for text, expected in (
        (f"[{good}]", ["one", "two"]),
        (f"[{good}", ["one", "malformed_json"]),
        (f'[{good}, {{"text": nonsense}}, {{"text": "three"}}]', ["one", "two", "malformed_json", "three"]),
        (f"[{good}] and more", ["one", "two", "malformed_json"]),
        (f"[{good},]", ["one", "two"]),
        (f'[{long}, {good}, "x"]', ["oversized_record", "one", "two", "malformed_record"]),
        ("[]", []),
        ("", []),
    ):
        path.write_text(text)
        assert fates(read_json(path, PLAIN, 4000)) == expected, text


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.ZstdCompressor().compress, lz4], ids=["gz", "zst", "lz4"]
)
def test_a_table_that_is_cut_off_says_so(tmp_path: Path, pack: Any) -> None:
    lines = b"".join(b'{"text": "line %d %d"}\n' % (n, n * 7919) for n in range(20_000))
    path = tmp_path / "a"
    packed = pack(lines)
    path.write_bytes(packed)
    assert len(list(read_jsonl(path, PLAIN, LIMIT))) == 20_000
    for cut in (5, len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:cut])
        *found, last = read_jsonl(path, PLAIN, LIMIT)
        assert last.broken == "truncated_object" and all(record.broken is None for record in found)
    assert len(found) > 10_000 or pack is lz4


@pytest.mark.parametrize("name", ["jsonl", "json"])
@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.ZstdCompressor().compress, lz4], ids=["gz", "zst", "lz4"]
)
def test_empty_frames_and_frames_to_skip_lose_nothing(tmp_path: Path, name: str, pack: Any) -> None:
    rows = [json.dumps({"text": f"line {n}"}).encode() for n in range(3000)]
    data = b"\n".join(rows) if name == "jsonl" else b"[" + b",".join(rows) + b"]"
    half = len(data) // 2
    first, second, empty = pack(data[:half]), pack(data[half:]), pack(b"")
    table = b"\x5d\x2a\x4d\x18\x04\0\0\0abcd"
    files = [empty * 3 + first + second, first + empty * 5 + second + empty]
    if pack not in (gzip.compress, lz4):
        files += [table + first + table + second, first + table * 2 + second + table]
    path = tmp_path / "a"
    for file in files:
        path.write_bytes(file)
        records = (read_jsonl if name == "jsonl" else read_json)(path, PLAIN, LIMIT)
        assert [record.text for record in records] == [f"line {n}" for n in range(3000)]
        path.write_bytes(file[: file.index(second) + len(second) - 1])
        *_, last = (read_jsonl if name == "jsonl" else read_json)(path, PLAIN, LIMIT)
        assert last.broken in ("truncated_object", "malformed_json")


@pytest.mark.parametrize("name", ["jsonl", "json"])
def test_numbers_and_nesting_without_bounds_are_malformed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a"
    values = ['{"text": "good"}', "[" * 100_000 + "]" * 100_000, '{"text": ' + "9" * 10_000 + "}"]
    path.write_text("\n".join(values) if name == "jsonl" else f"[{','.join(values)}]")
    records = list((read_jsonl if name == "jsonl" else read_json)(path, PLAIN, LIMIT))
    assert [r.broken for r in records] == [None, "malformed_json", "malformed_json"]


def test_parquet_that_repeats_a_large_value_is_read_value_by_value(tmp_path: Path) -> None:
    """4 GB of text in a file of 64 kB."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 4_000, pa.int32()), pa.array(["x" * 1_000_000]))
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": text}), path, compression="zstd")
    assert path.stat().st_size < 1 << 17
    records: list[RawRecord] = []
    before = pa.total_allocated_bytes()
    for record in read_parquet(path, PLAIN, LIMIT):
        assert pa.total_allocated_bytes() - before < 100 << 20
        record.text = record.text[:1] if record.text else None
        records.append(record)
    assert [r.text for r in records] == ["x"] * 4_000 and [r.row for r in records] == list(range(4_000))


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None])
@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_texts_of_parquet_are_read_and_measured_whatever_their_writer(
    tmp_path: Path, encoding: str | None, kind: pa.DataType
) -> None:
    """Version 2 of DuckDB's and Spark's writers encode deltas; Polars' texts are views."""
    texts = ["one", "", None, "四" * 10, "x" * 5000, "one"] * 20
    table = pa.table({"text": pa.array(texts).cast(kind)})
    path = tmp_path / "a.parquet"
    how = {"column_encoding": {"text": encoding}} if encoding else {}
    pq.write_table(table, path, use_dictionary=encoding is None, row_group_size=50, **how)
    records = list(read_parquet(path, PLAIN, 4000))
    assert [r.size for r in records] == [len((text or "").encode()) for text in texts]
    assert [r.broken for r in records] == [
        None,
        None,
        "malformed_record",
        None,
        "oversized_record",
        None,
    ] * 20
    assert [r.text for r in records if not r.broken] == [t for t in texts if t is not None and len(t) < 4000]


def test_damaged_parquet_gives_the_rows_before_the_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{n} {n * 7919}" for n in range(50_000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10_000, use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    *found, last = read_parquet(path, PLAIN, LIMIT)
    assert last.broken in ("unreadable_parquet", "malformed_record") and 10_000 <= len(found) < 50_000
    assert [r.text for r in found] == texts[: len(found)]
    path.write_bytes(data[:1000])
    (only,) = read_parquet(path, PLAIN, LIMIT)
    assert (only.broken, only.row, only.size) == ("unreadable_parquet", 0, 1000)
