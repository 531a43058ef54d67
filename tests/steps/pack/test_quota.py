"""Quotas: replay equal to the token, whole supervised documents, code fences."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.pack.quota import settle
from steps.pack.tokenize import fenced
from tests.steps.training import approve_all, make_mix, make_model, make_pack


def test_a_quota_is_met_to_the_token_by_cutting_the_last_document() -> None:
    quota, rank, length = np.array([0, -1, 0, 0]), np.array([2, 0, 0, 1]), np.array([10, 7, 5, 6])
    taken, figures = settle(quota, rank, length, np.zeros(4, bool), np.ones(4, bool), [{"tokens": 13}])
    assert taken.tolist() == [2, 7, 5, 6] and figures == {0: (13, 13)}


def test_documents_that_must_stay_whole_are_followed_by_those_that_still_fit() -> None:
    length = np.array([10, 8, 4, 9, 3, 1])
    ones = np.ones(6, bool)
    taken, figures = settle(np.zeros(6, int), np.arange(6), length, ones, ones, [{"tokens": 17}])
    assert taken.tolist() == [10, 0, 4, 0, 3, 0] and figures == {0: (17, 17)}


def test_a_multiple_is_of_the_tokens_that_the_stage_takes_of_its_own() -> None:
    quota, own = np.array([-1, 0, 1, 1, 1]), np.array([True, True, False, False, False])
    length = np.array([20, 30, 18, 40, 50])
    quotas: list[dict[str, Any]] = [{"tokens": 10}, {"multiple": 0.5}]
    taken, figures = settle(quota, np.array([0, 0, 0, 1, 2]), length, np.zeros(5, bool), own, quotas)
    assert taken.tolist() == [20, 10, 15, 0, 0] and figures == {0: (10, 10), 1: (15, 15)}


def test_what_is_not_there_is_not_made_up() -> None:
    taken, figures = settle(
        np.zeros(2, int), np.arange(2), np.array([3, 4]), np.ones(2, bool), np.ones(2, bool), [{"tokens": 50}]
    )
    assert taken.tolist() == [3, 4] and figures == {0: (50, 7)}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quota")


def test_replay_is_equal_to_the_stages_own_tokens(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stage 2's own tokens, counted from its windows, are as many as those replayed from stage 1."""
    approve_all(monkeypatch)
    mix = make_mix(root, web={"pages": {"tokens": 4000}})
    model = make_model(root, mix)
    first = make_pack(root, mix, model).artifact
    assert first.facts["tokens"] == 4000 and first.facts["quotas"] == [
        {"set": "web/pages", "asked": 4000, "supplied": 4000}
    ]
    second = make_pack(root, mix, model, stage=2, sequence_length=64).artifact
    sets = {
        (listed.meta["shard"], row["row"]): row["set"]
        for listed in mix.artifact.files("rows")
        for row in mix.artifact.read_table(listed).to_pylist()
    }
    tokens: dict[str, int] = {}
    for entry in second.files("segments"):
        if entry.meta["set"] == "train":
            for row in second.read_table(entry).to_pylist():
                name = sets[row["shard"], row["row"]]
                tokens[name] = tokens.get(name, 0) + row["end"] - row["start"]
    assert tokens["web/pages"] == tokens["supervised/sets/qa"] > 500


def test_code_stands_between_fences_that_name_its_language() -> None:
    text = pa.chunked_array([["print(1)\n", "a ``` b", "x"]])
    tags = pa.chunked_array([["python", "", "c"]])
    assert fenced(text, tags, "```").to_pylist() == [
        "```python\nprint(1)\n```",
        "````\na ``` b\n````",
        "```c\nx\n```",
    ]


TICKS = st.lists(st.integers(0, 40).map("`".__mul__) | st.sampled_from(["\n", "a", " ", "~~~"])).map("".join)


@given(texts=st.lists(st.none() | TICKS | st.text(max_size=20), max_size=5), chunk=st.integers(1, 5))
def test_a_fence_is_longer_than_every_run_of_backticks_in_its_text(
    texts: list[str | None], chunk: int
) -> None:
    pieces = [texts[at : at + chunk] for at in range(0, len(texts), chunk)]
    tags = ["c"] * len(texts)
    found = fenced(pa.chunked_array(pieces, pa.string()), pa.chunked_array([tags], pa.string()), "```")
    expected: list[str | None] = []
    for text in texts:
        runs = [len(list(run)) for letter, run in groupby(text or "") if letter == "`"]
        fence = "`" * max(3, *(length + 1 for length in runs), 0)
        end = "" if text and text.endswith("\n") else "\n"
        expected.append(None if text is None else f"{fence}c\n{text}{end}{fence}")
    assert found.to_pylist() == expected
