"""Compiles the kernels into their cache while an image or the local set-up is built, on a few texts.

    python -m images.warm [TEXTS]     a folder with zh.jsonl and en.jsonl, as in demo/texts

Without it every container would compile for half a minute before its first document. The factory's stages up to
evaluate must end well; the verdict on so few texts, which is no, is of no interest. Without TEXTS only the kernels of
training are compiled, whose image has no factory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from steps.pack.fit import gather, whole
from steps.text.overlap import build_index, find_items

TEXTS = Path(__file__).resolve().parents[1] / "demo" / "texts"
SOURCES = """
  - {name: zh, uri: "{inbox}/zh.jsonl", kind: KIND, language: zh, licence: none, fields: {text: text, title: title}}
  - {name: en, uri: "{inbox}/en.jsonl", kind: KIND, language: en, licence: none, fields: {text: text, title: title}}
"""
RECIPES = {
    "language_models": """
name: warm_language_models
dag: language_models
sources: SOURCES
steps:
  language_model_zh: {vocabulary: 3000, order: 3}
  language_model_en: {vocabulary: 1000, order: 3}
""",
    "data_factory": """
name: warm_factory
dag: data_factory
sources: SOURCES
inputs:
  language_models: catalog:warm_language_models
steps:
  evaluate: {sample_fraction: 1.0}
  review: {mode: automatic}
""",
}
LAST = {"language_models": "language_model_en", "data_factory": "evaluate"}
COPIES = 3  # of each language's texts, so that de-duplication has some to compare


def add_near_copies(texts: Path, folder: Path) -> Path:
    """A folder with the texts of both languages and, of the first ones, copies that lack some characters."""
    inbox = folder / "texts"
    inbox.mkdir(exist_ok=True)
    for name in ("zh.jsonl", "en.jsonl"):
        lines = (texts / name).read_text(encoding="utf-8").splitlines()
        for document in map(json.loads, lines[:COPIES]):
            text, middle = document["text"], len(document["text"]) // 2
            lines.append(json.dumps(document | {"text": text[:middle] + text[middle + 3 :]}))
        (inbox / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return inbox


def run_recipe(dag: str, texts: Path, folder: Path) -> None:
    """Runs the recipe of a DAG in ``folder``. Exits 1 with the output where a stage that matters does not end well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    kind = "reference" if dag == "language_models" else "web"
    path = folder / f"{dag}.yaml"
    path.write_text(RECIPES[dag].replace("SOURCES", SOURCES.replace("KIND", kind)), encoding="utf-8")
    inbox = add_near_copies(texts, folder)
    command = [sys.executable, "-m", "steps.core.cli", "run", str(path), f"--root=file://{folder}/root"]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--run-id=warm", "--dump=warm"],
        env={**kept, "TOKENMILL_INBOX": f"file://{inbox}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if f"\n{LAST[dag]}: done: " not in done.stdout:
        print(done.stdout[-8000:], file=sys.stderr)
        raise SystemExit(1)
    print(f"warm: {dag} in {time.monotonic() - began:.0f} s", flush=True)


def warm_training() -> None:
    """Looks for an item in a text and packs three documents."""
    item = pa.chunked_array([["one two three four 五六七八九"]])
    find_items(item, build_index(item, 8, 100), 8, 0.5)
    whole(np.array([3, 2, 1]), np.arange(3), 4, 3)
    for kind in (np.uint16, np.int32):
        gather(np.arange(4, dtype=kind), np.array([1]), np.array([2]), np.empty(2, kind))
    print("warm: training", flush=True)


def warm_extraction() -> None:
    """Reads a page of HTML, which the texts are not."""
    from steps.ingest.documents import load_extractor

    load_extractor()
    print("warm: extraction", flush=True)


if __name__ == "__main__":
    warm_training()
    if sys.argv[1:]:
        warm_extraction()
        with tempfile.TemporaryDirectory(prefix="warm-") as scratch:
            for name in RECIPES:
                run_recipe(name, Path(sys.argv[1]).resolve(), Path(scratch))
