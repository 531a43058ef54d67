"""The labels and the trees of benchmarks/quality/extraction_training.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quality.extraction_pages import TruthPage, judge, site, token_f1
from benchmarks.quality.extraction_training import align, examples_of, fit, squash, trees_as_data
from steps.ingest.extract.features import FEATURES
from steps.ingest.extract.model import evaluate, trees_of

WORDS = st.lists(st.integers(0, 3), max_size=8)


def truth(html: str, main: str, must: list[str], must_not: list[str]) -> TruthPage:
    return TruthPage("r", "https://www.example.co.uk/a", html, len(html), "en", main, must, must_not)


def best_alignment(ours: list[int], theirs: list[int], gap: float) -> float:
    """The best value by trying every pair of subsequences."""
    best: dict[tuple[int, int, bool], float] = {}

    def value(row: int, column: int, running: bool) -> float:
        if row == len(ours) or column == len(theirs):
            return 0.0
        key = (row, column, running)
        if key not in best:
            choices = [value(row + 1, column, False), value(row, column + 1, False)]
            if ours[row] == theirs[column]:
                choices.append(1 - (0 if running else gap) + value(row + 1, column + 1, True))
            best[key] = max(choices)
        return best[key]

    return value(0, 0, False)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_an_alignment_is_common_and_as_good_as_the_best(ours: list[int], theirs: list[int]) -> None:
    hits = align(np.array(ours, dtype=np.int64), np.array(theirs, dtype=np.int64), 0.7)
    chosen = [word for word, hit in zip(ours, hits, strict=True) if hit]
    rest = iter(theirs)
    assert all(word in rest for word in chosen)  # a subsequence of theirs
    assert len(chosen) >= best_alignment(ours, theirs, 0.7) - 1e-6


def test_a_repeated_word_is_aligned_where_its_neighbours_are() -> None:
    ours = np.array([1, 9, 1, 2, 3, 9, 1])
    assert align(ours, np.array([1, 2, 3]), 0.7).tolist() == [False, False, True, True, True, False, False]


def test_blocks_are_labelled_by_main_text_and_snippets() -> None:
    html = "<p>Home page of it</p><p>The main text stands here</p><p>Another thing</p><p>Buy this now</p>"
    (whole,) = examples_of([truth(html, "The main text stands here.", [], [])])
    assert whole.labels.tolist() == [0, 1, 0, 0] and (whole.weights > 0).all()
    (marked,) = examples_of([truth(html, "", ["text stands"], ["Buy this now"])])
    assert (marked.weights > 0).tolist() == [False, True, False, True]
    assert marked.labels[[1, 3]].tolist() == [1, 0]


def test_the_trees_as_data_give_the_scores_of_the_trained_model() -> None:
    long = "A long paragraph of text, which ends here. " * 5
    html = "".join(f"<p>{long}{number}</p><p><a href=/>Link to another page</a></p>" for number in range(100))
    main = " ".join(f"{long}{number}" for number in range(100))
    (example,) = examples_of([truth(html, main, [], [])])
    model = fit([example], len(FEATURES))
    rows = example.blocks.features[:, : len(FEATURES)]
    found = np.zeros(len(rows))
    evaluate(*trees_of(trees_as_data(model, FEATURES), FEATURES), rows, found)
    assert np.abs(found - squash(model.decision_function(rows))).max() < 1e-4
    assert ((found > 0.5) == (example.labels > 0.5)).all()


def test_scores_count_snippets_without_white_space_and_words_as_multisets() -> None:
    page = truth("", "a b b 中文", ["a b"], ["x"])
    assert token_f1("b a a 中", "a b b 中文") == 2 * 3 / 9
    score = judge([page, page], ["a\n b b 中文", "x"])
    assert (score.f1, score.must, score.must_of, score.must_not, score.must_not_of) == (0.5, 1, 2, 1, 2)


def test_a_site_is_what_its_owner_registered() -> None:
    assert [site(f"https://{host}/x") for host in ("a.b.example.com", "example.com", "www.bbc.co.uk")] == [
        "example.com",
        "example.com",
        "bbc.co.uk",
    ]
