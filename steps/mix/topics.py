"""Topics of web documents, told by a trained classifier: a data set and a held-out set for each."""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from steps.core.errors import ConfigError
from steps.core.parts import PartWriter, open_artifact
from steps.mix.config import Config
from steps.text.classifier import Classifier


def by_topic(sets: list[str | None], table: pa.Table, part: PartWriter) -> list[str | None]:
    """The data sets of a shard's rows, with their topic where the recipe shares a source out by topic.

    A topic that has no share in the recipe makes its documents ones that the recipe does not use.
    """
    config: Config = part.config
    found = list(sets)
    shared = {f"web/{name}": set(own.topics) for name, own in config.web.items() if own.topics}
    wanted = [row for row, name in enumerate(sets) if name in shared]
    if not wanted:
        return found
    texts = table["text"].take(pa.array(wanted)).to_pylist()
    topics = _classifier(_model(part, config.topic_classifier)).labels(texts)
    for row, topic in zip(wanted, topics, strict=True):
        name = sets[row]
        found[row] = f"{name}/{topic}" if name and topic in shared[name] else None
    return found


def topic_groups(table: pa.Table) -> pa.ChunkedArray:
    """What web documents are held out with: <source>.<topic>, or their language where they have no topic."""
    groups = [
        ".".join(name.split("/")[1:]) if name and name.count("/") == 2 else language
        for name, language in zip(table["set"].to_pylist(), table["language"].to_pylist(), strict=True)
    ]
    return pa.chunked_array([pa.array(groups, pa.string())])


def _model(part: PartWriter, name: str) -> str:
    found = part.input_list("classifiers").get(name)
    if found is None or not found.facts.get("trained"):
        have = ", ".join(part.input_list("classifiers")) or "none"
        raise ConfigError(
            f"mix.topic_classifier: the run has no trained classifier {name!r} (it has {have}); train one with "
            "`tokenmill topics train` and name it under inputs.classifiers"
        )
    return found.ref


@lru_cache(maxsize=1)
def _classifier(ref: str) -> Classifier:
    artifact = open_artifact(ref)
    (entry,) = artifact.files("classifier")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(artifact.read_bytes(entry))
        return Classifier(path)
