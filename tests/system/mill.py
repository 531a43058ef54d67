"""`tokenmill` as its users call it: a subprocess in a process group of its own, on a root and an inbox of its own."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.generator import write_dump
from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.digest import bytes_digest
from steps.core.pipeline import PIPELINES, resolve_inputs, stage

ROOT = Path(__file__).parents[2]
DUMP = "demo-2026-01"
RECIPES = {
    "language_models": "demo_language_models",
    "data_factory": "demo_factory",
    "continual_pretraining": "demo_training",
}
MANY_PARTS = ("ingest.documents_per_shard=40", "ingest.task_bytes=1")
"""The demo's dump as three objects and half a dozen shards, so that there is something to divide and to resume."""
FEW_STEPS = tuple(f"train_{stage}.{name}" for stage in (1, 2, 3) for name in ("steps=2", "evaluate_every=2"))
_STAGE = re.compile(r"^(\w+): (done|cached): (\S+)$", re.M)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    output: str
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def refs(self) -> dict[str, str]:
        """Reference of each stage that the command reports, in running order."""
        return {section: ref for section, _, ref in _STAGE.findall(self.output)}

    @property
    def error(self) -> str:
        """The one message of a command that failed; fails itself if there is a traceback or none."""
        assert self.code != 0, f"ended well, but should not have:\n{self.output}"
        assert "Traceback" not in self.output, self.output
        _, found, message = self.output.partition("error: ")
        assert found and self.output.count("error: ") == 1, self.output
        return message.strip()


