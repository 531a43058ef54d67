"""Runs tasks on the Ray cluster that RAY_ADDRESS names, with the interface and the results of `engine.Engine`.

Every node runs the same code (the factory image), reaches the store, and has the store's keys of its own: none travel
in a task, where Ray's dashboard and its control store could show them. A worker or node that is lost costs its tasks:
Ray gives them to another one, which may find the part written already and then takes it. ray is imported here alone.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import pickle
import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from steps.core.engine import Function
from steps.core.errors import ConfigError, DataError, ServiceError, UsageError
from steps.core.fork_server import answer

RETRIES = 5  # of one task whose worker or node was lost (own choice; Ray's default is 3)
QUEUED = 2  # tasks per core that are handed out: enough that none waits, few where one fails


class RayEngine:
    """The cores of a cluster, all of them. ``uris`` are the places that tasks read and write."""

    remote = True

    def __init__(self, address: str, uris: Sequence[str]) -> None:
        self._address = address
        self._uris = uris
        self._ray: Any = None

    def prepare(self, *modules: str) -> None:
        """Nothing: the nodes are there, and load what a task needs."""

    def map(self, function: Function, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, function(task))`` as tasks finish. The first exception stops the rest.

        One task runs in this process. Raises ServiceError where the cluster does not answer or a task was lost too
        often, ConfigError where ray is not installed, UsageError for local files with nodes on other machines.
        """
        if len(tasks) <= 1:
            for index, task in enumerate(tasks):
                yield index, function(task)
            return
        ray = self._connect()
        remote = ray.remote(answer_on_node).options(max_retries=RETRIES, scheduling_strategy="SPREAD")
        waiting = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        try:
            while True:
                queue = QUEUED * max(1, int(ray.cluster_resources().get("CPU", 1)))
                while len(running) < queue and (entry := next(waiting, None)) is not None:
                    running[remote.remote(code_digest(), pickle.dumps((function, entry[1])))] = entry[0]
                if not running:
                    return
                for reference in ray.wait(list(running), num_returns=1)[0]:
                    index = running.pop(reference)
                    done, value = pickle.loads(ray.get(reference))
                    if not done:
                        raise value
                    yield index, value
        except ray.exceptions.RayError as error:
            raise ServiceError(
                f"a task was lost {RETRIES + 1} times on the Ray cluster {self._address} "
                f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]}); look at its nodes; "
                "a retry resumes at the last finished part"
            ) from None
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def close(self, *, kill: bool = False) -> None:
        """Leave the cluster, which ends what still runs for this process."""
        if self._ray is not None:
            self._ray.shutdown()
            self._ray = None

    def _connect(self) -> Any:
        if self._ray is not None:
            return self._ray
        try:
            import ray
        except ImportError:
            raise ConfigError(
                f"RAY_ADDRESS is {self._address!r}, but ray is not installed: install tokenmill[ray], or unset it"
            ) from None
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            ray.init(address=self._address, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:  # ray raises errors of many classes here
            raise ServiceError(
                f"the Ray cluster {self._address} (RAY_ADDRESS) does not answer: {type(error).__name__}: {error}"
            ) from None
        self._ray = ray
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # ray takes SIGTERM: the step could not clean up
                signal.signal(number, handler)
        nodes = {node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
        check_reach(self._uris, nodes - {ray.util.get_node_ip_address()})
        return ray


def check_reach(uris: Sequence[str], others: set[str]) -> None:
    """UsageError where one of ``uris`` is on this machine's disk, and there are nodes at ``others``' addresses."""
    local = [uri for uri in uris if uri.startswith("file:")]
    if local and others:
        raise UsageError(
            f"{local[0]} is on this machine, and the Ray node {min(others)} cannot read it: use an s3:// root and "
            "s3:// sources, or unset RAY_ADDRESS"
        )


def answer_on_node(code: str, request: bytes) -> bytes:
    """What `fork_server.answer` says, on a node that has the same code."""
    if code != code_digest():
        return pickle.dumps((False, _other_code()))
    return answer(request)


def _other_code() -> DataError:
    import ray

    node = ray.util.get_node_ip_address()
    return DataError(f"Ray node {node} has another version of tokenmill: run the same image on every node")


@functools.lru_cache
def code_digest() -> str:
    """sha256 of the code of all steps, as it lies on this machine."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parents[1]).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
