"""From key press to the next document on the review page, in a real browser, with a sample of 10,000 documents.

    python -m benchmarks.speed.review [--documents 10000] [--answers 100]

The page, the api-server and the store are the real ones (SQLite and a folder instead of PostgreSQL and S3). An answer
counts from the key press until the next document stands there.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from steps.core.config import Runtime, StepConfig
from steps.core.labels import Label, labels_table
from steps.core.parts import PartWriter
from steps.core.step import Step, StepContext, run_step
from steps.evaluate.step import SAMPLE_SCHEMA
from tests.system.review import ApiServer, Reader, chromium, skip_reason

TEXT = "The river runs past old mills where people once ground grain. 清晨的河水流过老磨坊。\n"


class Config(StepConfig):
    """How many documents."""

    documents: int


def write(task: dict[str, Any], part: PartWriter) -> None:
    """Sample and automatic labels of made-up documents, 2 to 20 kB each."""
    generator = np.random.default_rng(1)
    rows, labels = [], []
    for number in range(part.config.documents):
        text = f"{number}\n" + TEXT * int(generator.integers(15, 150))
        name = hashlib.sha256(str(number).encode()).hexdigest()[:20]
        sha = hashlib.sha256(text.encode()).hexdigest()
        row = dict.fromkeys(SAMPLE_SCHEMA.names, "") | {"sample_id": name, "doc_id": name, "doc_sha256": sha}
        rows.append(row | {"stratum": "web|en", "language": "en", "row": 0, "text": text})
        labels.append(
            Label(sample_id=name, doc_sha256=sha, annotator="automatic", reader="automatic", label="good")
        )
    part.put_table("sample.parquet", pa.Table.from_pylist(rows, SAMPLE_SCHEMA), "sample")
    part.put_table("automatic.parquet", labels_table(labels), "automatic")


def run(ctx: StepContext) -> None:
    """The one part."""
    ctx.part("write", write)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.review", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--answers", type=int, default=100)
    arguments = parser.parse_args()
    if reason := skip_reason():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as folder:
        root = f"file://{folder}/root"
        config = {"documents": arguments.documents}
        made = run_step(
            Step("evaluate", 1, Config, run), config=config, inputs={}, root=root, runtime=Runtime(workers=1)
        )
        server = ApiServer(Path(folder) / "airflow", root)
        server.migrate()
        server.start()
        try:
            with chromium() as browser:
                took = answers(Reader(browser, server, "anna", made.artifact.local_ref), arguments.answers)
        finally:
            server.kill()
    median, high, worst = np.quantile(took, [0.5, 0.95, 1.0]) * 1000
    print("| documents in the sample | answers | median | 95th percentile | longest |")
    print("|---|---|---|---|---|")
    print(f"| {arguments.documents:,} | {len(took)} | {median:.0f} ms | {high:.0f} ms | {worst:.0f} ms |")


def answers(reader: Reader, number: int) -> list[float]:
    """Seconds from key press to next document, measured in the page."""
    reader.open()
    took = []
    for _ in range(number):
        took.append(
            reader.page.evaluate(
                """() => new Promise((done) => {
                    const text = document.getElementById('text'), before = text.dataset.sample;
                    const start = performance.now();
                    const seen = new MutationObserver(() => {
                        if (text.dataset.sample === before) return;
                        seen.disconnect();
                        requestAnimationFrame(() => done((performance.now() - start) / 1000));
                    });
                    seen.observe(text, { attributes: true });
                    dispatchEvent(new KeyboardEvent('keydown', { key: 'g' }));
                })"""
            )
        )
        time.sleep(0.05)
    return took


if __name__ == "__main__":
    main()
