"""How much memory this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def host_memory() -> int:
    """Bytes of this container's limit, or of the machine where there is none."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no such limit: "max", or another kind of cgroup
        total = min(total, int(_CGROUP.read_text()))
    return total
