"""The rank processes of one training run: started together, ended together.

Needs no torch, so that the step's process stays light.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from steps.train.estimate import has_gpu

OUT, STOP, PROGRESS = "out", "STOP", "progress.jsonl"  # the folder of what ranks leave, and files in it
STOPPED, DIVERGED = 90, 91
RANK = [sys.executable, "-m", "steps.train.rank"]
_PR_SET_PDEATHSIG = 1


def checkpoint_folder(out: Path, step: int) -> Path:
    """Where ranks write the checkpoint of a step."""
    return out / f"checkpoint-{step:08d}"


def done_file(folder: Path, rank: int) -> Path:
    """Exists when that rank's share of a checkpoint is complete."""
    return folder / f"DONE-{rank:04d}"


def die_with_parent() -> None:
    """Have Linux kill this rank when the step's process dies, however it dies, and leave stopping to that process.

    A scheduler may send SIGTERM to the whole process group; a rank that obeyed would take the checkpoint with it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.environ.get("TOKENMILL_PARENT", "") not in ("", str(os.getppid())):
        os._exit(1)  # it died before the call


def rank_environment(world: int, threads: int) -> dict[str, str]:
    """The environment of ranks: this process's without credentials, and what torch and DeepSpeed read."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {
        "WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "PYTHONWARNINGS": "ignore::FutureWarning",
        "TOKENMILL_PARENT": str(os.getpid()),
        "GLOO_SOCKET_IFNAME": environment.get("GLOO_SOCKET_IFNAME", "lo"),
    }
    if not has_gpu():
        environment["DS_ACCELERATOR"] = "cpu"
    return environment


class Gang:
    """``world`` processes of ``steps.train.rank``; one that fails takes the others with it."""

    def __init__(self, spec: Path, world: int, threads: int, logs: Path) -> None:
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        environment = rank_environment(world, threads)
        self.ranks = [self._start(spec, rank, environment) for rank in range(world)]

    def _start(self, spec: Path, rank: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.logs / f"rank-{rank}.log").open("wb") as log:
            return subprocess.Popen(
                [*RANK, str(spec)],
                env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def poll(self) -> int | None:
        """None while ranks run; 0, STOPPED or DIVERGED when all agree; else the first failing rank's code."""
        codes = [rank.poll() for rank in self.ranks]
        bad = [code for code in codes if code not in (None, 0, STOPPED, DIVERGED)]
        if bad:
            self.kill()
            return bad[0]
        return None if None in codes else max(code or 0 for code in codes)

    def kill(self) -> None:
        """End every rank now and wait for it."""
        for rank in self.ranks:
            if rank.poll() is None:
                rank.kill()
        for rank in self.ranks:
            rank.wait()

    def wait(self, seconds: float) -> None:
        """Return when a rank ends or after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and all(rank.poll() is None for rank in self.ranks):
            time.sleep(0.05)

    def tail(self, lines: int = 12) -> str:
        """The last lines of the log of the first rank that failed."""
        for number, rank in enumerate(self.ranks):
            if rank.returncode not in (0, STOPPED, DIVERGED, -signal.SIGKILL):
                text = (self.logs / f"rank-{number}.log").read_text(errors="replace")
                return "\n".join(text.split("\n")[-lines:])
        return "no rank said why"
