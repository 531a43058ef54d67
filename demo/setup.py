"""Installs everything into .venv from the hash-pinned lock files: `python3 -m demo.setup`.

    preflight → uv → .venv → torch → locks → tokenmill itself → lmplz → compiled kernels

Only the standard library is used. A finished set-up is stamped with the digests of what it was made from, so
that a second call takes a fraction of a second; after a change, or an interruption, only the rest is done.

TORCH=cpu|cuda chooses torch's build; without it, cuda where `nvidia-smi` finds a GPU, else cpu.
pip's configuration (index, extra indexes, find-links, certificate, proxy) is handed on to uv.
`--lock` compiles the lock files again.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo import lmplz, preflight

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = ROOT / ".tokenmill"
REQUIREMENTS = ROOT / "requirements"
STAMP = VENV / "tokenmill-setup.json"
LOCKS = ("airflow", "build", "dev", "factory", "services", "trainer")
EXIT_UNAVAILABLE, EXIT_CONFIG = 69, 78  # as in the contract: a service is away; configuration


class SetupError(Exception):
    """The set-up cannot go on; the message is one line for a person."""

    def __init__(self, message: str, code: int = EXIT_UNAVAILABLE) -> None:
        super().__init__(message)
        self.code = code


# What is wanted, and what is there


def torch_pin() -> str:
    """The one pin of torch, such as `torch==2.13.0`."""
    lines = (REQUIREMENTS / "torch.txt").read_text(encoding="utf-8").split("\n")
    return next(line.strip() for line in lines if line.startswith("torch=="))


def choose_torch(installed: str | None = None) -> str:
    """TORCH, else what is installed, else cuda where a GPU answers."""
    chosen = os.environ.get("TORCH", "").strip().lower()
    if chosen not in ("", "cpu", "cuda"):
        raise SetupError(f"TORCH is {chosen!r}: set it to cpu or cuda", EXIT_CONFIG)
    return chosen or installed or ("cuda" if has_gpu() else "cpu")


def has_gpu() -> bool:
    """Whether NVIDIA's driver lists a GPU."""
    try:
        done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and "GPU" in done.stdout


def wanted(torch: str) -> dict[str, str]:
    """What the set-up is made from: the stamp of a finished one equals this."""
    files = [*sorted(REQUIREMENTS.glob("*.txt")), ROOT / "pyproject.toml"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"root": str(ROOT), "torch": torch, **digests}


