"""run.json: the fixed description of one run, written once by `plan` and read by every later task."""

from __future__ import annotations

import json
import re
from typing import Any

from steps.core.digest import bytes_digest
from steps.core.errors import DataError, UsageError
from steps.core.store import Store


def run_key(dag: str, run_id: str) -> str:
    """Where run.json of a run lies; characters that object keys do not like are replaced."""
    return f"runs/{dag}/{re.sub(r'[^A-Za-z0-9_.=-]', '_', run_id)}/run.json"


def read_run(store: Store, reference: str) -> dict[str, Any]:
    """The run that ``runs/<dag>/<run id>/run.json@<sha256>`` names.

    Raises DataError if it was changed, UsageError if that is no such reference.
    """
    key, _, digest = reference.rpartition("@")
    if not re.fullmatch(r"runs/[^/]+/[^/]+/run\.json", key) or not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise UsageError(f"{reference!r} is not a run (runs/<dag>/<run id>/run.json@<sha256>)")
    data = store.get(key)
    if bytes_digest(data) != digest:
        raise DataError(f"{store.uri}/{key} is not the run that was planned (sha256 differs)")
    run: dict[str, Any] = json.loads(data)
    return run


def section_config(run: dict[str, Any], section: str) -> dict[str, Any]:
    """A section's resolved config. Raises DataError if the run has no such section."""
    configs = run["recipe"]["steps"]
    if section not in configs:
        raise DataError(f"run {run['run_id']} of {run['dag']} has no section {section}")
    found: dict[str, Any] = configs[section]
    return found
