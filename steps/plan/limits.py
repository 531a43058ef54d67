"""What this machine, or the containers of steps, have: memory, scratch space, room in the store."""

from __future__ import annotations

import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from steps.core.config import Runtime
from steps.core.errors import ConfigError
from steps.core.memory import host_memory

CONTAINER_MEMORY = "4g"  # what plugins/step_operator.py gives a container where nobody says otherwise
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True)
class Limits:
    """Bytes that there are for a run; infinite where nobody can say (S3, another machine)."""

    workers: int
    scratch: float
    scratch_place: Path
    store: float
    root: str
    docker: bool
    cluster: bool

    @classmethod
    def of(cls, root: str) -> Limits:
        """The limits of steps started like this process."""
        runtime = Runtime.from_environment()
        cluster = bool(os.environ.get("RAY_ADDRESS"))
        return cls(
            runtime.workers,
            math.inf if cluster else free(runtime.scratch),
            runtime.scratch,
            free(Path(root.removeprefix("file://"))) if root.startswith("file://") else math.inf,
            root,
            os.environ.get("TOKENMILL_RUNNER") == "docker",
            cluster,
        )

    def memory(self, step: str) -> tuple[float, str]:
        """Bytes for one step, and who has them, in words. Raises ConfigError for a setting that is no size."""
        if self.cluster:
            return math.inf, "the nodes have"
        if self.docker:
            names = (f"TOKENMILL_STEP_MEMORY_{step.upper()}", "TOKENMILL_STEP_MEMORY")
            given = next((name for name in names if os.environ.get(name)), None)
            text = os.environ[given] if given else CONTAINER_MEMORY
            return parse_size(text, given or "TOKENMILL_STEP_MEMORY"), f"its container ({names[0]}) has"
        return float(host_memory()), "this machine has"


def free(place: Path) -> float:
    """Bytes free on the disk of a folder that may not be there yet."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return float(shutil.disk_usage(place).free)


def parse_size(text: str, name: str) -> float:
    """Bytes of docker's notation: 512m, 4g. Raises ConfigError naming the setting."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmg]?)b?", text.strip().lower())
    if not found:
        raise ConfigError(f"{name}={text!r} is not a size such as 512m or 4g")
    return float(found[1]) * _UNITS[found[2]]
