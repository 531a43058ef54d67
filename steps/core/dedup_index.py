"""What de-duplication indexes tell whoever publishes them: which dumps they hold. Their keys: steps/deduplicate."""

from __future__ import annotations

from functools import lru_cache

from steps.core.artifact import Artifact
from steps.core.parts import open_artifact

INDEX = "dedup_index"  # kind of a shard's own keys
HOLDS = "index_holds"  # fact: digests of the members that were taken over


def members(index: Artifact) -> dict[str, Artifact]:
    """The dumps whose keys an index holds, by digest: its own, and those that it took over from its inputs."""
    return {digest: open_artifact(ref) for digest, ref in _members(index.ref)}


@lru_cache(maxsize=64)
def _members(ref: str) -> tuple[tuple[str, str], ...]:
    index = open_artifact(ref)
    held = set(index.facts.get(HOLDS, ()))
    found = {index.digest: index.ref}
    for name in index.input_names():
        if held and name.startswith("index."):
            inner = index.input(name)
            found.update((digest, member) for digest, member in _members(inner.ref) if digest in held)
    return tuple(sorted(found.items()))


def made_from(artifact: Artifact) -> str | None:
    """Digest of the corpus that an index was made from."""
    return artifact.manifest.identity.payload.inputs.get("corpus")
