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
    ):
        with pytest.raises(ConfigError, match=why):
            read_items(path, key, FIELDS)


def test_a_file_that_unpacks_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.mix.benchmarks, "LIMIT", 1000)
    (tmp_path / "x").write_bytes(gzip.compress(b" " * 1001))
    with pytest.raises(ConfigError, match="too much for test items"):
        read_items(tmp_path / "x", "test.json.gz", FIELDS)


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
