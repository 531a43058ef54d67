"""The built images, in containers: what runs there is what runs here, and nothing of the build's site is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.sample import sample_files
from images.context import IMAGES, ROOT
from steps.core.pipeline import PIPELINES
from tests.images.engine import built_tags

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs a command in a fresh container of an image, without network; returns all it says, asserts its end."""
    tags = built_tags()

    def call(image: str, *command: str, options: tuple[str, ...] = ()) -> str:
        docker = [
            "docker",
            "run",
            "--rm",
            "--network=none",
            "--label=tokenmill.test=images",
            *options,
            tags[image],
        ]
        done = subprocess.run([*docker, *command], capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    return call


@pytest.mark.parametrize("name", [name for name, image in IMAGES.items() if image.pinned])
def test_an_image_runs_unprivileged_and_keeps_nothing_of_the_build(name: str, run: Run) -> None:
    script = (
        "id -u; ls / | grep -cx -e site -e build; ls /opt | grep -cx uv; command -v gcc make | wc -l;"
        "touch /opt/venv/x /opt/tokenmill/x 2>/dev/null; echo $?"
    )
    user, site, uv, compilers, touched = run(name, "sh", "-c", script).split()
    assert int(user) >= 1000
    assert (site, uv, compilers) == ("0", "0", "0")
    assert touched != "0", "a step could change its own code"


def test_the_step_images_offer_the_command_and_every_step_they_are_for(run: Run) -> None:
    from steps.core.pipeline import PIPELINES

    assert "usage: tokenmill" in run("factory", "tokenmill", "--help")
    for image in ("factory", "trainer"):
        stages = {stage.step for stages in PIPELINES.values() for stage in stages if stage.image == image}
        code = (
            "import importlib, sys; [importlib.import_module(f'steps.{name}.step') for name in sys.argv[1:]]"
        )
        run(image, "python", "-c", code, *sorted(stages))


def test_airflow_in_its_image_imports_every_dag_and_the_plugin(run: Run) -> None:
    code = (
        "import pathlib, importlib\n"
        "from importlib.metadata import entry_points\n"
        "names = sorted(path.stem for path in pathlib.Path('/opt/tokenmill/dags').glob('*.py'))\n"
        "for name in names: importlib.import_module(f'dags.{name}')\n"
        "plugins = entry_points(group='airflow.plugins')\n"
        "print(*names, *(point.load().name for point in plugins if point.name == 'tokenmill'))"
    )
    found = run("airflow", "python", "-c", code).split()
    assert {"language_models", "data_factory", "continual_pretraining", "register_dumps", "tokenmill"} <= set(
        found
    )


def test_the_services_image_has_mlflow_and_an_s3_server(run: Run) -> None:
    assert "3.17" in run("services", "mlflow", "--version")
    assert "version" in run("services", "weed", "version")


def refs(output: str) -> list[str]:
    """Section and content digest of each stage that `tokenmill run` reports."""
    lines = [line for line in output.split("\n") if ": done: " in line]
    return [f"{line.partition(':')[0]} {line.rpartition('@')[2]}" for line in lines]


def test_a_recipe_makes_the_same_artifacts_in_the_container_as_here(tmp_path: Path, run: Run) -> None:
    reference = tmp_path / "inbox" / "reference"
    reference.mkdir(parents=True)
    for key, path in sample_files(tmp_path, lambda text: None).reference.items():
        (reference / key).write_bytes(path.read_bytes())
    inbox = {"TOKENMILL_INBOX": f"file://{tmp_path}/inbox"}
    command = ["tokenmill", "run", "demo_language_models", "--run-id=r", "--dump=d"]

    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MLFLOW_", "TOKENMILL_"))
    }
    here = subprocess.run(
        [sys.executable, "-m", "steps.core.cli", *command[1:], f"--root=file://{tmp_path}/here"],
        env={**kept, **inbox},
        cwd=ROOT,  # these sources, wherever the environment's `tokenmill` points
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert here.returncode == 0, here.stderr[-4000:]
    options = (
        f"--user={os.getuid()}",
        f"--volume={tmp_path}:{tmp_path}",
        "--env",
        f"TOKENMILL_INBOX={inbox['TOKENMILL_INBOX']}",
    )
    there = run("factory", *command, f"--root=file://{tmp_path}/there", options=options)
    assert len(refs(there)) == len(PIPELINES["language_models"])
    assert refs(there) == refs(here.stdout + here.stderr)


def test_a_bad_recipe_exits_78_and_names_every_field(tmp_path: Path) -> None:
    recipe = {"name": "x", "dag": "language_models", "sources": [], "steps": {"preprocess": {"nonsense": 1}}}
    (tmp_path / "bad.yaml").write_text(json.dumps(recipe))
    docker = [
        "docker",
        "run",
        "--rm",
        "--network=none",
        "--label=tokenmill.test=images",
        f"--volume={tmp_path}:/in:ro",
    ]
    docker.append(f"--user={os.getuid()}")  # whose folder it is
    command = ["tokenmill", "plan", "--recipe=/in/bad.yaml", "--run-id=r", "--dump=d", "--root=file:///tmp/x"]
    done = subprocess.run(
        [*docker, built_tags()["factory"], *command], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 78, done.stderr
    assert "preprocess" in done.stderr and "nonsense" in done.stderr
    assert "Traceback" not in done.stderr
