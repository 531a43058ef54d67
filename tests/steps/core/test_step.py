"""The contract of a step: fingerprints, commit, resume, determinism, integrity."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from steps.core.artifact import Artifact, load_manifest
from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.counts import Counts
from steps.core.document_set import document_set_digest
from steps.core.errors import ConfigError, DataError, UsageError
from steps.core.step import run_step
from steps.core.store import open_store
from tests.steps.core.toy import DROP, MAKE

QUARANTINE = {"max_quarantine_share": 1.0}


def make(root: Path, workers: int = 1, **config: object) -> object:
    return run_step(
        MAKE,
        config={**QUARANTINE, **config},
        inputs={},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def test_the_same_bytes_come_out_of_one_and_of_two_workers(tmp_path: Path) -> None:
    one, two = make(tmp_path / "a"), make(tmp_path / "b", workers=2)
    assert one.digest == two.digest
    assert one.counts.total.quarantined.documents == 4 * 7


def test_a_committed_artifact_is_the_answer_to_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path)
    monkeypatch.setenv("TOY_COUNT", str(tmp_path / "count"))
    again = make(tmp_path)
    assert again.cached and again.digest == first.digest
    assert not (tmp_path / "count").exists()


def test_a_changed_setting_makes_another_artifact(tmp_path: Path) -> None:
    assert make(tmp_path).ref != make(tmp_path, rows=51).ref


def test_an_overlay_changes_the_document_set_and_not_the_text(tmp_path: Path) -> None:
    base = make(tmp_path)
    over = run_step(DROP, config={"every": 3}, inputs={"corpus": base.ref}, root=f"file://{tmp_path}")
    corpus = Corpus.open(over.artifact)
    kept = [row["text"] for shard in corpus.shards for row in shard.read(["text"]).to_pylist()]
    before = [row["text"] for s in Corpus.open(base.artifact).shards for row in s.read(["text"]).to_pylist()]
    assert kept == [text for shard in np.array_split(before, 4) for i, text in enumerate(shard) if i % 3]
    assert over.counts.total.removed.documents == len(before) - len(kept)
    assert corpus.shards[0].read(["text"], signals=["length"])["length"][0].as_py() == len(kept[0])
    assert over.artifact.manifest.identity.documents != base.artifact.manifest.identity.documents


def test_the_document_set_digest_is_that_of_the_sorted_text_digests(tmp_path: Path) -> None:
    import hashlib

    base = make(tmp_path)
    texts = [row["text"] for s in Corpus.open(base.artifact).shards for row in s.read(["text"]).to_pylist()]
    digests = sorted(hashlib.sha256(text.encode()).digest() for text in texts)
    runs = [b"".join(d for d in digests if d[0] == prefix) for prefix in range(256)]
    assert base.artifact.manifest.identity.documents == document_set_digest(runs)


def test_a_large_document_set_is_digested_in_groups_to_the_same_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = make(tmp_path / "a")
    monkeypatch.setattr("steps.core.document_set.BATCH_ROWS", 37)
    assert make(tmp_path / "b").digest == small.digest


RUN = """
import sys
from tests.steps.core.toy import MAKE
from steps.core.config import Runtime
from steps.core.step import run_step
if __name__ == "__main__":
    run_step(MAKE, config={"max_quarantine_share": 1.0, "shards": 12}, inputs={}, root=sys.argv[1],
             runtime=Runtime(workers=2))
"""


def wait_for_parts(process: subprocess.Popen[bytes], root: Path, count: int) -> None:
    """Returns when the toy step that ``process`` runs has finished that many parts."""
    deadline = time.monotonic() + 120
    while len(list(root.glob("make/*/parts/*.json"))) < count:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("parts", [1, 5, 9])
def test_a_step_killed_at_any_moment_resumes_to_the_same_artifact(tmp_path: Path, parts: int) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    killed, whole = f"file://{tmp_path}/killed", f"file://{tmp_path}/whole"
    environment = {**os.environ, "TOY_PAUSE": "0.2", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen([sys.executable, script, killed], env=environment, start_new_session=True)
    wait_for_parts(process, tmp_path / "killed", parts)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    count = tmp_path / "count"
    subprocess.run([sys.executable, script, killed], env={**environment, "TOY_COUNT": str(count)}, check=True)
    subprocess.run([sys.executable, script, whole], env={**environment, "TOY_PAUSE": "0"}, check=True)
    store = {name: open_store(uri) for name, uri in (("killed", killed), ("whole", whole))}
    folder = next(iter(store["whole"].list("make/"))).key.rsplit("/", 2)[0]
    digests = {name: load_manifest(s, folder.split("/data")[0]).digest for name, s in store.items()}
    assert digests["killed"] == digests["whole"]
    assert 0 < len(count.read_text().splitlines()) <= 12 - parts


def test_sigterm_ends_a_step_without_an_artifact_or_workers(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = {**os.environ, "TOY_PAUSE": "0.2", "PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(
        [sys.executable, script, f"file://{tmp_path}/root"], env=environment, start_new_session=True
    )
    wait_for_parts(process, tmp_path / "root", 1)
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not list(tmp_path.glob("root/make/*/manifest.json"))
    deadline = time.monotonic() + 60  # multiprocessing's resource tracker needs a moment
    while subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True).returncode == 0:
        assert time.monotonic() < deadline, "a worker is left running"
        time.sleep(0.1)


def test_a_damaged_shard_is_refused_by_name(tmp_path: Path) -> None:
    base = make(tmp_path)
    entry = base.artifact.files("shard")[1]
    path = tmp_path / base.artifact.folder / entry.object_name
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"shards/00001\.parquet.*corrupt|corrupt.*shards/00001"):
        Corpus.open(base.artifact).shards[1].read()


def test_an_edited_manifest_is_refused(tmp_path: Path) -> None:
    base = make(tmp_path)
    path = tmp_path / base.artifact.folder / "manifest.json"
    path.write_text(path.read_text().replace('"rows":172', '"rows":173'))
    with pytest.raises(DataError, match="edited or damaged"):
        Artifact.open(base.ref)


def test_a_reference_with_another_digest_is_refused(tmp_path: Path) -> None:
    base = make(tmp_path)
    with pytest.raises(DataError, match="was asked for"):
        Artifact.open(base.ref[:-4] + "0000")


def test_too_many_quarantined_documents_fail_the_step_and_leave_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"14\.0%.*max_quarantine_share 5\.0%.*poison"):
        run_step(MAKE, config={}, inputs={}, root=f"file://{tmp_path}")
    assert not list(tmp_path.glob("make/*/manifest.json"))


def test_counts_that_lose_a_document_are_refused() -> None:
    counts = Counts()
    counts.add_input("a", "en", 2, 20)
    counts.add_kept("a", "en", 1, 10)
    with pytest.raises(DataError, match="2 documents went in"):
        counts.check("toy")


def test_all_wrong_settings_and_inputs_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        run_step(MAKE, config={"rows": 0, "shards": "x", "colour": 1}, inputs={}, root=f"file://{tmp_path}")
    assert {line.split(":")[0] for line in str(error.value).splitlines()} == {
        "make.rows",
        "make.shards",
        "make.colour",
    }
    with pytest.raises(UsageError, match="needs the input corpus"):
        run_step(DROP, config={}, inputs={}, root=f"file://{tmp_path}")
