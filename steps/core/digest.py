"""Digests of JSON values, bytes and files: the identities of everything in the store (CONTRACT §1)."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import rfc8785

from steps.core.errors import ConfigError


def canonical_json(value: Any) -> bytes:
    """Encode ``value`` as RFC 8785 canonical JSON.

    Raises ConfigError for a value that JSON cannot hold exactly (sets, objects, NaN, integers beyond 2**53),
    instead of falling back to ``str()``, so that two different values never share a digest.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, TypeError, ValueError) as error:
        raise ConfigError(f"cannot encode for a digest: {error}") from None


def json_digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def bytes_digest(data: bytes | memoryview) -> str:
    """sha256 (hex) of ``data``."""
    return hashlib.sha256(data).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 (hex) of the file at ``path``, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
