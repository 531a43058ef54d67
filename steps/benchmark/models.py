"""The models behind an export: the base, every training stage, and the exported one, each as a Hugging Face folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from steps.core.artifact import Artifact
from steps.core.manifest import FileEntry

BASE = "base"


@dataclass(frozen=True)
class Model:
    """A model to measure: its name, the target tokens that it has been trained on, and its files."""

    name: str
    tokens: int
    files: tuple[tuple[Artifact, FileEntry], ...]


def models_of(export: Artifact, which: str) -> list[Model]:
    """The base and the stages in the order of training (``all``), or the exported model alone (``last``)."""
    base = export.input("model")
    stages = [export.input("train")]
    while stages[0].has_input("previous"):
        stages.insert(0, stages[0].input("previous"))
    tokenizer = [(base, entry) for entry in base.files("tokenizer")]
    kinds = ("weights", "index", "config")
    models = [Model(BASE, 0, (*_files(base, *kinds), *tokenizer))]
    tokens = 0
    for stage in (stage for stage in stages if stage.facts["tokens"]):
        tokens += int(stage.facts["tokens"])
        models.append(
            Model(f"stage-{stage.facts['stage']}", tokens, (*_files(stage, "weights", "config"), *tokenizer))
        )
    # the folder that is handed out is what is measured last
    models[-1] = Model(models[-1].name, tokens, _files(export, "model"))
    return models if which == "all" else models[-1:]


def _files(artifact: Artifact, *kinds: str) -> tuple[tuple[Artifact, FileEntry], ...]:
    return tuple((artifact, entry) for kind in kinds for entry in artifact.files(kind))


def lay_out(model: Model, folder: Path) -> None:
    """Put the model's checked files into ``folder``, which is emptied before, under their own names."""
    from safetensors import safe_open

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for artifact, entry in model.files:
        artifact.fetch(entry, folder / "fetched").rename(folder / entry.key)
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if shards == ["model.safetensors"] or index.exists():
        return
    places: dict[str, str] = {}
    for shard in shards:
        with safe_open(folder / shard, framework="np") as file:
            places.update(dict.fromkeys(file.keys(), shard))
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