def read_stamp() -> dict[str, str]:
    """The stamp of the last finished set-up, empty when there is none."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_ready(torch: str, stamp: dict[str, str]) -> bool:
    """Whether nothing has to be done."""
    return stamp == wanted(torch) and PYTHON.exists() and lmplz.is_built()


# pip's configuration, for uv


def pip_configuration() -> dict[str, str]:
    """pip's settings by name, the strongest place winning: environment, then [install], then [global].

    Asked of this Python's pip, or, where it has none (Debian), of the one in uv's environment.
    """
    for python in (sys.executable, str(STATE / "uv" / "bin" / "python")):
        command = [python, "-m", "pip", "config", "list"]
        if Path(python).exists():
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                break
    else:
        return {}
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in done.stdout.split("\n"):
        if match := re.fullmatch(r"(global|install|:env:)\.([\w-]+)=(.*)", line.strip()):
            section, name, value = match.groups()
            found[section][name] = str(ast.literal_eval(value))
    return {**found["global"], **found["install"], **found[":env:"]}


def uv_environment(pip: dict[str, str]) -> dict[str, str]:
    """The same settings as environment variables of uv, where the user set none of its own.

    By environment and not by flags, since an index address may hold a password.
    """

    def words(name: str) -> list[str]:
        return pip.get(name, "").split()

    settings = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(words("extra-index-url")),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip's way; every file is checked against its hash
        "UV_FIND_LINKS": ",".join(words("find-links")),
        "UV_NO_INDEX": "1" if pip.get("no-index", "").lower() in ("1", "true", "yes", "on") else "",
        "UV_INSECURE_HOST": " ".join(words("trusted-host")),
        "UV_HTTP_TIMEOUT": pip.get("timeout", pip.get("default-timeout", "")),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "HTTPS_PROXY": pip.get("proxy", ""),
        "HTTP_PROXY": pip.get("proxy", ""),
    }
    return {name: value for name, value in settings.items() if value and name not in os.environ}


# The steps


def install_uv() -> Path:
    """The pinned uv, in a virtual environment of its own under .tokenmill."""
    pins = REQUIREMENTS / "uv.txt"
    folder = STATE / "uv"
    note, uv = folder / "pins.txt", folder / "bin" / "uv"
    if uv.exists() and note.is_file() and note.read_bytes() == pins.read_bytes():
        return uv
    run([sys.executable, "-m", "venv", "--clear", str(folder)], "cannot make a virtual environment")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    run([*pip, "--no-deps", "--require-hashes", "-r", str(pins)], "pip cannot install uv")
    note.write_bytes(pins.read_bytes())
    return uv


def make_venv(uv: Path) -> None:
    """Makes .venv, unless there is one whose Python runs and is in range."""
    if PYTHON.exists():
        question = "import sys; print(*sys.version_info[:2])"
        done = subprocess.run([str(PYTHON), "-c", question], capture_output=True, text=True)
        answer = tuple(map(int, done.stdout.split())) if done.returncode == 0 else ()
        if answer and preflight.check_python(answer) is None:
            return
    command = [str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)]
    run(command, "uv cannot make .venv")


def installed_torch() -> str:
    """The version of torch in .venv, with its build (2.13.0+cpu), empty when there is none."""
    question = "from importlib.metadata import version; print(version('torch'))"
    done = subprocess.run([str(PYTHON), "-c", question], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def torch_sources(torch: str, pip: dict[str, str]) -> list[list[str]]:
    """The places that may have the wanted build of torch, those of the site first, as options of uv.

    cpu: pip's find-links, pip's indexes, PyTorch's own; without torch's dependencies, which are locked.
    cuda: PyTorch's own index for this machine's driver, then pip's indexes, where the plain wheel of torch
    for Linux is the CUDA build; with NVIDIA's libraries, which torch's metadata pins.
    """
    pin = torch_pin()
    if torch == "cuda":
        locked = ["--constraints", str(REQUIREMENTS / "all.txt")]
        return [[*locked, "--torch-backend", "auto", pin], [*locked, pin]]
    sources = []
    if pip.get("find-links"):
        sources.append(["--no-deps", "--no-index", f"{pin}+cpu"])
    if pip.get("index-url") or pip.get("extra-index-url"):
        sources.append(["--no-deps", f"{pin}+cpu"])
    return [*sources, ["--no-deps", "--torch-backend", "cpu", pin]]


def install_torch(uv: Path, torch: str, pip: dict[str, str]) -> None:
    """torch from the first place that has the wanted build."""
    pin = torch_pin()
    there = installed_torch()
    if there and there.split("+")[0] == pin.split("==")[1] and (there.endswith("+cpu") == (torch == "cpu")):
        return
    output = ""
    for options in torch_sources(torch, pip):
        command = [str(uv), "pip", "install", "--python", str(PYTHON), "--reinstall-package", "torch"]
        done = subprocess.run(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        there = installed_torch() if done.returncode == 0 else ""
        if there and there.endswith("+cpu") == (torch == "cpu"):
            return
        output += done.stdout
    print(output, file=sys.stderr)
    raise SetupError(
        f"{pin} for {torch} is found nowhere: put its wheel for this Python into a folder and name it with "
        f"PIP_FIND_LINKS, or set TORCH={'cuda' if torch == 'cpu' else 'cpu'}"
    )


def install_locks(uv: Path) -> None:
    """Everything else, each file checked against its hash; the builds of the two sdists as well."""
    command = [str(uv), "pip", "install", "--python", str(PYTHON), "--no-deps", "--require-hashes"]
    command += ["--build-constraints", str(REQUIREMENTS / "build.txt"), "-r", str(REQUIREMENTS / "all.txt")]
    run(command, "uv cannot install the locked packages", DS_BUILD_OPS="0")
    if subprocess.run([str(PYTHON), "-c", "import kenlm"], capture_output=True).returncode:
        run([str(PYTHON), "-m", "demo.lmplz", "--module"], "kenlm cannot be installed")  # Python 3.13


def install_project(uv: Path) -> None:
    """tokenmill itself, editable, built with the locked setuptools."""
    command = [str(uv), "pip", "install", "--quiet", "--python", str(PYTHON), "--no-deps"]
    run([*command, "--no-build-isolation", "--editable", str(ROOT)], "uv cannot install tokenmill")


def install_lmplz() -> None:
    """KenLM's trainer, into .tokenmill/bin."""
    if not lmplz.is_built():
        run([str(PYTHON), "-m", "demo.lmplz"], "lmplz cannot be built")


