"""What the commands take on the command line in more than one place: NAME=VALUE words, and files of settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from steps.core.errors import ConfigError, UsageError
from steps.core.yaml_text import load_yaml


def pairs(items: Sequence[str], form: str = "NAME=REFERENCE") -> dict[str, str]:
    """Words of the ``form``, by name. Raises UsageError that names all that are not, and names given twice."""
    bad = [item for item in items if "=" not in item]
    if bad:
        raise UsageError(f"{', '.join(bad)}: not {form}")
    found = dict(item.partition("=")[::2] for item in items)
    if len(found) < len(items):
        raise UsageError(f"{', '.join(items)}: each needs a name of its own")
    return found


def settings_of(path: Path) -> dict[str, Any]:
    """The settings in a YAML file. Raises ConfigError where it cannot be read or is no mapping."""
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: not a mapping of settings (got {values!r:.60})")
    return values
