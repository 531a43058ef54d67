"""Peak memory of the steps that read documents, on one dump and on one twenty times as large.

    python -m benchmarks.speed.memory [--megabytes 16] [--times 20]

Largest sum of the processes' resident bytes (shared pages in parts), one worker. What may grow is the list of parts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.quality.chain import markdown
from benchmarks.speed.corpora import make_corpus, run_process, step_command
from images.warm import TEXTS, run_recipe
from steps.core.catalog import Catalog
from steps.core.store import open_store

STEPS = ("preprocess", "score", "filter")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=16, help="of English articles, 8 MB a shard")
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-") as scratch:
        folder = Path(scratch)
        run_recipe("language_models", TEXTS, folder)
        model = Catalog(open_store(f"file://{folder}/root")).get("language_models")["warm_language_models"][
            "en"
        ]
        settings = {name: folder / f"{name}.yaml" for name in STEPS}
        for name, path in settings.items():
            path.write_text("max_source_loss: 1.0\n" if name == "filter" else "{}\n")
        peaks: dict[str, list[float]] = {name: [] for name in STEPS}
        for times in (1, options.times):
            corpus = make_corpus(folder / f"corpus-{times}", "en", options.megabytes * times)
            for name in STEPS:
                inputs = {"corpus": corpus.ref} | ({"language_models.en": model} if name == "score" else {})
                command = step_command(name, folder / f"out-{times}", inputs, settings[name])
                peaks[name].append(run_process(command, {"TOKENMILL_WORKERS": "1"}).memory / 1e6)
    rows = [
        [name, f"{once:.0f}", f"{often:.0f}", f"{often / once:.2f}"] for name, (once, often) in peaks.items()
    ]
    large = options.megabytes * options.times
    header = ["step", f"{options.megabytes:.0f} MB of text: peak, MB", f"{large:.0f} MB: peak, MB", "times"]
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
