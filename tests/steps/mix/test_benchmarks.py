"""Test items out of data sets as they lie on the hub."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import steps.mix.benchmarks
from steps.core.errors import ConfigError
from steps.mix.benchmarks import data_set, is_training_split, read_items
from steps.mix.config import Decontamination

FIELDS = Decontamination().fields


def test_every_format_gives_the_same_items(tmp_path: Path) -> None:
    rows = [{"question": "Where, and\nwhen?", "answer": "7"}, {"question": "何时？", "answer": "8"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    table = 'question,answer\n"Where, and\nwhen?",7\n何时？,8\n'
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c.json").write_text(lines)
    (tmp_path / "d.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    (tmp_path / "e.tsv").write_text(table.replace(", ", "; ").replace(",", "\t").replace("; ", ", "))
    (tmp_path / "f.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "g.parquet")
    (tmp_path / "i.json").write_text(json.dumps({"name": "x", "keywords": ["y"], "examples": rows}))
    with zipfile.ZipFile(tmp_path / "h.zip", "w") as archive:
        archive.writestr("test/law.csv", table)
        archive.writestr("train/law.csv", "question\nno item\n")
        archive.writestr("README.md", "a card")
    for path in sorted(tmp_path.iterdir()):
        assert read_items(path, path.name, FIELDS) == ["Where, and\nwhen?", "何时？"], path.name


def test_the_first_field_that_a_record_has_is_its_item(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text(json.dumps({"prompt": "def add(a, b):", "problem": "Add.", "text": "no"}))
    assert read_items(path, "test.jsonl", FIELDS) == ["Add."]
    assert read_items(path, "test.jsonl", ("prompt",)) == ["def add(a, b):"]


def test_what_holds_no_items_is_passed_over_and_what_hides_them_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"citation": "none"}')
    for key in ("README.md", "tasks/own.yaml", "tasks/code.py", "dataset_infos.json", "main/train-0.jsonl"):
        assert read_items(path, key, FIELDS) == []
    for key, why in (
        ("data.tar", "unpack it"),
        ("data/test.arrow", "unpack it"),
        ("test.parquet", "cannot be read"),
        ("test.zip", "no archive"),
        ("test.jsonl", "has one of the fields question, .*it has citation"),
        ("test.jsonl.gz", r"test\.jsonl\.gz cannot be unpacked"),
    ):
        with pytest.raises(ConfigError, match=why):
            read_items(path, key, FIELDS)


def test_a_damaged_or_endlessly_nested_file_is_named(tmp_path: Path) -> None:
    path, lines = tmp_path / "x", b'{"question": "When?"}\n' * 100
    packed = bytearray(gzip.compress(lines))
    packed[15] ^= 255
    table = pa.table({"question": [f"When, where and why? {n}" for n in range(1000)]})
    pq.write_table(table, path)
    parquet = bytearray(path.read_bytes())
    parquet[40:400] = bytes(360)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("test.jsonl", lines)
    archived = bytearray(path.read_bytes())
    archived[45] ^= 255
    for key, data in (
        ("a/test.jsonl.gz", packed),
        ("b/test.jsonl.gz", gzip.compress(lines)[:-20]),
        ("c/test.parquet", parquet),
        ("d/test.zip", archived),
        ("e/test.json", b"[" * 100_000),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match=f"benchmarks: {key} "):
            read_items(path, key, FIELDS)


def test_a_table_without_a_field_for_items_is_answered_with_the_fields_that_it_has(tmp_path: Path) -> None:
    pq.write_table(pa.table({"stem": ["x"], "key": ["A"]}), tmp_path / "x")
    with pytest.raises(ConfigError, match=r"no record of test\.parquet .*; it has key, stem: name"):
        read_items(tmp_path / "x", "test.parquet", FIELDS)
    assert read_items(tmp_path / "x", "test.parquet", ("stem",)) == ["x"]


def test_a_file_that_unpacks_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.mix.benchmarks, "LIMIT", 1000)
    (tmp_path / "x").write_bytes(gzip.compress(b" " * 1001))
    with pytest.raises(ConfigError, match="too much for test items"):
        read_items(tmp_path / "x", "test.json.gz", FIELDS)
    pq.write_table(
        pa.table({"question": ["the same " * 9] * 100, "image": ["y" * 9999] * 100}), tmp_path / "x"
    )
    assert (tmp_path / "x").stat().st_size < 2000
    monkeypatch.setattr(steps.mix.benchmarks, "LIMIT", 2000)
    with pytest.raises(ConfigError, match="too much for test items"):
        read_items(tmp_path / "x", "test.parquet", FIELDS)
    monkeypatch.setattr(steps.mix.benchmarks, "LIMIT", 10_000)  # without the images
    assert len(read_items(tmp_path / "x", "test.parquet", FIELDS)) == 100


def test_splits_and_data_sets_are_told_by_the_path() -> None:
    for key in ("a/b/train-00000-of-00001.parquet", "cais/mmlu/auxiliary_train/x.jsonl", "data/training.csv"):
        assert is_training_split(key)
    for key in (
        "x/train-bench/test.jsonl",
        "openai/gsm8k/main/test-0.parquet",
        "a/constrained.jsonl",
        "val/x.csv",
    ):
        assert not is_training_split(key)
    assert data_set("openai/gsm8k/main/test.parquet", "s") == "openai/gsm8k"
    assert data_set("tasks/own.jsonl", "s") == "tasks" and data_set("own.jsonl", "s") == "s"
