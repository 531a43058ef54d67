"""De-duplication of millions of made-up keys: time, memory and temporary bytes, and how they grow.

    python -m benchmarks.speed.deduplicate_scale [--millions 2 20] [--published 0 0.95] [--partition-documents N]

Everything that grows faster than the texts is run as the step runs it, on the same part files: URL and text
stage, tables, bands, groups. Making keys and verifying pairs are linear in the texts and measured elsewhere. The keys
are as awkward as those of real texts: bits of fingerprints lean to one side, so that unrelated ones lie as near as in
lctt_opensource (37 pairs in a million within 10 bits); unlike texts share a band in 66 of a million pairs, four times
as many as in the Chinese Wikipedia, and as there one document in 700 has the most frequent key of each band. 5 % of the
documents share their URL, 5 % their text, 20 % are near duplicates in small groups, and 1 % are pages of one template.
``--published`` is the share of documents that earlier dumps published. A second table has CPU time, the operating
system's part of it (mostly files in its cache), peak memory and scratch space of each phase (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from steps.core.config import Runtime
from steps.core.parts import PartResult, PartWriter
from steps.core.step import Step, StepContext, run_step
from steps.deduplicate.config import Config as DeduplicateConfig
from steps.deduplicate.keys import SCHEMA
from steps.deduplicate.match import put_keys
from steps.deduplicate.sample import join_samples
from steps.deduplicate.sources import bucket_size
from steps.deduplicate.step import find_candidates, find_equals, temporary
from steps.text.minhash import BANDS

SHARD_ROWS = 100_000
# 20 bands collide in 66 of a million pairs of articles of the Chinese Wikipedia, in 15 if near duplicates do not count
BAND_KEYS = 300_000
FREQUENT = 1 / 700  # 9 to 21 of those 8,750 articles have the most frequent key of a band
FAMILY = 4  # near duplicates of one text
EVERYBODY = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
TIMES: dict[str, float] = {}
PHASES: dict[
    str, list[float]
] = {}  # CPU seconds, the system's of them; resident memory at most, scratch: bytes


class Config(DeduplicateConfig):
    """Settings of de-duplication, and which documents to make up."""

    documents: int = Field(1, description="Documents.")
    published: float = Field(0.0, description="Share of them that is published.")


def leaning_bits(rng: np.random.Generator, count: int) -> np.ndarray:
    """uint64[count] in which a bit is set with probability 0.28: two of them differ in 26 bits on average."""
    a, b, c, d, e = rng.integers(0, 2**64, (5, count), np.uint64)
    return a & (b | (c & d & e))


def flip(rng: np.random.Generator, values: np.ndarray, times: int) -> np.ndarray:
    for _ in range(times):
        values = values ^ (np.uint64(1) << rng.integers(0, 64, values.shape).astype(np.uint64))
    return values


def make_keys(rng: np.random.Generator, rows: int) -> pa.Table:
    """Keys of one shard: unique documents first, then copies of its first ones, then pages of the one template."""
    copies, template = rows // 5, rows // 100
    unique = rows - copies - template
    of = np.concatenate([np.arange(unique), np.arange(copies) // FAMILY, np.zeros(template, np.int64)])
    near = np.arange(rows) >= unique
    simhash, sketch = leaning_bits(rng, unique)[of], rng.integers(0, 2**64, (unique, 2), np.uint64)[of]
    bands = rng.integers(0, BAND_KEYS, (unique, BANDS)).astype(np.uint32)[of]
    page = np.arange(rows) >= unique + copies
    common = np.random.default_rng(1)
    simhash[page], sketch[page] = (
        common.integers(0, 2**64, dtype=np.uint64),
        common.integers(0, 2**64, 2, np.uint64),
    )
    bands[page] = common.integers(0, BAND_KEYS, BANDS)
    simhash[near], sketch[near] = flip(rng, simhash[near], 4), flip(rng, sketch[near], 4)
    other = near[:, None] & (rng.random((rows, BANDS)) > 0.41)  # a band stays at Jaccard 0.8 with 0.8 ** 4
    bands[other] = rng.integers(0, BAND_KEYS, int(other.sum()))
    bands[rng.random((rows, BANDS)) < FREQUENT] = 0
    doc, url, text = rng.integers(0, 2**64, (3, rows, 2), np.uint64)
    url[: rows // 20], text[rows // 20 : rows // 10] = (
        url[rows // 2 : rows // 2 + rows // 20],
        text[-(rows // 20) :],
    )
    columns: dict[str, Any] = {"row": np.arange(rows), "quality": rng.integers(0, 3, rows, np.uint8)}
    for name, values in (("doc", doc), ("url", url), ("text", text)):
        columns |= {f"{name}_high": values[:, 0], f"{name}_low": values[:, 1]}
    columns |= {"simhash": simhash, "features": np.full(rows, 500), "grams": rng.integers(300, 400, rows)}
    columns |= {"sketch_low": sketch[:, 0], "sketch_high": sketch[:, 1]}
    buffers = [None, pa.py_buffer(bands.tobytes())]
    columns["bands"] = pa.FixedSizeBinaryArray.from_buffers(pa.binary(4 * BANDS), rows, buffers)
    return pa.table(columns).cast(SCHEMA)


def write_keys(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    keys = make_keys(np.random.default_rng(task["source"]), task["rows"])
    return put_keys(task["source"], keys, task["partitions"], part)


def run(ctx: StepContext) -> None:
    """The step's stages between its keys and its texts."""
    ctx.__class__ = Watched
    documents = ctx.config.documents
    partitions = max(1, -(-documents // ctx.config.partition_documents))
    tasks = [
        {"source": n, "rows": min(SHARD_ROWS, documents - first), "partitions": partitions}
        for n, first in enumerate(range(0, documents, SHARD_ROWS))
    ]
    began = _now()
    keyed = ctx.map("keys", write_keys, tasks)
    TIMES["making up keys"] = _now() - began
    first_new = int(ctx.config.published * len(tasks))
    common = {"folder": ctx.folder, "first_new": first_new, "per_bucket": bucket_size(len(tasks))}
    began = _now()
    decisions = find_equals(ctx, common, keyed, partitions)
    TIMES["URL and text"] = _now() - began
    began = _now()
    sample, keys = join_samples(part.result for part in keyed), temporary(keyed, "keys/")
    del keyed
    find_candidates(ctx, common, keys, sample, list(decisions.values()))
    TIMES["tables, bands and groups"] = _now() - began


class Watched(StepContext):
    """A step's context that notes time, memory and scratch space of each phase in `PHASES`."""

    def map(self, phase: str, *args: Any, **options: Any) -> list[PartResult]:
        ended, scratch = threading.Event(), [0]
        watching = threading.Thread(target=_note_size, args=(self.scratch, ended, scratch))
        watching.start()
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on (proc(5))
        began, system = _now(), _system()
        try:
            return super().map(phase, *args, **options)
        finally:
            lines = Path("/proc/self/status").read_text().splitlines()
            peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
            PHASES[phase] = [_now() - began, _system() - system, 1024 * int(peak), scratch[0]]
            ended.set()
            watching.join()


def _note_size(folder: Path, ended: threading.Event, most: list[int]) -> None:
    """The most bytes that were in a folder at one time into ``most``, looked at now and then."""
    while not ended.wait(0.1):
        with contextlib.suppress(FileNotFoundError):  # it was removed between the list and the look
            most[0] = max(most[0], sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()))


def _now() -> float:
    """CPU seconds of this process and its workers: others may be running."""
    return _system() + sum(resource.getrusage(who).ru_utime for who in EVERYBODY)


def _system() -> float:
    return sum(resource.getrusage(who).ru_stime for who in EVERYBODY)


def measure(documents: int, published: float, partition: int) -> dict[str, Any]:
    """One run in this process, on one worker."""
    with tempfile.TemporaryDirectory() as folder:
        shards = -(-documents // SHARD_ROWS)
        step = Step("deduplicate_scale", 1, Config, run)
        began = time.monotonic()
        outcome = run_step(
            step,
            config={"documents": documents, "published": published, "partition_documents": partition},
            inputs={},
            root=f"file://{folder}",
            runtime=Runtime(workers=1),
        )
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        return {
            "documents": documents,
            "published": int(published * shards) / shards,  # whole shards are
            "seconds": TIMES,
            "wall": time.monotonic() - began,
            "memory": max(peak for _, _, peak, _ in PHASES.values()),
            "phases": PHASES,
            "bytes": size,
            "near": outcome.facts["near"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--millions", type=float, nargs="+", default=[2, 20])
    parser.add_argument("--published", type=float, nargs="+", default=[0.0, 0.95])
    # by which two million are several partitions already
    parser.add_argument("--partition-documents", type=int, default=1_000_000)
    parser.add_argument("--one", type=float, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(int(options.one[0]), options.one[1], options.partition_documents)))
        return
    print(
        "| documents | published | URL and text, s | tables, bands, groups, s | µs per document "
        "| peak memory, MB | files, GB | compared pairs per document |"
    )
    print("|---|---|---|---|---|---|---|---|")
    runs = []
    for millions, published in itertools.product(options.millions, options.published):
        runs.append(found := in_a_process_of_its_own(millions, published, options.partition_documents))
        n, seconds = found["documents"], found["seconds"]
        equal, near = seconds["URL and text"], seconds["tables, bands and groups"]
        print(
            f"| {n:,} | {found['published']:.0%} | {equal:.0f} | {near:.0f} "
            f"| {(equal + near) / n * 1e6:.1f} | {found['memory'] / 1e6:,.0f} "
            f"| {found['bytes'] / 1e9:.1f} | {found['near']['compared_pairs'] / n:,.0f} |",
            flush=True,
        )
        print(json.dumps(found), file=sys.stderr)
    print("\nseconds (the system's), peak memory in MB, and scratch space in MB:\n")
    print("| phase |" + "".join(f" {run['documents']:,}, {run['published']:.0%} |" for run in runs))
    print("|---|" + "---|" * len(runs))
    for phase in runs[0]["phases"]:
        cells = (
            f" {seconds:.1f} ({system:.1f}), {peak / 1e6:,.0f}, {scratch / 1e6:,.0f} |"
            for seconds, system, peak, scratch in (run["phases"][phase] for run in runs)
        )
        print(f"| {phase} |" + "".join(cells))


def in_a_process_of_its_own(millions: float, published: float, partition: int) -> dict[str, Any]:
    """What `measure` finds."""
    module = "benchmarks.speed.deduplicate_scale"
    numbers = ["--one", str(millions * 1e6), str(published), "--partition-documents", str(partition)]
    done = subprocess.run([sys.executable, "-m", module, *numbers], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.decode().strip().split("\n")[-1])
    return found


if __name__ == "__main__":
    main()
