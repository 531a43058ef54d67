"""Two Ray nodes on this machine, the second of which can be killed and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NODES = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
second = None
print(json.dumps(cluster.address), flush=True)
for wanted in sys.stdin:
    if wanted == "two\\n" and second is None:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
    if wanted == "one\\n" and second is not None:
        cluster.remove_node(second, allow_graceful=False)
        second = None
    print(json.dumps(wanted), flush=True)
cluster.shutdown()
"""


def start(code: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A Python process of the project that runs ``code``, with pipes to it."""
    inherited = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-c", code, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=inherited, text=True, stdin=pipe, stdout=pipe)


class RayNodes:
    """A cluster of one CPU a node, in a process of its own. ``home``: scratch, and the toy's file ``tasks``."""

    def __init__(self, home: Path) -> None:
        self.count = home / "tasks"
        self.scratch = {"TOKENMILL_SCRATCH": str(home)}
        toy = {"TOY_PAUSE": "0.5", "TOY_COUNT": str(self.count)}
        self._process = start(NODES, RAY_ADDRESS="", RAY_USAGE_STATS_ENABLED="0", **toy, **self.scratch)
        self.address: str = self._answer()

    def two(self) -> None:
        """Both nodes are there."""
        self._ask("two")

    def one(self) -> None:
        """The second node is killed, with all that runs there."""
        self._ask("one")

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _ask(self, wanted: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{wanted}\n")
        self._process.stdin.flush()
        assert self._answer() == f"{wanted}\n"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer: str = json.loads(self._process.stdout.readline())
        return answer
