"""Says everything that this machine lacks for the set-up, at once, before anything is downloaded.

Run it alone with `python3 -m demo.preflight`; it parses on older Pythons too, to be able to say so.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (3, 11), (3, 13)  # as requires-python in pyproject.toml
# Measured by `df` around a set-up with an empty uv cache: 2.9 GiB for cpu (2.6 are .venv, whose blocks uv's
# cache shares); torch's CUDA packages add 4.6. The rest is for the demo's data.
DISK_GIB = {"cpu": 5, "cuda": 12}
PORTS = 4  # S3, MLflow, Airflow's API server, Airflow's log server
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

HELLO = """
#include <Python.h>
#include <iostream>
int main() { std::cout << "hello from " << PY_VERSION << std::endl; return 0; }
"""


def problems(root: Path = ROOT, torch: str = "cpu") -> list[str]:
    """All that is missing, each as one line that ends with what to do; empty when the set-up can begin."""
    found = [check_platform(), check_python(), check_venv(), *check_compiler(), check_make()]
    found += [check_folder(root), check_disk(root, DISK_GIB[torch]), check_ports()]
    return [line for line in found if line]


def check_platform() -> str | None:
    """SeaweedFS's wheel and the locks are for Linux on x86_64 and aarch64."""
    if sys.platform.startswith("linux") and platform.machine() in ("x86_64", "aarch64"):
        return None
    return f"Linux on x86_64 or aarch64 is needed, this is {platform.system()} on {platform.machine()}"


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:2])) -> str | None:
    """The locked packages have wheels for this range."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    newest = f"python3.{NEWEST[1]}"
    return (
        f"Python 3.{OLDEST[1]} to 3.{NEWEST[1]} is needed, this is {version[0]}.{version[1]}: "
        f"install python3 (Debian 12 or 13) or {newest} (Fedora), and name it: make PYTHON={newest}"
    )


def check_venv() -> str | None:
    """Debian ships venv and ensurepip as a package of its own."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"Python lacks {' and '.join(missing)}: install python3-venv (Debian) or python3-libs (Fedora)"


def find_compiler() -> str | None:
    """The C++ compiler that CMake and setuptools would take: $CXX, else the first on PATH."""
    names = [os.environ["CXX"].split()[0]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    return next((path for path in map(shutil.which, names) if path), None)


def check_compiler() -> list[str]:
    """kenlm and lmplz are compiled here, kenlm against Python's headers."""
    lines: list[str] = []
    include = Path(sysconfig.get_path("include"))
    headers = (include / "Python.h").is_file()
    if not headers:
        lines.append(
            f"Python.h is not in {include}: install python3-dev (Debian) or python3-devel (Fedora) "
            f"of Python {sys.version_info[0]}.{sys.version_info[1]}"
        )
    compiler = find_compiler()
    if compiler is None:
        named = f"$CXX ({os.environ['CXX']})" if os.environ.get("CXX") else "c++, g++ or clang++"
        lines.append(f"no C++ compiler ({named} not found): install g++ (Debian) or gcc-c++ (Fedora)")
    elif headers and (error := compile_hello(compiler, include)):
        lines.append(
            f"{compiler} cannot build a small program: install g++ (Debian) or gcc-c++ (Fedora); {error}"
        )
    return lines


def compile_hello(compiler: str, include: Path) -> str | None:
    """Compiles, links and runs a program that includes <Python.h>; the first line of the error, if any."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "hello.cc"), Path(folder, "hello")
        source.write_text(HELLO, encoding="utf-8")
        build = [compiler, "-I", str(include), str(source), "-o", str(program)]
        for command in (build, [str(program)]):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            except (OSError, subprocess.TimeoutExpired) as error:
                return str(error)
            if done.returncode:
                lines = done.stderr.strip().split("\n")
                return next((line for line in lines if "error" in line), lines[0])
    return None


def check_make() -> str | None:
    """CMake's default generator, which kenlm's own build uses."""
    return None if shutil.which("make") else "make is not found: install make (Debian and Fedora)"


def check_folder(root: Path) -> str | None:
    """The set-up writes .venv and .tokenmill into the checkout."""
    return None if os.access(root, os.W_OK) else f"{root} cannot be written: clone into a folder of your own"


def check_disk(root: Path, needed_gib: float) -> str | None:
    """Space for the virtual environment, uv's cache, the build and the demo's artifacts."""
    free = shutil.disk_usage(root).free / 2**30
    if free >= needed_gib:
        return None
    return f"{free:.1f} GiB are free at {root}, {needed_gib} GiB are needed: make room, or clone elsewhere"


def check_ports(count: int = PORTS) -> str | None:
    """The services listen on loopback, on ports that the system hands out."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
    except OSError as error:
        return f"{count} free ports on 127.0.0.1 are needed ({error}): check the loopback interface"
    finally:
        for each in sockets:
            each.close()
    return None


def main() -> int:
    """Prints what is missing; 0 when nothing is, else 78 (configuration)."""
    lines = problems()
    for line in lines:
        print(f"preflight: {line}", file=sys.stderr)
    if lines:
        return EXIT_CONFIG
    print(f"preflight: Python {platform.python_version()}, {find_compiler()}, disk and ports are fine")
    return 0


if __name__ == "__main__":
    sys.exit(main())
