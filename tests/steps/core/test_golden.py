"""Artifacts that older versions committed stay readable, and today's output is still theirs (CONTRACT §9)."""

from __future__ import annotations

from pathlib import Path

from steps.core.artifact import Artifact
from steps.core.corpus import Corpus
from steps.core.step import run_step
from tests.steps.core.toy import DROP, MAKE

GOLDEN = Path(__file__).parents[2] / "golden"
SCHEMA_1 = (
    "drop/e19fbb514d69bde48ee57609323d74c3d0506a3fddac1277828b7af77f906a39"
    "@d46eabe527f8cbcb32a2c118131c29b3453ea77e9c3c16a7302df74ffbc49d2a"
)


def test_an_artifact_of_schema_1_is_read_with_its_base_signals_ledger_and_quarantine() -> None:
    artifact = Artifact.open(f"file://{GOLDEN}/schema-1/{SCHEMA_1}")
    corpus = Corpus.open(artifact)
    table = corpus.shards[1].read(["text"], signals=["length"])
    assert [text[:14] for text in table["text"].to_pylist()] == [
        "shard 1 row 1 ",
        "shard 1 row 2 ",
        "shard 1 row 4 ",
        "shard 1 row 5 ",
    ]
    assert table["length"].to_pylist() == [78] * 4
    assert artifact.read_table(artifact.files("ledger")[0])["rule"].to_pylist() == ["every_nth"] * 3
    base = artifact.input("corpus")
    assert base.read_table(base.files("quarantine")[0])["rule"].to_pylist() == ["poison"]


def test_today_s_code_still_makes_the_bytes_of_schema_1(tmp_path: Path) -> None:
    config = {"max_quarantine_share": 1.0, "shards": 2, "rows": 8}
    base = run_step(MAKE, config=config, inputs={}, root=f"file://{tmp_path}")
    over = run_step(DROP, config={}, inputs={"corpus": base.ref}, root=f"file://{tmp_path}")
    assert over.artifact.local_ref == SCHEMA_1, (
        "output changed: raise the schema or the step's version on purpose"
    )
