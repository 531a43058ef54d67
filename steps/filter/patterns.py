"""Regular expressions tried only where the word automaton found what they need.

Python's `re` looks at every character of a line for the start of a match. Most expressions can match only where one of
a few words begins, only where one of them begins the line, or only in a line with one of them (RE2's prefilter:
google/re2, prefilter.h), and the automaton knows all places of words already. The words are read off the parsed
expression; matches stay exactly those of `re`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

SHORTEST, LONGEST = 2, 12  # characters of a word: one stands in every other line, twelve tell enough
MOST = 300  # words of an expression
TELLING = "{}<>@|~^$\\`×©"  # marks that prose hardly has: one alone tells enough
DIGIT = "\0"  # in a prefix: any digit
# What an ASCII letter matches besides itself where case does not count: İ ı ſ and the Kelvin sign
OTHER_CASES = "\u0130\u0131\u017f\u212a"
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)
_NO_CHARACTERS = (_constants.AT, _constants.ASSERT, _constants.ASSERT_NOT)
_SIGNS = (
    [(_constants.CATEGORY, _constants.CATEGORY_NOT_WORD)],
    [(_constants.CATEGORY, _constants.CATEGORY_SPACE)],
)


class Expression(NamedTuple):
    """An expression, and the words without which it cannot match, in lower case; empty: none are known.

    One that `starts` and is `first` begins the text, with signs and space before one of the words or a digit.
    """

    pattern: re.Pattern[str]
    words: frozenset[str]
    starts: bool  # every match begins with one of the words
    first: bool  # every match begins the text


def compile_expression(expression: str) -> Expression:
    """The expression as it is matched: Python `re` syntax, the case of letters does not count."""
    parsed = _parser.parse(expression, re.IGNORECASE)
    pattern = re.compile(expression, re.IGNORECASE)
    first = _is_first(parsed)
    words = _first(parsed[_signs(parsed) :] if first else parsed, or_digit=first)
    if words:
        return Expression(pattern, words, starts=True, first=first)
    return Expression(pattern, _required(parsed) or frozenset(), starts=False, first=first)


def matches(one: Expression, text: str, places: Sequence[int] | None) -> Iterable[re.Match[str]]:
    """The matches of the expression in a text, as `re.finditer` gives them.

    places: where its words stand, ascending, if every match begins at one; None: look everywhere.
    """
    if one.first:
        match = one.pattern.match(text)
        return () if match is None else (match,)
    return one.pattern.finditer(text) if places is None else _matches_at(one.pattern, text, places)


def _matches_at(pattern: re.Pattern[str], text: str, places: Sequence[int]) -> Iterator[re.Match[str]]:
    end = 0
    for place in places:
        if place >= end and (match := pattern.match(text, place)):
            yield match
            end = max(match.end(), place + 1)


def _first(parsed: _parser.SubPattern, *, or_digit: bool) -> frozenset[str] | None:
    """Words with one of which every match begins, or else with a digit where that is allowed.

    None where a word would be too short, or they are too many.
    """
    found = {word for word, _ in _prefixes(parsed)} - ({DIGIT} if or_digit else set())
    kept: list[str] = []
    for word in sorted(word.removesuffix(DIGIT) for word in found):
        if not kept or not word.startswith(kept[-1]):  # one that begins with another stands behind it
            kept.append(word)
    well = all(_tells(word) or (or_digit and word and not word.isascii()) for word in kept)
    return frozenset(kept) if well and len(kept) <= MOST else None


def _tells(word: str) -> bool:
    """The word stands in so few lines that looking for it pays."""
    return len(word) >= SHORTEST or (word != "" and word in TELLING)


def _signs(sequence: _parser.SubPattern) -> int:
    """How many items at the beginning of the sequence match neither letters nor digits."""
    for number, (operation, argument) in enumerate(sequence):
        if operation in _REPEATS:
            operation, argument = argument[-1][0]
        if operation not in _NO_CHARACTERS and not (operation is _constants.IN and argument in _SIGNS):
            return number
    return len(sequence)


def _is_first(sequence: _parser.SubPattern) -> bool:
    """Every match of the sequence begins with ^."""
    if not len(sequence):
        return False
    operation, argument = sequence[0]
    if operation is _constants.BRANCH:
        return all(map(_is_first, argument[1]))
    if operation is _constants.SUBPATTERN:
        return _is_first(argument[-1])
    return operation is _constants.AT and argument is _constants.AT_BEGINNING


def _prefixes(sequence: _parser.SubPattern) -> set[tuple[str, bool]]:
    """(how a match of the sequence may begin, whether that is all of it), for every way to match it."""
    found = {("", True)}
    for item in sequence:
        going = {word for word, whole in found if whole and len(word) < LONGEST}
        if not going or len(found) > MOST:
            break
        found -= {(word, True) for word in going}
        found |= {(word + more, whole) for word in going for more, whole in _item(*item)}
    return {(word, whole and len(word) < LONGEST) for word, whole in found}


def _item(operation: object, argument: Any) -> set[tuple[str, bool]]:
    """`_prefixes` of one item of a sequence; ("", False) where nothing is known."""
    if operation in _NO_CHARACTERS:
        return {("", True)}
    if operation is _constants.LITERAL and _is_sure(chr(argument)):
        return {(chr(argument).lower(), True)}
    if operation is _constants.IN and argument == [(_constants.CATEGORY, _constants.CATEGORY_DIGIT)]:
        return {(DIGIT, False)}
    if operation is _constants.IN and all(kind is _constants.LITERAL for kind, _ in argument):
        chars = {chr(char).lower() for _, char in argument}
        return {(char, True) for char in chars} if all(map(_is_sure, chars)) else {("", False)}
    if operation is _constants.BRANCH:
        return set().union(*map(_prefixes, argument[1]))
    if operation is _constants.SUBPATTERN:
        return _prefixes(argument[-1])
    if operation in _REPEATS:
        least, most, inner = argument
        once = {(word, whole and most == 1) for word, whole in _prefixes(inner)}
        return once | {("", True)} if least == 0 else once
    return {("", False)}


def _required(sequence: _parser.SubPattern) -> frozenset[str] | None:
    """Words one of which stands in every match: of a sequence the part whose words are longest, of branches all."""
    found: list[frozenset[str] | None] = []
    run = ""
    for operation, argument in [*sequence, (None, None)]:
        if operation is _constants.LITERAL and _is_sure(chr(argument)):
            run += chr(argument).lower()
            continue
        if _tells(run):
            found.append(frozenset([run]))
        run = ""
        if operation is _constants.BRANCH:
            branches = [_required(branch) for branch in argument[1]]
            found.append(frozenset().union(*(own or () for own in branches)) if all(branches) else None)
        elif operation is _constants.SUBPATTERN or (operation in _REPEATS and argument[0] > 0):
            found.append(_required(argument[-1]))
    return max((own for own in found if own), key=_strength, default=None)


def _is_sure(char: str) -> bool:
    """The character matches itself only, or the same ASCII letter in the other case."""
    return char.isascii() or char.lower() == char.upper()


def _strength(words: frozenset[str]) -> tuple[int, int]:
    """The longer its shortest word the rarer."""
    return min(len(word.encode()) for word in words), -len(words)