@dataclass
class Mill:
    """One artifact root with what it needs; ``environment`` is added to every command's."""

    home: Path
    inbox: Path
    root: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.root = self.root or f"file://{self.home}/root"

    def variables(self, more: Mapping[str, str]) -> dict[str, str]:
        """The environment of a command: the caller's without settings of services, and this mill's."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name == "TOKENMILL_LMPLZ" or not name.startswith(("AWS_", "MLFLOW_", "TOKENMILL_"))
        }
        own = {
            "TOKENMILL_ROOT": self.root,
            "TOKENMILL_INBOX": f"file://{self.inbox}",
            "TOKENMILL_SCRATCH": str(self.home / "scratch"),
            "STEP_MANIFEST": str(self.home / "result.json"),
        }
        return {**kept, **own, **self.environment, **more}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        """`tokenmill ARGUMENTS` as the leader of a new process group; it writes into ``home``/output."""
        (self.home / "result.json").unlink(missing_ok=True)
        with (self.home / "output").open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "steps.core.cli", *arguments],
                cwd=ROOT,
                env=self.variables(more),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def here(self, *arguments: str, **more: str) -> Done:
        """`call` inside this process: quick, and an exception that is no clear message fails the test."""
        (self.home / "result.json").unlink(missing_ok=True)
        before, output = dict(os.environ), io.StringIO()
        os.environ.clear()
        os.environ.update(self.variables(more))
        try:
            with redirect_stdout(output), redirect_stderr(output):
                code = main(arguments)
        finally:
            os.environ.clear()
            os.environ.update(before)
        (self.home / "output").write_text(output.getvalue(), encoding="utf-8")
        return self.done(code)

    def call(self, *arguments: str, timeout: float = 280, **more: str) -> Done:
        """The command to its end, whatever that is."""
        process = self.start(*arguments, **more)
        try:
            code = process.wait(timeout)
        finally:
            end(process)
        return self.done(code)

    def done(self, code: int, output: str | None = None) -> Done:
        """How the last command ended, with the result that it handed back."""
        if output is None:
            output = (self.home / "output").read_text(encoding="utf-8", errors="replace")
        result = self.home / "result.json"
        return Done(code, output, json.loads(result.read_text()) if result.exists() else {})

    def well(self, *arguments: str, **more: str) -> Done:
        """`call` that must end well."""
        done = self.call(*arguments, **more)
        assert done.code == 0, f"{arguments} exited {done.code}:\n{done.output[-4000:]}"
        return done

    def planned(
        self, command: str, dag: str, *settings: str, run_id: str = "run", recipe: str = ""
    ) -> list[str]:
        """The call of `tokenmill plan` or `tokenmill run` on the demo's recipe for ``dag`` (or another)."""
        option = ["--recipe"] if command == "plan" else []
        chosen = [f"--set={setting}" for setting in settings]
        named = [*option, recipe or RECIPES[dag], f"--dump={DUMP}", f"--run-id={run_id}"]
        return [command, *named, *chosen]

    def turn(self, dag: str, *settings: str, **more: str) -> dict[str, str]:
        """`run` that must end well; the reference of each stage."""
        done = self.call(*self.planned("run", dag, *settings), **more)
        assert done.code == 0, f"{dag} exited {done.code}:\n{done.output[-4000:]}"
        assert list(done.refs) == [place.section for place in PIPELINES[dag]]
        return done.refs

    @property
    def folder(self) -> Path:
        """The artifact root as a folder."""
        assert self.root.startswith("file://"), self.root
        return Path(self.root.removeprefix("file://"))

    def committed(self, step: str) -> list[Path]:
        """Manifests of a step."""
        return sorted(self.folder.glob(f"{step}/*/manifest.json"))


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the command's process group, and the command."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Turned:
    """A mill in which all three DAGs ran: references by DAG and section."""

    mill: Mill
    refs: dict[str, dict[str, str]]

    def artifact(self, dag: str, section: str) -> Artifact:
        return Artifact.open(self.refs[dag][section])

    def inputs(self, dag: str, section: str) -> dict[str, str]:
        """The input references of a stage, as its artifact names them."""
        made = self.artifact(dag, section)
        return {name: made.input(name).ref for name in made.input_names()}

    def run_reference(self, dag: str) -> str:
        """``runs/…/run.json@sha256`` of the run."""
        data = (self.mill.folder / "runs" / dag / "run" / "run.json").read_bytes()
        return f"runs/{dag}/run/run.json@{bytes_digest(data)}"

    def step_command(self, dag: str, section: str, **inputs: str) -> list[str]:
        """The call of one stage, as an Airflow task makes it: inputs from earlier stages on the command line."""
        place = stage(dag, section)
        found = resolve_inputs(place, {}, self.refs[dag]) | inputs
        given = [f"--input={name}={ref}" for name, ref in found.items()]
        return ["step", place.step, f"--section={section}", f"--run={self.run_reference(dag)}", *given]

    def without(self, home: Path, dag: str, section: str) -> Turned:
        """A copy of the mill and its inbox in which this stage and those after it have not run yet."""
        names = [place.section for place in PIPELINES[dag]]
        later = names[names.index(section) :]
        gone = {self.refs[dag][name].partition("@")[0].removeprefix(f"{self.mill.root}/") for name in later}
        mill = Mill(home, home / "inbox", environment=self.mill.environment)
        shutil.copytree(self.mill.inbox, mill.inbox)
        ignored = lambda folder, names: [  # noqa: E731
            name for name in names if str((Path(folder) / name).relative_to(self.mill.folder)) in gone
        ]
        shutil.copytree(self.mill.folder, mill.folder, ignore=ignored)
        refs = {
            name: {key: ref.replace(self.mill.root, mill.root) for key, ref in made.items()}
            for name, made in self.refs.items()
        }
        refs[dag] = {key: ref for key, ref in refs[dag].items() if key not in later}
        return Turned(mill, refs)


def turned(home: Path, dags: Sequence[str], workers: int = 1) -> Turned:
    """A fresh mill on a fresh demo dump, in which ``dags`` ran."""
    inbox = home / "inbox"
    write_dump(inbox)
    mill = Mill(home, inbox, environment={"TOKENMILL_WORKERS": str(workers)})
    return Turned(mill, turn_all(mill, dags))


def turn_all(mill: Mill, dags: Sequence[str]) -> dict[str, dict[str, str]]:
    """Run the DAGs one after the other with settings that keep them quick but give many parts."""
    settings = {dag: MANY_PARTS for dag in dags}
    if "continual_pretraining" in settings:
        settings["continual_pretraining"] = (*MANY_PARTS, *FEW_STEPS)
    return {dag: mill.turn(dag, *settings[dag]) for dag in dags}
