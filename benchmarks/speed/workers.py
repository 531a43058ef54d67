"""Two workers beside one: wall time of a step on a corpus of many shards.

    python -m benchmarks.speed.workers [--megabytes 640] [--step filter] [--rounds 3]

Wall time of the whole process, as a task runs it. The bar is 1.85 on two quiet cores. What is not shared takes about
two seconds, whatever the size of the corpus: imports, the start of the workers, merging counts, drawing the page, and
the last shard, during which a worker may have nothing to do. So the more there is to do, the nearer to two.

Of the rounds the least wall time counts. On a machine with other work wall time says nothing; then look at the CPU
seconds one after the other: all that the workers did not do, and an even share of what they did. Two quiet cores take
no less than that; where the start of the workers overlaps with that of the step, not even that.

What the machine itself allows is measured in the same run: two processes of one worker at once, each with half of the
corpus. They share nothing but the machine (its memory, its caches, other work), and merge nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import Cost, make_corpus, run_process, step_command

MEMORY_EVERY = 1.0  # seconds; more often, and two workers would share their cores with who looks at them


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=640, help="of English articles, 8 MB a shard")
    parser.add_argument("--step", default="filter", choices=("preprocess", "filter"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="workers-") as scratch:
        root = Path(scratch)
        corpus = make_corpus(root, "en", options.megabytes)
        half = make_corpus(root, "en", options.megabytes / 2)
        settings = root / "settings.yaml"
        settings.write_text("max_source_loss: 1.0\n" if options.step == "filter" else "{}\n")
        costs: dict[int, list[Cost]] = {1: [], 2: []}
        apart: list[float] = []
        for number in range(options.rounds):
            for workers, found in costs.items():
                place = root / f"{number}-{workers}"
                command = step_command(options.step, place, {"corpus": corpus.ref}, settings)
                found.append(run_process(command, {"TOKENMILL_WORKERS": str(workers)}, MEMORY_EVERY))
                shutil.rmtree(place)
            commands = [
                step_command(options.step, root / f"{number}-{side}", {"corpus": half.ref}, settings)
                for side in ("left", "right")
            ]
            apart.append(at_once(commands))
    walls = {workers: min(cost.wall for cost in found) for workers, found in costs.items()}
    ways = {workers: min(in_sequence(cost, workers) for cost in found) for workers, found in costs.items()}
    rows = [
        [
            str(workers),
            f"{walls[workers]:.1f}",
            f"{min(cost.cpu for cost in found):.1f}",
            f"{ways[workers]:.1f}",
            f"{options.megabytes / walls[workers]:.1f}",
            f"{max(cost.memory for cost in found) / 1e6:.0f}",
        ]
        for workers, found in costs.items()
    ]
    print(
        markdown(
            ["workers", "wall, s", "CPU, s", "one after the other, CPU s", "MB/s", "peak memory, MB"], rows
        )
    )
    print(
        f"\n{options.step}: two workers are {walls[1] / walls[2]:.2f} times one by wall time, "
        f"{ways[1] / ways[2]:.2f} by CPU seconds one after the other ({os.cpu_count()} cores, "
        f"{os.getloadavg()[0]:.1f} processes were running). Two processes of one worker, each with half of the corpus, "
        f"are {walls[1] / min(apart):.2f} times one: what the machine allows."
    )


def at_once(commands: Sequence[Sequence[str]]) -> float:
    """Wall seconds until the last of some commands, all started together, has ended; exits where one fails."""
    began = time.monotonic()
    processes = [
        subprocess.Popen(command, env={**os.environ, "TOKENMILL_WORKERS": "1"}, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    if any([process.wait() for process in processes]):
        sys.exit("a process of one worker failed; its output is above")
    return time.monotonic() - began


def in_sequence(cost: Cost, workers: int) -> float:
    """CPU seconds one after the other: those outside of the workers, and an even share of those inside."""
    inside = sum(cost.processes[:workers]) if workers > 1 else 0.0
    return cost.cpu - inside + inside / workers


if __name__ == "__main__":
    main()
