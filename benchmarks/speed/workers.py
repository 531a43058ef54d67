"""Two workers beside one: wall time of a step on a corpus of many shards.

    python -m benchmarks.speed.workers [--megabytes 160] [--step filter]

The bar is 1.85 on two quiet cores. What is not shared is start, reading the plan, merging counts and the report.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import make_corpus, run_process, step_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=160, help="of English articles, 8 MB a shard")
    parser.add_argument("--step", default="filter", choices=("preprocess", "filter"))
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="workers-") as scratch:
        root = Path(scratch)
        corpus = make_corpus(root, "en", options.megabytes)
        settings = root / "settings.yaml"
        settings.write_text("max_source_loss: 1.0\n" if options.step == "filter" else "{}\n")
        walls = {}
        for workers in (1, 2):
            place = root / str(workers)
            command = step_command(options.step, place, {"corpus": corpus.ref}, settings)
            cost = run_process(command, {"TOKENMILL_WORKERS": str(workers)})
            walls[workers] = cost.wall
            rows.append(
                [
                    str(workers),
                    f"{cost.wall:.1f}",
                    f"{cost.cpu:.1f}",
                    f"{options.megabytes / cost.wall:.1f}",
                    f"{cost.memory / 1e6:.0f}",
                ]
            )
    print(markdown(["workers", "wall, s", "CPU, s", "MB/s", "peak memory, MB"], rows))
    print(f"\n{options.step}: two workers are {walls[1] / walls[2]:.2f} times one ({os.cpu_count()} cores)")


if __name__ == "__main__":
    main()
