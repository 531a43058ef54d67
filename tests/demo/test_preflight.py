"""The preflight says everything that is missing, at once, with what to install."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from demo import preflight

ROOT = Path(__file__).resolve().parents[2]


def test_a_machine_that_runs_the_tests_lacks_nothing() -> None:
    assert preflight.problems(ROOT) == []


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 14)])
def test_a_python_out_of_range_is_named(version: tuple[int, ...]) -> None:
    line = preflight.check_python(version)
    assert line is not None
    assert f"this is 3.{version[1]}" in line


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_python_in_range_is_accepted(version: tuple[int, ...]) -> None:
    assert preflight.check_python(version) is None


def test_the_range_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest, newest = preflight.OLDEST, preflight.NEWEST
    assert project["requires-python"] == f">=3.{oldest[1]},<3.{newest[1] + 1}"


def test_a_missing_compiler_and_make_are_said_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    lines = preflight.problems(ROOT)
    assert len(lines) == 2
    assert "g++ (Debian)" in lines[0] and "gcc-c++ (Fedora)" in lines[0]
    assert "install make" in lines[1]


def test_a_compiler_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "broken-c++"
    compiler.write_text(
        "#!/bin/sh\necho 'fatal error: iostream: No such file' >&2\nexit 1\n", encoding="utf-8"
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    lines = preflight.check_compiler()
    assert len(lines) == 1
    assert "fatal error: iostream: No such file" in lines[0]


def test_missing_headers_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight.sysconfig, "get_path", lambda name: str(tmp_path))
    lines = preflight.check_compiler()
    assert len(lines) == 1
    assert "python3-dev (Debian)" in lines[0] and "python3-devel (Fedora)" in lines[0]


def test_too_little_disk_says_how_much_is_needed(tmp_path: Path) -> None:
    line = preflight.check_disk(tmp_path, needed_gib=10**6)
    assert line is not None
    assert "1000000 GiB are needed" in line


def test_an_old_python_is_told_so_by_the_command_itself(tmp_path: Path) -> None:
    """No syntax newer than Python 3.8: an old Python reaches the check instead of a SyntaxError."""
    command = (
        "import ast, sys\n"
        "for path in sys.argv[1:]: ast.parse(open(path, encoding='utf-8').read(), feature_version=(3, 8))"
    )
    files = [str(ROOT / "demo" / f"{name}.py") for name in ("__init__", "preflight", "lmplz", "setup")]
    done = subprocess.run([sys.executable, "-c", command, *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