def warm_kernels() -> None:
    """Compile the kernels, so that no first run compiles for half a minute in front of its user."""
    command = [str(PYTHON), "-m", "images.warm", str(ROOT / "demo" / "texts")]
    run(command, "the factory does not run on the demo's texts")


def compile_locks(uv: Path) -> None:
    """Resolves all requirements together, then each set within that: the locks agree with each other.

    One universal lock serves every Python of the range. torch is left out; no address of an index, no path
    and no local file gets into a lock, so extra indexes and find-links are not asked.
    """
    ours = {name: "" for name in ("UV_INDEX", "UV_FIND_LINKS", "UV_NO_INDEX")}
    command = [str(uv), "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--custom-compile-command", "make lock", "--excludes", "requirements/torch.txt", "--upgrade"]
    inputs = {"all": LOCKS, "uv": ("uv",), **{name: (name,) for name in LOCKS}}
    for name, sources in inputs.items():
        say(f"requirements/{name}.txt")
        within = ["--constraints", "requirements/all.txt"] if name in LOCKS else []
        files = [f"requirements/{source}.in" for source in sources]
        run(
            [*command, *within, *files, "--output-file", f"requirements/{name}.txt"],
            f"uv cannot compile {name}",
            **ours,
        )


# Running tools, and saying so


def run(command: list[str], complaint: str, **environment: str) -> None:
    """Runs a tool in the project's root, its output shown as it comes; variables set to "" are removed."""
    changed = {**os.environ, **environment}
    kept = {name: value for name, value in changed.items() if environment.get(name) != ""}
    try:
        done = subprocess.run(command, cwd=ROOT, env=kept, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise SetupError(f"{complaint}: {error}") from error
    if done.returncode:
        raise SetupError(f"{complaint} (exit code {done.returncode}): see above, then run this again")


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


@contextmanager
def alone() -> Iterator[None]:
    """One set-up at a time in this checkout; a second one waits."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "setup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is at work, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def set_up() -> None:
    """The whole set-up, or nothing when it is up to date."""
    stamp = read_stamp()
    torch = choose_torch(stamp.get("torch"))
    if is_ready(torch, stamp):
        return
    lines = preflight.problems(ROOT, torch)
    if lines:
        raise SetupError("this machine lacks something:\n  " + "\n  ".join(lines), EXIT_CONFIG)
    began = time.monotonic()
    with alone():
        if is_ready(torch, read_stamp()):
            return
        say("1/7 uv")
        uv = install_uv()
        pip = pip_configuration()
        os.environ.update(uv_environment(pip))
        say("2/7 .venv")
        make_venv(uv)
        STAMP.unlink(missing_ok=True)
        say(f"3/7 {torch_pin()} for {torch}")
        install_torch(uv, torch, pip)
        say("4/7 locked packages (kenlm is compiled, up to a minute)")
        install_locks(uv)
        say("5/7 tokenmill")
        install_project(uv)
        say("6/7 lmplz (compiled, up to a minute)")
        install_lmplz()
        say("7/7 kernels (compiled into numba's cache, about a minute)")
        warm_kernels()
        STAMP.write_text(json.dumps(wanted(torch), indent=1), encoding="utf-8")
    say(f"ready in {time.monotonic() - began:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python3 -m demo.setup", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--lock", action="store_true", help="compile the lock files again")
    options = parser.parse_args(arguments)
    try:
        if options.lock:
            with alone():
                uv = install_uv()
                os.environ.update(uv_environment(pip_configuration()))
                compile_locks(uv)
        else:
            set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
