"""Neither the number of workers nor the runner changes anything in what a step of a DAG makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.pipeline import PIPELINES, stage
from tests.images.engine import built_tags
from tests.system.mill import MANY_PARTS, Mill, Turned, turned


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
    assert len(digests(two.refs)) == sum(len(PIPELINES[dag]) for dag in trained.refs)
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


def in_container(mill: Mill, image: str, *arguments: str, sees: Path) -> str:
    """`tokenmill ARGUMENTS` in a container without network that has the mill's folder and ``sees`` another."""
    own = {name: value for name, value in mill.variables({}).items() if name.startswith("TOKENMILL_")}
    options = [f"--env={name}={value}" for name, value in own.items()]
    command = ["docker", "run", "--rm", "--network=none", "--label=tokenmill.test=same_bytes", *options]
    command += [f"--user={os.getuid()}", f"--volume={mill.home}:{mill.home}"]
    command += [f"--volume={sees}:{sees}:ro", built_tags()[image]]
    done = subprocess.run([*command, "tokenmill", *arguments], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout + done.stderr


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_factory_image_makes_what_the_process_makes(factory: Turned, tmp_path: Path) -> None:
    """language_models is compared in tests/images/test_images.py."""
    built_tags()
    copy = factory.without(tmp_path, "data_factory", "ingest")
    output = in_container(
        copy.mill,
        "factory",
        *copy.mill.planned("run", "data_factory", *MANY_PARTS, run_id="container"),
        sees=factory.mill.home,
    )
    refs = copy.mill.done(0, output).refs
    assert digests({"data_factory": refs}) == digests({"data_factory": factory.refs["data_factory"]})
    made = Artifact.open(refs["publish"])
    assert (
        made.manifest.provenance["host"]
        != factory.artifact("data_factory", "publish").manifest.provenance["host"]
    )


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_trainer_image_makes_what_the_process_makes(trained: Turned, tmp_path: Path) -> None:
    """All but `train`, which is exact per layout and machine."""
    built_tags()
    dag = "continual_pretraining"
    copy = trained.without(tmp_path, dag, "mix")
    for section in ("mix", "initialize", "curriculum", "pack_1", "pack_2", "pack_3"):
        output = in_container(
            copy.mill, stage(dag, section).image, *copy.step_command(dag, section), sees=trained.mill.home
        )
        refs = copy.mill.done(0, output).refs
        assert digests({dag: refs}) == digests({dag: {section: trained.refs[dag][section]}})
        copy.refs[dag][section] = refs[section]
