"""Files of ``NAME=value`` lines that hold secrets: docker-compose's .env, and the demo's keys."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path


def read_settings(path: Path) -> dict[str, str]:
    """The settings of a file, empty where there is none. Lines that are no setting are passed over."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    pairs = (line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def write_settings(path: Path, values: Mapping[str, str]) -> None:
    """Set ``values`` and keep every other line; whole or not at all, readable by its owner only."""
    old = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    kept = [line for line in old if line.partition("=")[0].strip() not in values]
    while kept and not kept[-1].strip():
        kept.pop()
    text = "\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]) + "\n"
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
