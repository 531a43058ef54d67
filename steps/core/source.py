"""Raw inputs: what a recipe's sources are, and how a step opens one of their objects (CONTRACT §4)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from steps.core.artifact import Artifact
from steps.core.digest import file_digest
from steps.core.errors import DataError
from steps.core.store import ObjectMissing, open_store

OBJECTS_FILE = "objects.json"
REMOTE = ("http://", "https://")
_NAME_BYTES = 100  # of a key that its local copy is named by; a file system takes 255
_RANGE = 16 << 20
Kind = Literal["web", "reference", "code", "math", "law", "supervised", "benchmark"]


class SourceSettings(BaseModel):
    """What a recipe says about one data set; where it lies is not part of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="Name of the data set in every report.")
    format: Literal["auto", "warc", "wet", "jsonl", "json", "parquet"] = Field(
        "auto", description="Format of the objects; auto goes by the file name."
    )
    kind: Kind = Field(
        "web",
        description="What the texts are; rules have exemptions by kind. benchmark: a folder of data sets and task "
        "files that models are measured on, whose items are kept out of what they are trained on.",
    )
    licence: str = Field("", description="Licence of the texts, kept with every document.")
    language: str = Field("", description="Declared language code; empty: detected.")
    task: str = Field("", description="Task type of supervised records without a task field.")
    fields: dict[str, str] = Field(
        default_factory=dict,
        description="Record fields by document column: text, url, title, language, prompt, response, task, "
        "messages.",
    )


class SourceObject(BaseModel):
    """One raw file of a source, named relative to the source's place and fixed by size and sha256.

    An HTTP object has a ``version`` (its entity tag or modification date) instead of a sha256, which is known only
    after ingest has fetched it; one whose server names no version is read at planning to fix its sha256.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    key: str
    bytes: int
    sha256: str = ""
    version: str = ""


class SourceListing(BaseModel):
    """``objects.json`` of a source artifact: the dump, the sources' settings and every object."""

    dump: str
    sources: list[SourceSettings]
    objects: list[SourceObject]

    @classmethod
    def of(cls, artifact: Artifact) -> SourceListing:
        """The listing in a `plan` artifact."""
        return cls.model_validate(json.loads(artifact.read_bytes(artifact.file(OBJECTS_FILE))))

    def settings(self, name: str) -> SourceSettings:
        return next(source for source in self.sources if source.name == name)


def fetch_object(item: SourceObject, locations: Mapping[str, str], directory: Path) -> Path:
    """Download a raw object into ``directory`` and check it against the plan.

    ``locations`` maps source names to URIs. Raises DataError if the object is gone or has changed.
    """
    base = _place(item, locations)
    path = _local(item, directory)
    if base.startswith(REMOTE):
        from steps.core.remote import download, join  # ssl and email: not for those who read a store

        download(join(base, item.key), path, size=item.bytes, version=item.version)
    else:
        try:
            open_store(base).download(item.key, path)
        except ObjectMissing:
            raise DataError(f"source {item.source}: {base}/{item.key} is gone since it was planned") from None
    if item.sha256 and file_digest(path) != item.sha256:
        raise DataError(
            f"source {item.source}: {base}/{item.key} has changed since it was planned; plan a new run"
        )
    return path


def fetch_piece(
    item: SourceObject, locations: Mapping[str, str], directory: Path, start: int, end: int, sha256: str
) -> Path:
    """Bytes ``start`` to ``end`` of a raw object as a file, checked against the ``sha256`` that they had before.

    Raises DataError if the object is gone or has changed.
    """
    base = _place(item, locations)
    path = _local(item, directory)
    if base.startswith(REMOTE):
        from steps.core.remote import download, join

        download(join(base, item.key), path, size=item.bytes, version=item.version, start=start, end=end)
    else:
        store = open_store(base)
        with path.open("wb") as file:
            for place in range(start, end, _RANGE):
                file.write(store.get_range(item.key, place, min(_RANGE, end - place)))
    if file_digest(path) != sha256:
        raise DataError(
            f"source {item.source}: {base}/{item.key} has changed since it was planned; plan a new run"
        )
    return path


def _local(item: SourceObject, directory: Path) -> Path:
    name = Path(item.key).name.encode()[-_NAME_BYTES:].decode(errors="ignore")
    return directory / f"{len(os.listdir(directory)):05d}-{name}"


def _place(item: SourceObject, locations: Mapping[str, str]) -> str:
    if item.source not in locations:
        raise DataError(
            f"source {item.source}: its place is not known; run `tokenmill plan` for this run again"
        )
    base = locations[item.source]
    return base if base.startswith(REMOTE) else base.rstrip("/")


def source_kinds(artifact: Artifact) -> dict[str, str]:
    """Kind by source name, from the source listing that the corpus was made from; empty without one."""
    current = artifact
    while True:
        if current.has_input("source"):
            return {source.name: source.kind for source in SourceListing.of(current.input("source")).sources}
        if not current.has_input("corpus"):
            return {}
        current = current.input("corpus")
