"""Doors open downwards only: core knows core, the ground floor knows core, a step knows the ground floor and itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

STEPS = Path(__file__).parents[2] / "steps"
GROUND = ("core", "text", "report")
PACKAGES = sorted(path.name for path in STEPS.iterdir() if (path / "__init__.py").exists())


def imported(path: Path) -> Iterator[str]:
    """Packages of steps that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("steps."))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_knows_what_is_below_it_and_itself(package: str) -> None:
    allowed = {"core", package} if package == "core" else {*GROUND, package}
    found = {
        f"{path.relative_to(STEPS)} imports steps.{other}"
        for path in (STEPS / package).rglob("*.py")
        for other in imported(path)
        if other not in allowed
    }
    assert not found
