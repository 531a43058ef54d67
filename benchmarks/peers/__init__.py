"""Peers run in environments of their own, so that what they pin does not meet what we pin.

Each peer has ``<name>.in`` (what is wanted) and ``<name>.txt`` (the lock with hashes); its virtual environment is made
on first use under ``.tokenmill/peers``. A peer's script is a file beside its benchmark that imports only the peer
and the standard library, reads JSON from standard input and writes one JSON value as its last line:

    answer = run_peer("trafilatura", Path("benchmarks/quality/extraction_trafilatura.py"), {"pages": [...]})

    python -m benchmarks.peers --lock [NAME ...]    compile the locks again
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo.setup import STATE, install_uv, pip_configuration, uv_environment

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class PeerError(Exception):
    """A peer's environment cannot be made, or its script fails."""


def peer_python(name: str) -> Path:
    """The Python of the peer's environment, which is made, or made anew after its lock has changed."""
    lock = FOLDER / f"{name}.txt"
    if not lock.is_file():
        raise PeerError(
            f"no benchmarks/peers/{name}.txt: write {name}.in and run python -m benchmarks.peers --lock"
        )
    folder = STATE / "peers" / name
    note, python = folder / "lock.txt", folder / "bin" / "python"
    if python.exists() and note.is_file() and note.read_bytes() == lock.read_bytes():
        return python
    uv = _uv()
    _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], name)
    install = [str(uv), "pip", "install", "--quiet", "--python", str(python), "--require-hashes"]
    _run([*install, "--requirement", str(lock)], name)
    note.write_bytes(lock.read_bytes())
    return python


def run_peer(name: str, script: Path, request: Any, *arguments: str) -> Any:
    """The JSON value that ``script`` prints last, run by the peer's Python on one thread.

    ``request`` goes to its standard input as JSON. Raises PeerError with what the script said.
    """
    threads = dict.fromkeys(ONE_THREAD, "1")
    # -P: a benchmark beside the script may be named as a library is
    done = subprocess.run(
        [str(peer_python(name)), "-P", str(script), *arguments],
        input=json.dumps(request).encode(),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **threads, "PYTHONPATH": ""},
    )
    if done.returncode:
        raise PeerError(
            f"{script.name} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
        )
    return json.loads(done.stdout.decode().strip().split("\n")[-1])


def compile_lock(name: str) -> None:
    """Resolve ``<name>.in`` into ``<name>.txt`` with hashes, and no address of an index in it."""
    command = [str(_uv()), "pip", "compile", "--quiet", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--upgrade"]
    command += ["--custom-compile-command", "python -m benchmarks.peers --lock"]
    source = f"benchmarks/peers/{name}.in"
    _run([*command, source, "--output-file", f"benchmarks/peers/{name}.txt"], name)


def _uv() -> Path:
    uv = install_uv()
    os.environ.update(uv_environment(pip_configuration()))
    return uv


def _run(command: list[str], name: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise PeerError(
            f"peer {name}: {' '.join(command[:4])} ended with {done.returncode}: {done.stderr[-2000:]}"
        )
