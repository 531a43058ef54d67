"""Corpora of real articles for the speed tables, and what a step costs on them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from benchmarks.quality.chain import read_jsonl, shared
from steps.core.config import StepConfig
from steps.core.document import SCHEMA, doc_id
from steps.core.parts import PartWriter
from steps.core.step import Outcome, Step, StepContext, run_step

ARTICLES = "lctt_opensource/lctt_opensource_zh_en.jsonl.gz"
SHARD_BYTES = 8_000_000
LOOK_EVERY = 0.02  # seconds between looks at a running process


def articles(language: str) -> list[str]:
    """Whole technical articles, about 7 MB each in Chinese and English."""
    return [row["text"] for row in read_jsonl(shared(ARTICLES)) if row["lang"] == language]


class Config(StepConfig):
    """Which articles, and how often; the copies differ in their last line."""

    language: str
    megabytes: float


def write_shard(task: Mapping[str, int], part: PartWriter) -> None:
    """One shard of about SHARD_BYTES; no more than that is in memory at once."""
    texts, language = articles(part.config.language), part.config.language
    size, rows, number = 0, [], 0
    while size < task["bytes"]:
        number += 1
        text = f"{texts[(task['first'] + number) % len(texts)]}\n{task['first']}-{number}."
        size += len(text.encode())
        row = dict.fromkeys(SCHEMA.names) | {"source": "articles", "language": language, "metadata": "{}"}
        rows.append({**row, "url": "", "doc_id": doc_id("", text), "text": text})
    for column in (part.count.add_input, part.count.add_kept):
        column("articles", language, len(rows), size)
    part.put_shard(task["shard"], pa.Table.from_pylist(rows, schema=SCHEMA))


def run(ctx: StepContext) -> None:
    total = int(ctx.config.megabytes * 1e6)
    shards = range(-(-total // SHARD_BYTES))
    tasks = [
        {"shard": n, "first": 1000 * n, "bytes": min(SHARD_BYTES, total - n * SHARD_BYTES)} for n in shards
    ]
    ctx.map("write", write_shard, tasks)


MAKE = Step("articles", 1, Config, run, makes="corpus")


def make_corpus(root: Path, language: str, megabytes: float) -> Outcome:
    """A corpus of so many MB of articles below ``root``."""
    return run_step(
        MAKE, config={"language": language, "megabytes": megabytes}, inputs={}, root=f"file://{root}"
    )


@dataclass(frozen=True)
class Cost:
    """What a process and its children took: wall and CPU seconds, and the largest sum of resident bytes.

    ``processes`` are the CPU seconds of each process, largest first, as last seen before its end.
    """

    wall: float
    cpu: float
    memory: int
    processes: tuple[float, ...] = ()


def run_process(
    command: Sequence[str], environment: Mapping[str, str] | None = None, memory_every: float = LOOK_EVERY
) -> Cost:
    """The cost of a command; exits with its output where it fails.

    Memory (PSS) is sampled every so many seconds. To sum up the pages of a process takes some milliseconds: 50 times a
    second that is a sixth of a core, which the command lacks where it uses all of them.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    peak, seen = [0], dict[int, float]()
    watcher = threading.Thread(target=_watch, args=(process, peak, seen, memory_every), daemon=True)
    watcher.start()
    output, _ = process.communicate()
    wall = time.monotonic() - began
    watcher.join()
    if process.returncode:
        sys.exit(output.decode(errors="replace")[-4000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, peak[0], tuple(sorted(seen.values(), reverse=True)))


def _watch(
    process: subprocess.Popen[bytes], peak: list[int], seen: dict[int, float], memory_every: float
) -> None:
    due = 0.0
    while process.poll() is None:
        tree = _tree(process.pid)
        seen.update((pid, max(seen.get(pid, 0.0), _cpu(pid))) for pid in tree)
        if time.monotonic() >= due:
            peak[0] = max(peak[0], sum(_resident(pid) for pid in tree))
            due = time.monotonic() + memory_every
        time.sleep(LOOK_EVERY)


def _cpu(pid: int) -> float:
    """CPU seconds of a process without its children; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> list[int]:
    """The process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def _resident(pid: int) -> int:
    """Bytes of a process in memory; a page that several share counts its part. 0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().split("\n")
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def step_command(step: str, root: Path, inputs: Mapping[str, str], config: Path | None = None) -> list[str]:
    """The command line that runs a step as a task would."""
    command = [sys.executable, "-m", "steps.core.cli", "step", step, "--root", f"file://{root}"]
    command += [word for name, ref in inputs.items() for word in ("--input", f"{name}={ref}")]
    return command + (["--config", str(config)] if config else [])
