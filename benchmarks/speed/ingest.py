"""The ingest step beside what only reads: FastWARC, the standard library's json, resiliparse's own extraction.

    python -m benchmarks.speed.ingest [--times 4]

One worker, CPU seconds of step and reader child together, start included; the step also checks digests, guards the
parser, hashes, writes Parquet and counts. MB are UTF-8 of the documents that come out, MB in those of the raw files
decompressed. Memory is the largest sum of resident bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.quality.chain import markdown, shared
from benchmarks.speed.corpora import run_process
from steps.core.digest import file_digest
from steps.core.step import run_step

SETS = {"wet": "crawl_mix/*.wet.gz", "warc": "crawl_mix/*[0-9].warc.gz", "jsonl": "wiki_zh/*.jsonl.gz"}

STEP = """
import json, sys
from steps.core.step import run_step
config = {"max_quarantine_share": 1.0}
run_step("ingest", config=config, inputs={"source": sys.argv[1]}, root=sys.argv[2], locations=json.loads(sys.argv[3]))
"""


def read_wet(path: Path) -> int:
    """Bytes of text in a WET file, read and decoded."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with path.open("rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.conversion)
        return sum(len(record.reader.read().decode()) for record in records)


def read_warc(path: Path) -> int:
    """Characters of main text in a WARC file, after resiliparse's own extractor."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    size = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            body = record.reader.read()
            html = bytes_to_str(body, detect_encoding(body) or "utf-8")
            size += len(extract_plain_text(html, main_content=True))
    return size


def read_lines(path: Path) -> int:
    """Characters of the texts in a JSONL file."""
    with gzip.open(path) as file:
        return sum(len(json.loads(line)["text"]) for line in file)


READERS: dict[str, tuple[str, Callable[[Path], int]]] = {
    "wet": ("FastWARC", read_wet),
    "warc": ("FastWARC + resiliparse", read_warc),
    "jsonl": ("gzip + json", read_lines),
}


def copies(pattern: str, times: int, folder: Path) -> list[Path]:
    """So many copies of every file of a set, under names of their own."""
    folder.mkdir()
    found = sorted(shared(pattern.partition("/")[0]).glob(pattern.partition("/")[2]))
    for number in range(times):
        for path in found:
            shutil.copyfile(path, folder / f"{number}-{path.name}")
    return sorted(folder.iterdir())


def step_cost(form: str, paths: list[Path], root: Path) -> tuple[float, float, int]:
    """(CPU seconds, MB of text that came out, peak bytes) of one ingest."""
    objects = [
        {"source": form, "key": p.name, "bytes": p.stat().st_size, "sha256": file_digest(p)} for p in paths
    ]
    config = {"dump": "speed", "sources": [{"name": form, "format": form}], "objects": objects}
    locations = {form: paths[0].parent.as_uri()}
    source = run_step("plan", config=config, inputs={}, root=f"file://{root}", locations=locations)
    command = [sys.executable, "-c", STEP, source.ref, f"file://{root}", json.dumps(locations)]
    cost = run_process(command, {"TOKENMILL_WORKERS": "1"})
    (manifest,) = (root / "ingest").glob("*/manifest.json")
    written = json.loads(manifest.read_bytes())["identity"]["counts"]["total"]["written"]
    return cost.cpu, written["bytes"] / 1e6, cost.memory


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=4, help="copies of each set")
    options = parser.parse_args()
    rows = []
    for form, pattern in SETS.items():
        with tempfile.TemporaryDirectory(prefix="ingest-") as scratch:
            paths = copies(pattern, options.times, Path(scratch) / "in")
            raw = sum(len(gzip.decompress(path.read_bytes())) for path in paths) / 1e6
            name, read = READERS[form]
            began = time.process_time()
            for path in paths:
                read(path)
            bare = time.process_time() - began
            cpu, text, memory = step_cost(form, paths, Path(scratch))
        rows.append([f"{form}: {name}", f"{raw:.0f}", f"{raw / bare:.1f}", f"{text / bare:.1f}", "-"])
        rows.append(
            [f"{form}: ingest", f"{raw:.0f}", f"{raw / cpu:.1f}", f"{text / cpu:.1f}", f"{memory / 1e6:.0f}"]
        )
    print(markdown(["on one core", "MB in", "MB in/s", "MB of text/s", "peak memory, MB"], rows))


if __name__ == "__main__":
    main()
