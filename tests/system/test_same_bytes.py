"""The number of workers changes nothing in what any step of any DAG makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from tests.system.mill import Turned, turned


def digests(refs: dict[str, dict[str, str]]) -> dict[str, str]:
    return {
        f"{dag}/{section}": ref.partition("@")[2]
        for dag, made in refs.items()
        for section, ref in made.items()
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_and_two_workers_make_the_same_artifacts_from_dump_to_model(
    trained: Turned, tmp_path: Path
) -> None:
    two = turned(tmp_path, list(trained.refs), workers=2)
    assert digests(two.refs) == digests(trained.refs)
    assert len(digests(two.refs)) == 4 + 9 + 10
    # the same digests from runs that had nothing to divide would say nothing
    for workers, mill in ((1, trained), (2, two)):
        filtered = mill.artifact("data_factory", "filter")
        assert filtered.manifest.provenance["workers"] == workers
        assert len(filtered.files("shard")) > 3
    for dag, section in (("data_factory", "publish"), ("continual_pretraining", "export")):
        one, other = (found.artifact(dag, section) for found in (trained, two))
        assert one.reference.root != other.reference.root
        assert [e.sha256 for e in one.files()] == [e.sha256 for e in other.files()]


def test_an_artifact_does_not_say_where_it_lies(factory: Turned) -> None:
    home = str(factory.mill.home)
    for made in factory.refs.values():
        for ref in made.values():
            artifact = Artifact.open(ref)
            assert home not in artifact.manifest.identity.model_dump_json(), artifact.step
