"""De-duplication on a Ray cluster: the bytes of one worker, though a node is killed half-way."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from steps.core.artifact import Artifact
from tests.steps.deduplicate.test_deduplicate import deduplicate, dumps, related_texts
from tests.steps.documents import make_corpus
from tests.steps.ray_nodes import RayNodes, start

ON_RAY = """
import json, sys
from steps.core.step import run_step
root, corpus, index, config = sys.argv[1:]
inputs = {"corpus": corpus, "index.a": index}
print(run_step("deduplicate", config=json.loads(config), inputs=inputs, root="file://" + root).ref)
"""


def test_the_same_bytes_from_workers_and_from_two_ray_nodes_of_which_one_is_killed_half_way(
    ray_nodes: RayNodes, tmp_path: Path
) -> None:
    one, two = dumps(3)
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", one))
    corpus = make_corpus(tmp_path / "2", [*two, related_texts(1, 40)])
    settings = {"partition_documents": 150, "verify_documents": 30, "index": {"a": first.ref}}
    local = [deduplicate(tmp_path / str(n), corpus, n, **settings).digest for n in (1, 2)]
    ray_nodes.two()
    config = '{"partition_documents": 150, "verify_documents": 30}'
    root = tmp_path / "ray"
    running = start(
        ON_RAY, str(root), corpus.ref, first.ref, config, RAY_ADDRESS=ray_nodes.address, **ray_nodes.scratch
    )
    while len(list(root.glob("deduplicate/*/parts/pairs-*.json"))) < 3:
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGSTOP)  # it must not end before the node does
    ray_nodes.one()
    assert not list(root.glob("deduplicate/*/parts/groups-*.json")), "the node was killed too late"
    running.send_signal(signal.SIGCONT)
    ref = running.communicate(timeout=120)[0].strip().rpartition("\n")[2]  # below Ray's own messages
    assert running.returncode == 0
    assert {Artifact.open(ref).digest, *local} == {local[0]}
