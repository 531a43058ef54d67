"""Every command of `tokenmill` says what it does in a line, and shows an example that it would take."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from steps.core import inspection
from steps.core.cli import EXAMPLES, STEP_COMMANDS, _parser, main

COMMANDS = sorted({"step", "run", *inspection.COMMANDS, *STEP_COMMANDS})


def test_the_overview_says_what_every_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    texts = {name: text for name, (_, text) in STEP_COMMANDS.items()}
    texts |= {name: text for name, (_, _, text) in inspection.COMMANDS.items()}
    assert all(f" {name} {text}" in told for name, text in texts.items())
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


def test_pyarrow_loads_pandas_for_a_data_frame_alone() -> None:
    code = (
        "import sys, numpy, pyarrow; from steps.core.lean import lean; lean()\n"
        "table = pyarrow.table({'n': pyarrow.array(numpy.arange(3))}); print('pandas' in sys.modules)\n"
        "print(table.to_pandas()['n'].sum())"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n3\n"
