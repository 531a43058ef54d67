"""How full the windows of each stage are on real data, beside the limit.

    python -m benchmarks.quality.packing [--length 4096]

Stage 1 is Wikipedia and stage 2 alpaca, in both languages, stage 3 GSM8K and MATH, each with the paper's replay.
The limit is the fill of the fewest windows that could hold the tokens. Documents cut are those of a task that go on
in another window.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.quality.chain import markdown
from benchmarks.quality.study import Study
from benchmarks.quality.three_stages import SETS, ingest, mix_of
from steps.core.artifact import Artifact
from steps.core.step import Outcome

SHAPE = {"hidden": 8, "layers": 1, "heads": 1, "ffn": 8, "vocabulary": 4000}
PLAIN = "plain text"
WEB_BYTES = 6_000_000  # of each language


@dataclass(frozen=True)
class Fill:
    """What the windows of one task of a stage hold, and what other ways would need."""

    stage: int
    task: str
    documents: int
    cut: int
    windows: int
    fill: float
    limit: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--length", type=int, default=4096, help="tokens per window")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="packing-") as scratch:
        stages = pack_stages(Path(scratch), options.length)
        found = [fill for stage in stages for fill in fills(stage)]
    header = ("stage", "task", "documents", "cut", "windows", "fill", "limit")
    rows = [
        (
            *(one.stage, one.task, f"{one.documents:,}", one.cut, f"{one.windows:,}"),
            *(f"{share:.2%}" for share in (one.fill, one.limit)),
        )
        for one in found
    ]
    print(markdown(header, rows))
    for stage in stages:
        lost = stage.manifest.identity.counts.total.removed.documents
        print(f"stage {stage.facts['stage']}: {lost} documents longer than a window left out")


def pack_stages(root: Path, length: int) -> list[Artifact]:
    """The token files of the three stages, made by the real steps; every document of the supervised sets is used."""
    study = Study("packing", root, 1.0)
    sets = {
        name: {**found, "bytes": WEB_BYTES if found["stage"] == 1 else 1 << 30}
        for name, found in SETS.items()
    }
    mix = mix_of(study, ingest(study, sets), sets)
    shape = {**SHAPE, "max_positions": length}
    model = study.run("initialize", {"from_scratch": shape, "characters": 3500}, {"mix": mix.ref})
    return [pack_stage(study, mix, model, stage, length) for stage in (1, 2, 3)]


def pack_stage(study: Study, mix: Outcome, model: Outcome, stage: int, length: int) -> Artifact:
    """One stage's token files."""
    inputs = {"mix": mix.ref, "model": model.ref}
    return study.run("pack", {"stage": stage, "sequence_length": length}, inputs).artifact


def fills(packed: Artifact) -> list[Fill]:
    """One row per task, from the written tables alone."""
    size, stage = packed.facts["sequence_length"], packed.facts["stage"]
    tables = [
        (
            packed.read_table(entry),
            packed.read_table(packed.file(entry.key.replace("windows", "segments"))),
        )
        for entry in packed.files("windows")
        if entry.meta["set"] == "train"
    ]
    found = []
    for task in sorted({task for windows, _ in tables for task in windows["task"].to_pylist()}):
        windows_of_task = pieces = tokens = 0
        whole = set()
        first = 0
        for windows, segments in tables:
            mine = np.array([name == task for name in windows["task"].to_pylist()])
            windows_of_task += int(mine.sum())
            for row in segments.select(["window", "shard", "row", "start", "end"]).to_pylist():
                if mine[row["window"] - first]:
                    pieces += 1
                    whole.add((row["shard"], row["row"]))
                    tokens += row["end"] - row["start"]
            first += windows.num_rows
        found.append(
            Fill(
                stage,
                task or PLAIN,
                len(whole),
                pieces - len(whole) if task else 0,
                windows_of_task,
                tokens / (windows_of_task * size),
                tokens / (-(-tokens // size) * size),
            )
        )
    return found


if __name__ == "__main__":
    main()
