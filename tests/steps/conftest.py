"""What tests of several steps share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.steps.ray_nodes import RayNodes


@pytest.fixture(scope="session")
def ray_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """Two Ray nodes for the whole test session; skipped where ray is not installed."""
    pytest.importorskip("ray", reason="ray is not installed: pip install -e '.[ray]'")
    nodes = RayNodes(tmp_path_factory.mktemp("ray"))
    yield nodes
    nodes.close()
