"""The child that compares answers with calculations: ``python -m steps.synthesize.math_child FILTER_FD PARENT``.

One JSON object per line comes in (answer, calculation), one goes out (outcome, detail). SymPy and math-verify are
loaded first; then the child can only compute: seccomp and Landlock as in steps/core/sandbox_child.py, and a limit on
memory.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import sys

from steps.core.child import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[2]))  # before the imports, which take seconds

from math_verify import LatexExtractionConfig, parse, verify

from steps.core.sandbox_child import checked, read_only, refuse_calls
from steps.synthesize.calculation import NoCalculation, value_of

RIGHT, WRONG, UNREADABLE = "right", "wrong", "unreadable"
_PR_SET_NO_NEW_PRIVS = 38
_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0),)


def compare(answer: str, calculation: str) -> tuple[str, str]:
    """Whether the answer, LaTeX, is what the calculation comes to: the outcome, and what was found."""
    try:
        value = value_of(calculation)
    except NoCalculation as problem:
        return UNREADABLE, f"the calculation: {problem}"
    except Exception as error:  # whatever SymPy makes of it
        return UNREADABLE, f"the calculation: {type(error).__name__}"
    # the child has limits of its own, and may not set an alarm
    found = parse(f"\\boxed{{{answer}}}", _EXTRACTION, fallback_mode="no_fallback", parsing_timeout=0)
    if not found:
        return UNREADABLE, f"the answer {answer[:80]!r} is no mathematics"
    right = verify(gold=value, target=found, timeout_seconds=None)
    return (
        (RIGHT, "")
        if right
        else (WRONG, f"the calculation comes to {str(value)[:80]}, the answer is {answer[:80]}")
    )


def lock(rules: int, reads: list[str], memory: int) -> None:
    """From here on: no files but Python's own, no sockets, no processes, so much memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    with os.fdopen(rules, "rb") as file:
        program = file.read()
    for kind, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(kind, (value, value))
    checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    read_only(libc, reads)
    refuse_calls(libc, program)


def main(rules: int) -> None:
    """Load, lock, answer."""
    logging.disable()
    sys.set_int_max_str_digits(0)  # a result may be long; time is limited
    compare("\\frac{1}{2}", "Rational(1, 2)")  # loads what is loaded at the first use
    hello = json.loads(sys.stdin.buffer.readline())
    lock(rules, hello["reads"], hello["memory"])
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            outcome, detail = compare(request["answer"], request["calculation"])
        except Exception as error:  # whatever SymPy and math-verify make of it
            outcome, detail = UNREADABLE, type(error).__name__
        sys.stdout.write(json.dumps([outcome, detail]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
