"""Every command of `tokenmill` says what it does in a line, and shows an example that it would take."""

from __future__ import annotations

import shlex

import pytest

from steps.core import inspection
from steps.core.cli import EXAMPLES, STEP_COMMANDS, _parser, main

COMMANDS = sorted({"step", "run", *inspection.COMMANDS, *STEP_COMMANDS})


def test_the_overview_lists_every_command_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.split("\n")
    for name in COMMANDS:
        assert any(line.strip().startswith(f"{name} ") and len(line.split()) > 3 for line in lines), name
    assert sorted(EXAMPLES) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_ends_with_its_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.endswith("example: " + " ".join(EXAMPLES[name].split()))


@pytest.mark.parametrize("name", COMMANDS)
def test_an_example_is_a_command_that_can_be_typed(name: str) -> None:
    program, *arguments = shlex.split(EXAMPLES[name])
    assert program == "tokenmill" and arguments[0] == name
    assert callable(_parser(arguments).parse_args(arguments).function)
