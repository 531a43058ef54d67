"""Reading artifacts: every byte is checked against the manifest before it is used."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from steps.core.digest import bytes_digest
from steps.core.errors import DataError
from steps.core.manifest import FileEntry, Manifest, Reference
from steps.core.store import ObjectMissing, Store, open_store

MANIFEST = "manifest.json"


class Files:
    """Checked access to the files below one artifact folder."""

    def __init__(self, store: Store, folder: str) -> None:
        self.store, self.folder = store, folder

    def read_bytes(self, entry: FileEntry) -> bytes:
        """The file's content. Raises DataError if its checksum is not the manifest's."""
        data = self.store.get(f"{self.folder}/{entry.object_name}")
        if bytes_digest(data) != entry.sha256:
            raise DataError(
                f"{self.where(entry)} is corrupt: its sha256 is not the manifest's; restore or rebuild it"
            )
        return data

    def read_table(self, entry: FileEntry, columns: list[str] | None = None) -> pa.Table:
        """The Parquet file as an Arrow table (its ``columns`` only)."""
        data = self.read_bytes(entry)
        try:
            # not pq.read_table, which imports pyarrow.dataset (and pandas with it) for one file in memory
            return pq.ParquetFile(pa.BufferReader(data)).read(columns=columns, use_threads=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(
                f"{self.where(entry)} is not readable Parquet: {str(error).splitlines()[0]}"
            ) from None

    def fetch(self, entry: FileEntry, directory: Path) -> Path:
        """The file's local, checked copy in ``directory`` (kept there for the next call)."""
        path = directory / Path(entry.object_name).name
        if path.exists():
            return path
        directory.mkdir(parents=True, exist_ok=True)
        # workers of one step may fetch the same file at once
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        self.store.download(f"{self.folder}/{entry.object_name}", temporary)
        with temporary.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                raise DataError(f"{self.where(entry)} is corrupt: its sha256 is not the manifest's")
        temporary.replace(path)
        return path

    def where(self, entry: FileEntry) -> str:
        return f"{self.store.uri}/{self.folder}/{entry.object_name} ({entry.key})"


class Artifact(Files):
    """A committed artifact."""

    def __init__(self, store: Store, reference: Reference, manifest: Manifest) -> None:
        super().__init__(store, reference.folder)
        self.reference, self.manifest = reference, manifest

    @classmethod
    def open(cls, ref: str, store: Store | None = None) -> Artifact:
        """Open the artifact that ``ref`` names; ``store`` is used where it is the reference's root.

        A reference without a root (``step/fingerprint@digest``, as the catalog keeps them) is one in ``store``.

        Raises DataError if it is not committed, damaged, or not the one that the digest names.
        """
        if "://" not in ref and store is not None:
            ref = f"{store.uri}/{ref}"
        reference = Reference.parse(ref)
        if store is None or store.uri != reference.root:
            store = open_store(reference.root)
        manifest = load_manifest(store, reference.folder)
        if manifest is None:
            raise DataError(f"{reference.uri} is not committed: it has no {MANIFEST}; run its step first")
        if manifest.digest != reference.digest:
            raise DataError(
                f"{reference.uri} holds {manifest.digest[:12]}, but {reference.digest[:12]} was asked for"
            )
        return cls(store, reference, manifest)

    @classmethod
    def of(cls, store: Store, folder: str, manifest: Manifest) -> Artifact:
        """The artifact whose manifest was read from (or written into) ``folder``, ``<step>/<fingerprint>``."""
        step, _, fingerprint = folder.partition("/")
        return cls(
            store,
            Reference(root=store.uri, step=step, fingerprint=fingerprint, digest=manifest.digest),
            manifest,
        )

    @property
    def ref(self) -> str:
        return str(self.reference)

    @property
    def local_ref(self) -> str:
        """The reference without its root: what the catalog keeps, so that a root can be moved."""
        return f"{self.folder}@{self.digest}"

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def step(self) -> str:
        return self.manifest.identity.payload.step

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest.identity.payload.config

    @property
    def facts(self) -> dict[str, Any]:
        return self.manifest.identity.facts

    def files(self, kind: str | None = None) -> list[FileEntry]:
        """The artifact's files (of one kind), sorted by key."""
        return [f for f in self.manifest.identity.files if kind is None or f.kind == kind]

    def file(self, key: str) -> FileEntry:
        """The file of that logical name. Raises DataError if there is none."""
        for entry in self.manifest.identity.files:
            if entry.key == key:
                return entry
        raise DataError(f"{self.reference.uri} has no file {key}")

    def has_input(self, name: str) -> bool:
        return name in self.manifest.identity.payload.inputs

    def input(self, name: str) -> Artifact:
        """The artifact that this one was made from under the input ``name``."""
        digest = self.manifest.identity.payload.inputs.get(name)
        location = self.manifest.provenance.get("inputs", {}).get(name)
        if digest is None or location is None:
            raise DataError(f"{self.reference.uri} has no input {name}")
        uri = location if "://" in location else f"{self.store.uri}/{location}"
        return Artifact.open(f"{uri}@{digest}", self.store)

    def input_names(self) -> list[str]:
        return sorted(self.manifest.identity.payload.inputs)


def load_manifest(store: Store, folder: str) -> Manifest | None:
    """The committed manifest of a folder, or None where nothing is committed."""
    key = f"{folder}/{MANIFEST}"
    try:
        return Manifest.decode(store.get(key), f"{store.uri}/{key}")
    except ObjectMissing:
        return None
