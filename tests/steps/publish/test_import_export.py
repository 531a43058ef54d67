"""A corpus cleaned elsewhere comes in, and goes out again with the same texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.corpus import Corpus

RECORDS = [
    {"content": "第一篇。\u2028有一个行分隔符。", "link": "https://a.example/1"},
    {"content": "第二篇，说的是别的事情。", "link": "https://a.example/2"},
]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """The reference that `tokenmill corpus import` hands back for two JSONL records."""
    source = tmp_path / "in"
    source.mkdir()
    lines = [json.dumps(record, ensure_ascii=False) for record in RECORDS]
    (source / "part.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = tmp_path / "result.json"
    monkeypatch.setenv("STEP_MANIFEST", str(result))
    arguments = ["corpus", "import", str(source), "--name", "mine", "--language", "zh", "--dump", "2026"]
    arguments += ["--field", "text=content", "--field", "url=link", "--root", f"file://{tmp_path}/root"]
    assert main(arguments) == 0
    return json.loads(result.read_text())["ref"], tmp_path


def test_imported_records_are_a_corpus(imported: tuple[str, Path]) -> None:
    (shard,) = Corpus.open(Artifact.open(imported[0])).shards
    rows = shard.read().to_pylist()
    assert [row["text"] for row in rows] == [record["content"] for record in RECORDS]
    assert {(row["language"], row["source"], row["dump"]) for row in rows} == {("zh", "mine", "2026")}


def test_export_writes_jsonl_and_parquet(imported: tuple[str, Path]) -> None:
    ref, folder = imported
    root = ["--root", f"file://{folder}/root"]
    assert main(["corpus", "export", ref, str(folder / "jsonl"), *root]) == 0
    assert main(["corpus", "export", ref, str(folder / "parquet"), "--format", "parquet", *root]) == 0
    with gzip.open(folder / "jsonl" / "train-00000.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        texts = [json.loads(line)["text"] for line in file.read().split("\n") if line]
    table = pq.read_table(folder / "parquet" / "train-00000.parquet")
    assert texts == table["text"].to_pylist() == [record["content"] for record in RECORDS]
    assert main(["corpus", "export", ref, str(folder / "jsonl"), *root]) == 64


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    for name in ("my data", "数据", "50%", "C#"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a b#1.jsonl").write_text('{"text": "one"}\n')
        assert main(["corpus", "import", str(folder), "--root", f"file://{tmp_path}/root of {name}"]) == 0
        assert (tmp_path / f"root of {name}" / "ingest").is_dir()


def test_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "import", str(tmp_path), "--root", f"file://{tmp_path}/root"]) == 64
    assert "no .jsonl" in capsys.readouterr().err
