"""What an artifact is: the manifest, its files, and the reference that names it (CONTRACT §§1-2)."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from steps.core.counts import Counts
from steps.core.digest import canonical_json, json_digest
from steps.core.errors import DataError, UsageError

SCHEMA_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FileEntry(BaseModel):
    """One file of an artifact. ``key`` is its logical name; the object is named by its content."""

    model_config = ConfigDict(frozen=True)

    key: str
    kind: str
    rows: int | None = None
    bytes: int
    sha256: str
    meta: dict[str, Any] = Field(default_factory=dict)

    @property
    def object_name(self) -> str:
        """The object's key inside the artifact's folder."""
        extension = self.key.rsplit("/", 1)[-1].partition(".")[2]
        return f"data/{self.sha256}.{extension}" if extension else f"data/{self.sha256}"


class Payload(BaseModel):
    """What the fingerprint is the digest of; known before a step runs."""

    step: str
    version: int
    libraries: dict[str, str]
    config: dict[str, Any]
    inputs: dict[str, str]

    @property
    def fingerprint(self) -> str:
        return json_digest(self.model_dump())


class Identity(BaseModel):
    """What the content digest is the digest of; known after a step ran."""

    schema_version: int = SCHEMA_VERSION
    payload: Payload
    files: list[FileEntry]
    counts: Counts
    documents: str | None = None
    facts: dict[str, Any] = Field(default_factory=dict)


class Manifest(BaseModel):
    """``manifest.json``: the identity, its digest, and beside them what does not identify (provenance, views)."""

    identity: Identity
    digest: str
    provenance: dict[str, Any] = Field(default_factory=dict)
    views: list[FileEntry] = Field(default_factory=list)

    @classmethod
    def of(cls, identity: Identity, provenance: dict[str, Any], views: list[FileEntry]) -> Manifest:
        return cls(
            identity=identity, digest=json_digest(identity.model_dump()), provenance=provenance, views=views
        )

    def encode(self) -> bytes:
        return canonical_json(self.model_dump()) + b"\n"

    @classmethod
    def decode(cls, data: bytes, where: str) -> Manifest:
        """Parse and check a manifest. Raises DataError if it is damaged or was edited."""
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise DataError(f"manifest {where} is damaged: {error.errors()[0]['msg']}") from None
        if manifest.identity.schema_version > SCHEMA_VERSION:
            raise DataError(
                f"manifest {where} has schema {manifest.identity.schema_version}; upgrade tokenmill"
            )
        if json_digest(manifest.identity.model_dump()) != manifest.digest:
            raise DataError(f"manifest {where} does not match its digest: it was edited or damaged")
        return manifest


class Reference(BaseModel):
    """``<root uri>/<step>/<fingerprint>@<content digest>``: an artifact, named with what it must contain."""

    model_config = ConfigDict(frozen=True)

    root: str
    step: str
    fingerprint: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        uri, _, digest = text.strip().rpartition("@")
        head, _, fingerprint = uri.rpartition("/")
        root, _, step = head.rpartition("/")
        if not (root and step and _SHA256.fullmatch(fingerprint) and _SHA256.fullmatch(digest)):
            raise UsageError(f"{text!r} is not an artifact reference (ROOT/step/fingerprint@digest)")
        return cls(root=root, step=step, fingerprint=fingerprint, digest=digest)

    @property
    def folder(self) -> str:
        """The artifact's folder inside its root."""
        return f"{self.step}/{self.fingerprint}"

    @property
    def uri(self) -> str:
        return f"{self.root}/{self.folder}"

    def __str__(self) -> str:
        return f"{self.uri}@{self.digest}"


class StepResult(BaseModel):
    """What a step hands back (written to ``$STEP_MANIFEST``; the XCom of its Airflow task)."""

    step: str
    section: str
    ref: str
    uri: str
    digest: str
    fingerprint: str
    cached: bool
    documents: str | None = None
    counts: dict[str, Any] = Field(default_factory=dict)
    facts: dict[str, Any] = Field(default_factory=dict)
    mlflow_run: str | None = Field(
        None, description="experiments/<id>/runs/<id>, to its report where it has one, once delivered"
    )
