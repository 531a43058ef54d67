"""How well `tokenmill topics train` tells topics that people gave: subjects of MATH, branches of Chinese law, and code.

python -m benchmarks.quality.topics trains one classifier per language with the defaults of the step and prints, for the
texts that it held out (by hash), precision and recall of each topic.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.quality.chain import markdown, read_jsonl, shared
from steps.core.artifact import Artifact
from steps.mix.command import train

FEWEST = 40  # texts of a topic
CHARACTERS = 4000


def english() -> Iterator[tuple[str, str]]:
    """Problems of MATH with their solutions, and the subject that its folder names."""
    for row in read_jsonl(shared("math_train/MATH_train_1500.jsonl.gz")):
        yield row["path"].split("/")[-2], f"{row['problem']}\n{row['solution']}"


def chinese() -> Iterator[tuple[str, str]]:
    """Laws by the branch that their folder names, and articles on algorithms."""
    for row in read_jsonl(shared("laws_zh/laws.jsonl.gz")):
        yield row["id"].split("/")[0], row["text"]
    for row in read_jsonl(shared("oi_wiki_zh/docs.jsonl.gz")):
        yield "algorithms", row["text"]


def main() -> None:
    """Train both and print the table."""
    rows = []
    for language, texts in (("en", list(english())), ("zh", list(chinese()))):
        number = Counter(topic for topic, _ in texts)
        with tempfile.TemporaryDirectory() as name:
            seeds = Path(name) / "seeds.jsonl"
            lines = [
                json.dumps({"text": text[:CHARACTERS], "topic": topic}, ensure_ascii=False)
                for topic, text in texts
                if number[topic] >= FEWEST
            ]
            seeds.write_text("\n".join(lines), encoding="utf-8")
            arguments = argparse.Namespace(
                what=str(seeds), name=language, text="text", topic="topic", config=None
            )
            root = f"file://{name}/root"
            with contextlib.redirect_stdout(io.StringIO()):
                made = Artifact.open(train(arguments, root)["ref"])
            for row in [
                *made.facts["held_out"],
                {"label": "mean of topics", "texts": "", **made.facts["overall"]},
            ]:
                rows.append(
                    [language, row["label"], row["texts"], f"{row['precision']:.1%}", f"{row['recall']:.1%}"]
                )
    print(markdown(["language", "topic", "texts held out", "precision", "recall"], rows))


if __name__ == "__main__":
    main()
