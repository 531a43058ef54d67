from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from demo.archives import Capture, write_archive
from steps.core.step import Outcome
from steps.ingest import sandbox, step
from steps.ingest.config import Config
from steps.ingest.protocol import Request
from steps.ingest.sandbox import Reader, memory_limit, read_outcomes
from tests.steps.ingest.objects import documents, ingest, ledger

DATE = "2026-01-05T00:00:00Z"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "do-not-tell-1",
    "TOKENMILL_SIGNING_KEY": "do-not-tell-2",
    "MLFLOW_TRACKING_PASSWORD": "do-not-tell-3",
}
PR_GET_DUMPABLE = 3
ORDERS = {
    "SEGFAULT": "parser_crashed",
    "ABORT": "parser_crashed",
    "LOOP": "parser_timeout",
    "EAT": "parser_out_of_memory",
}


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Ingests a WET file of the given texts with a parser that does what they order."""
    children: list[Reader] = []

    def bad_reader(config: Config) -> Reader:
        children.append(Reader(config, ("-m", "tests.steps.ingest.bad_reader")))
        return children[-1]

    def run(*texts: str, root: str = "root", **config: Any) -> Outcome:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        sent = [
            Capture(f"https://e.org/{n}", DATE, text.encode(), record_type="conversion")
            for n, text in enumerate(texts)
        ]
        write_archive(folder / "a.wet.gz", sent, wet=True)
        given = {"max_quarantine_share": 1.0, "max_record_seconds": 1, **config}
        return ingest(tmp_path / root, folder, config=given)

    monkeypatch.setattr(step, "reader", bad_reader)
    yield run
    for child in children:
        child.close()


def reasons(done: Outcome) -> list[tuple[str, int]]:
    return [(row["rule"], row["row"]) for row in ledger(done, "quarantine")]


def test_the_parser_sees_no_keys(mill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (document,) = documents(mill("ENVIRONMENT"))
    seen = json.loads(document["text"])
    assert "PATH" in seen and not set(SECRETS) & set(seen)
    assert not any(value in document["text"] for value in SECRETS.values())
    # nor may it look into its parent's, unless it is root
    assert ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0


@pytest.mark.parametrize(("order", "reason"), ORDERS.items())
def test_a_record_that_the_parser_dies_of_costs_only_itself(
    mill: Callable[..., Outcome], order: str, reason: str
) -> None:
    done = mill(
        "one", f"{order} of the second", "three", "four", f"{order} again", "six", max_record_bytes=1 << 20
    )
    assert [row["text"] for row in documents(done)] == ["one", "three", "four", "six"]
    assert reasons(done) == [(reason, 2), (reason, 5)]  # row 0 is the warcinfo
    first = ledger(done, "quarantine")[0]
    assert first["raw"] == f"{order} of the second".encode() and "https://e.org/1" in first["detail"]
    total = done.counts.total
    assert (total.input.documents, total.kept.documents, total.quarantined.documents) == (6, 4, 2)


def test_a_parser_that_waits_for_ever_is_ended(
    mill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "WALL_FACTOR", 4)
    done = mill("one", "SLEEP", "three")
    assert reasons(done) == [("parser_timeout", 2)] and len(documents(done)) == 2


def test_what_was_lost_to_the_clock_is_lost_again_in_a_retry(
    mill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is killed after the loss; the second attempt's parser would have had the time."""

    def killed(self: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("steps.ingest.shards.Shards.close", killed)
        mill("one", "LOOP", "three")
    monkeypatch.setattr(step, "reader", Reader)  # a good one, that does not loop
    again = mill("one", "LOOP", "three")
    assert reasons(again) == [("parser_timeout", 2)]


def test_what_a_parser_prints_does_not_reach_the_answer(mill: Callable[..., Outcome]) -> None:
    assert [d["text"] for d in documents(mill("PRINT this", "two"))] == ["PRINT this", "two"]


def test_a_reader_that_dies_between_records_loses_the_rest_and_says_so(
    mill: Callable[..., Outcome], tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    urls = [f"https://e.org/{n}" for n in range(5)]
    urls[2] += "#read"  # removed, and the end of the reader
    sent = [
        Capture(url, DATE, b" " if url.endswith("read") else b"page", record_type="conversion")
        for url in urls
    ]
    write_archive(folder / "a.wet.gz", sent, wet=True)
    done = ingest(tmp_path / "root", folder, config={"max_quarantine_share": 1.0})
    assert len(documents(done)) == 2
    assert [row["rule"] for row in ledger(done)] == ["empty_body"]
    (rest,) = ledger(done, "quarantine")
    assert rest["row"] == 4  # behind the last record that was read: 0 is the warcinfo
    assert rest["rule"] == "parser_crashed" and "nothing can be read from record 3 on" in rest["detail"]


def test_a_parser_that_dies_all_the_time_is_given_up(
    mill: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MAX_LOST", 2)
    done = mill("one", *["ABORT"] * 4, "six")
    assert [d["text"] for d in documents(done)] == ["one"]
    assert [row["rule"] for row in ledger(done, "quarantine")] == ["parser_crashed"] * 3
    assert "from record 3 on" in ledger(done, "quarantine")[2]["detail"]


def test_an_answer_that_is_not_what_was_asked_for_is_not_believed(tmp_path: Path) -> None:
    """A child that was taken over may send anything."""
    lies = {
        "length": "FRAME.pack(1 << 60, b'B')",
        "negative": "FRAME.pack(-5, b'B')",
        "no arrow": "FRAME.pack(4, b'B') + b'junk'",
        "other columns": "FRAME.pack(len(table), b'B') + table",
        "no json": "FRAME.pack(4, b'E') + b'junk'",
    }
    for name, lie in lies.items():
        script = tmp_path / "liar.py"
        script.write_text(
            "import sys, mmap, os, pyarrow as pa\n"
            "from steps.ingest.protocol import CELL, FRAME\n"
            "cell = mmap.mmap(int(sys.argv[1]), CELL.size)\n"
            "sink = pa.BufferOutputStream()\n"
            "t = pa.table({'a': [1]})\n"
            "with pa.ipc.new_stream(sink, t.schema) as w: w.write_table(t)\n"
            "table = sink.getvalue().to_pybytes()\n"
            "sys.stdin.readline()\n"
            "for line in sys.stdin:\n"
            "    CELL.pack_into(cell, 0, 1, 0, 0)\n"
            f"    os.write(1, {lie})\n"
            "    os._exit(0)\n"
        )
        environment_path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
        child = Reader(Config(max_record_bytes=1 << 20), (str(script),))
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PYTHONPATH", environment_path)
            request = Request("x", "jsonl", "x", "", "", {})
            (end,) = read_outcomes(child, request, {}, lambda n, why: why)
        assert end["rest"] == "parser_crashed", name
        child.close()


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n')
    code = (
        "import sys\n"
        "from steps.ingest.config import Config\nfrom steps.ingest.protocol import Request\n"
        "from steps.ingest.sandbox import Reader\n"
        "r = Reader(Config())\n"
        f"list(r.ask(Request({str(tmp_path / 'a.jsonl')!r}, 'jsonl', 'a', 's', 'd', {{'name': 'n'}})))\n"
        "print(r._process.pid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_limit_of_memory_follows_the_largest_record() -> None:
    assert memory_limit(Config(max_record_bytes=1 << 20)) < memory_limit(Config()) < 4 << 30
