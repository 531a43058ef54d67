"""images/images.lock: which image of each name may run, by the digest of its build context."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk.exceptions import AirflowFailException

CONTEXT_LABEL = "tokenmill.context-sha256"
_DEFAULT = Path(__file__).resolve().parent.parent / "images" / "images.lock"


@dataclass(frozen=True)
class LockedImage:
    """One pinned image: found by ``reference``, right only if its label names ``context``."""

    name: str
    context: str
    reference: str

    @property
    def in_registry(self) -> bool:
        """Whether the reference is a registry digest, the only form that may be pulled."""
        return "@sha256:" in self.reference


def image_pins() -> dict[str, str]:
    """The context digest of every image in the lock, by name; `plan` writes them into run.json."""
    return {name: entry["context"] for name, entry in json.loads(_path().read_text())["images"].items()}


def _path() -> Path:
    return Path(os.environ.get("TOKENMILL_IMAGES_LOCK", _DEFAULT))


def locked_image(name: str) -> LockedImage:
    """The pin of the image ``name``. Raises AirflowFailException where there is none, saying what to do."""
    path = _path()
    try:
        entry = json.loads(path.read_text())["images"][name]
        context, reference = entry["context"], entry.get("registry") or entry["tag"]
    except FileNotFoundError:
        raise AirflowFailException(
            f"{path} is missing: run `make images` where the Docker engine is"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise AirflowFailException(f"{path} has no valid entry for image {name}: run `make images`") from None
    return LockedImage(name, context, reference)
