"""A step that is killed with all its processes at any moment, and tried again, makes what an undisturbed one makes.

`train` has its own test: tests/steps/train/test_train.py.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.parts import PartMarker
from steps.core.store import open_store
from tests.system.mill import DUMP, RECIPES, Mill, Turned, end

KILLS = 2
ATTEMPTS = 6  # to strike first, each after half the delay: the step may have been slower when it was timed
SEED = 20261120


def folder_of(root: str, artifact: Artifact) -> Path:
    return Path(root.removeprefix("file://")) / artifact.folder


def parts_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("parts/*.json"))


def has_parts(folder: Path, count: int) -> bool:
    return folder.exists() and len(parts_in(folder)) >= count


def moments(draw: Random, whole: Artifact) -> list[tuple[int, float]]:
    """After how many finished parts, and how many seconds later, to kill: anywhere from the first to the last part."""
    parts = len(parts_in(folder_of(whole.store.uri, whole)))
    times = whole.manifest.provenance
    each = (times["ended"] - times["began"]) / parts
    return [(count, draw.random() * each) for count in sorted(draw.sample(range(parts), min(KILLS, parts)))]


def killed(mill: Mill, command: list[str], ready: Callable[[], bool], delay: float) -> bool:
    """Start the command and kill its process group ``delay`` seconds after ``ready``; False if it was done before."""
    process = mill.start(*command)
    deadline = time.monotonic() + 120
    while not ready() and process.poll() is None:
        assert time.monotonic() < deadline, mill.done(-1).output
        time.sleep(0.002)
    time.sleep(delay)
    struck = process.poll() is None
    end(process)
    assert struck or process.returncode == 0, mill.done(process.returncode).output
    return struck


def first_kill(
    done: Turned, home: Path, command: list[str], whole: Artifact, workers: int, count: int, delay: float
) -> Mill:
    """A mill in which the step was killed ``delay`` seconds after ``count`` parts; if it was done before, sooner."""
    for attempt in range(ATTEMPTS):
        mill = Mill(home / str(attempt), done.mill.inbox, environment={"TOKENMILL_WORKERS": str(workers)})
        shutil.copytree(done.mill.folder / "runs", mill.folder / "runs")
        folder = folder_of(mill.root, whole)
        if killed(mill, command, partial(has_parts, folder, count), delay / 2**attempt):
            return mill
    raise AssertionError("no kill struck: the step was always done before")


def files_of(parts: list[Path]) -> dict[Path, int]:
    """When each file of these finished parts was written, in ns."""
    found = {}
    for path in parts:
        marker = PartMarker.model_validate_json(path.read_bytes())
        for entry in [*marker.files, *marker.temporary]:
            file = path.parents[1] / entry.object_name
            found[file] = file.stat().st_mtime_ns
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("dag", "section", "workers"),
    [
        ("data_factory", "ingest", 2),
        ("data_factory", "preprocess", 1),
        ("data_factory", "filter", 2),
        ("data_factory", "deduplicate", 1),
        ("data_factory", "evaluate", 1),
        ("data_factory", "publish", 1),
        ("continual_pretraining", "pack_1", 1),
    ],
)
def test_a_killed_and_repeated_step_makes_the_artifact_of_an_undisturbed_one(
    request: pytest.FixtureRequest, tmp_path: Path, dag: str, section: str, workers: int
) -> None:
    done: Turned = request.getfixturevalue("factory" if dag == "data_factory" else "trained")
    whole = done.artifact(dag, section)
    command = done.step_command(dag, section, **done.inputs(dag, section))
    first, *later = moments(Random(f"{SEED}/{section}"), whole)
    mill = first_kill(done, tmp_path, command, whole, workers, *first)
    folder = folder_of(mill.root, whole)
    for count, delay in later:
        if (folder / "manifest.json").exists():
            break
        finished = files_of(parts_in(folder))
        killed(mill, command, partial(has_parts, folder, count), delay)
        for file, written in finished.items():
            assert file.stat().st_mtime_ns == written, f"{file.name}: a finished part was done again"

    # and once more in the moment of the commit; then in peace
    killed(mill, command, (folder / "manifest.json").exists, 0.0)
    assert mill.well(*command).result["digest"] == whole.digest
    assert mill.committed(whole.step) == [folder / "manifest.json"]
    assert [e.sha256 for e in Artifact.open(f"{mill.root}/{whole.local_ref}").files()] == [
        e.sha256 for e in whole.files()
    ]
    if section == "publish":
        entry = Catalog(open_store(mill.root)).get("corpora")[RECIPES[dag]]
        assert entry["latest"] == DUMP and list(entry["dumps"]) == [DUMP]
        assert entry["dumps"][DUMP]["corpus"].endswith(f"@{whole.digest}")
