"""What studies that train models have in common: where one lies, Wikipedia in pieces, and base models of its own."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.quality.chain import read_jsonl, shared
from benchmarks.quality.quality_score import ROOT
from steps.core.digest import json_digest
from steps.core.step import Outcome, run_step
from steps.initialize import base as base_models


@dataclass(frozen=True)
class Study:
    """A study, where it lies, and which share of its text it uses."""

    name: str
    root: Path
    share: float

    @property
    def store(self) -> str:
        return f"file://{self.root}"

    def run(self, step: str, config: Any, inputs: dict[str, str], **more: Any) -> Outcome:
        """One step below the study's root."""
        return run_step(step, config=config, inputs=inputs, root=self.store, **more)

    def publish(self, train: Outcome, model: Outcome, name: str) -> dict[str, str]:
        """Export a trained model to the folder of base models; returns what `initialize.base` needs to find it."""
        inputs = {"train": train.ref, "model": model.ref}
        export = self.run("export", {"name": f"{self.name}-{name}"}, inputs).artifact
        folder = self.root / "models" / f"{name}-{export.digest[:12]}"
        pinned = {}
        for entry in export.files("model"):
            if entry.key in base_models.FILES or entry.key.endswith(base_models.ENDING):
                pinned[entry.key] = entry.sha256
            # two names of one file are left as they are by a rename, so what is there stays
            if not (folder / entry.key).exists():
                export.fetch(entry, folder).rename(folder / entry.key)
        return {"name": folder.name, "sha256": json_digest(pinned)}


def asked(name: str, what: str | None) -> tuple[Study, Path | None]:
    """The study that the command line asks for, with its models below its root, and where its plot goes.

    ``what``: the benchmark's docstring, for its help.
    """
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT / ".tokenmill" / name.replace("-", "_"))
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    study = Study(name, arguments.root.resolve(), arguments.share)
    study.root.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENMILL_MODELS"] = str(study.root / "models")
    return study, arguments.plot


def write_pieces(folder: Path, base: str, least: int, most: int | None = None) -> Path:
    """Wikipedia in `pieces` as wiki_zh.jsonl, wiki_en.jsonl and, every second English article, ``base``.jsonl.

    ``most``: pieces of each file at most.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for language in ("zh", "en"):
        files: dict[str, list[str]] = {}
        for number, row in enumerate(read_jsonl(shared(f"wiki_{language}/train.jsonl.gz"))):
            name = base if language == "en" and number % 2 else f"wiki_{language}"
            lines = (
                json.dumps({"title": row["title"], "text": piece}) for piece in pieces(row["text"], least)
            )
            files.setdefault(name, []).extend(lines)
        for name, written in files.items():
            (folder / f"{name}.jsonl").write_text("\n".join(written[:most]) + "\n")
    return folder


def pieces(text: str, least: int) -> Iterator[str]:
    """Whole paragraphs, together at least so many characters or what is left."""
    held = ""
    for paragraph in text.split("\n"):
        held += f"{paragraph}\n" if paragraph.strip() else ""
        if len(held) >= least:
            yield held
            held = ""
    if held:
        yield held
