"""From a recorded answer to a pair, or to the reason why there is none. Strict: nothing is guessed or mended."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from steps.synthesize.config import Check

FIELDS: dict[Check, tuple[str, ...]] = {
    "none": ("problem", "solution"),
    "mathematics": ("problem", "solution", "check"),
    "code": ("problem", "solution", "tests"),
}
UNSUITABLE = "unsuitable_passage"
_UNSUITABLE = re.compile(r"\s*<unsuitable\s*/>\s*")
_TAG = re.compile(r"</?(?:problem|solution|check|tests|unsuitable)\s*/?>")
_FENCE, _FENCE_END = "```python", "```"
_BOXED = "\\boxed{"


class Unusable(Exception):
    """An answer that is no pair. ``reason`` is the name it is counted under, ``detail`` what was found."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail[:200]


@dataclass(frozen=True)
class Pair:
    """A problem and its solution; ``computed`` is what a check works with: answer and calculation, or the program
    and its tests."""

    problem: str
    solution: str
    computed: dict[str, str] = field(default_factory=dict)


def read_pair(answer: Mapping[str, Any], check: Check) -> Pair:
    """The pair in a recorded answer (see endpoint.py). Raises Unusable."""
    if answer.get("failure"):
        raise Unusable("no_answer", str(answer["failure"]))
    if answer["refusal"] or answer["finish_reason"] == "content_filter":
        raise Unusable("refused", answer["refusal"])
    if answer["finish_reason"] == "length":
        raise Unusable("answer_cut_off", f"after {answer['answer_tokens']} tokens")
    text = answer["text"]
    if _UNSUITABLE.fullmatch(text):
        raise Unusable(UNSUITABLE)
    found = _fields(text, FIELDS[check])
    computed = {}
    if check == "mathematics":
        computed = {"answer": boxed(found["solution"]), "calculation": found["check"]}
    elif check == "code":
        computed = {"program": _program(found["solution"]), "tests": _tests(found["tests"])}
    return Pair(found["problem"], found["solution"], computed)


def _fields(text: str, names: tuple[str, ...]) -> dict[str, str]:
    """The texts of the fields, which must stand in this order with nothing between them and no tag in them.

    One pass over the tags: a regular expression for the whole would take the square of a hostile answer's length.
    """
    tags = list(_TAG.finditer(text))
    if [tag[0] for tag in tags] != [mark for name in names for mark in (f"<{name}>", f"</{name}>")]:
        raise Unusable("unparsable_answer", f"not the fields {', '.join(names)}: {text.strip()!r:.120}")
    ends = [0, *(place for tag in tags for place in tag.span()), len(text)]
    pieces = [text[start:end].strip() for start, end in zip(ends[::2], ends[1::2], strict=True)]
    if any(pieces[::2]):
        raise Unusable("unparsable_answer", f"more than the fields {', '.join(names)}: {text.strip()!r:.120}")
    found = dict(zip(names, pieces[1::2], strict=True))
    for name, value in found.items():
        if not value:
            raise Unusable("unparsable_answer", f"the field {name} is empty")
    return found


def boxed(solution: str) -> str:
    """The content of the one \\boxed{…} of a solution. Raises Unusable where there is none, or another."""
    if solution.count(_BOXED) != 1:
        raise Unusable("unparsable_answer", f"{solution.count(_BOXED)} boxed answers, not one")
    rest = solution.partition(_BOXED)[2]
    depth = 1
    for place, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if not depth:
            if not rest[:place].strip():
                break
            return rest[:place].strip()
    raise Unusable("unparsable_answer", "the boxed answer is empty or has no end")


def _program(solution: str) -> str:
    """The one program of a solution, between its fences."""
    lines = solution.split("\n")
    starts = [number for number, line in enumerate(lines) if line.rstrip(" \t") == _FENCE]
    if len(starts) != 1:
        raise Unusable("unparsable_answer", f"{len(starts)} {_FENCE} blocks, not one")
    for end in range(starts[0] + 1, len(lines)):
        if lines[end].rstrip(" \t") == _FENCE_END:
            return "\n".join([*lines[starts[0] + 1 : end], ""])
    raise Unusable("unparsable_answer", f"the {_FENCE} block has no end")


def _tests(tests: str) -> str:
    """The tests without a fence. Raises Unusable unless they parse and assert something."""
    if tests.startswith(f"{_FENCE}\n"):
        tests = _program(tests)
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unusable("unparsable_answer", f"the tests are no Python: {type(error).__name__}") from None
    if not any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        raise Unusable("unparsable_answer", "the tests assert nothing")
    return tests
