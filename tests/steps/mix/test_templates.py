"""The language that a fence names."""

from __future__ import annotations

import json

import pytest

from steps.mix.templates import code_language


@pytest.mark.parametrize(
    ("url", "title", "language"),
    [
        ("https://git.example/a/b/main.py", None, "python"),
        ("https://git.example/a/b", "src/Vector.HPP", "cpp"),
        ("https://git.example/a/main.py?raw=1", "Makefile", "makefile"),
        ("https://git.example/a/LICENSE", None, ""),
        ("https://git.example/py", None, ""),
        ("http://[", None, ""),
        ("", "what is new in v2.0", ""),
    ],
)
def test_the_ending_of_title_or_address_names_the_language(
    url: str, title: str | None, language: str
) -> None:
    assert code_language(url, json.dumps({"title": title} if title else {})) == language


def test_missing_metadata_is_no_error() -> None:
    assert code_language(None, None) == ""
