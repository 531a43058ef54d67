"""Packing of lengths: property tests against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.pack.fit import join, splice, whole

SIZE = 16
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=60).map(lambda v: np.array(v, np.int64))
SHORT = st.lists(st.integers(1, SIZE), min_size=1, max_size=60).map(lambda v: np.array(v, np.int64))


@given(LENGTHS)
@settings(deadline=None)
def test_splicing_equals_cutting_the_stream_token_by_token(lengths: np.ndarray) -> None:
    stream = [(doc, token) for doc, length in enumerate(lengths) for token in range(length)]
    found = splice(lengths, np.arange(len(lengths)) * 10, SIZE)
    rebuilt = [
        (int(doc), int(start) + i, int(window))
        for doc, start, length, window in zip(
            found.document, found.start, found.length, found.window, strict=True
        )
        for i in range(length)
    ]
    assert rebuilt == [(doc, token, place // SIZE) for place, (doc, token) in enumerate(stream)]
    assert found.order.tolist() == [stream[w][0] * 10 for w in range(0, len(stream), SIZE)]


@given(SHORT, st.integers(1, 70))
@settings(deadline=None)
def test_whole_documents_are_never_cut_and_windows_never_overfull(lengths: np.ndarray, together: int) -> None:
    order = np.arange(len(lengths)) * 10
    found = whole(lengths, order, SIZE, together)
    assert sorted(found.document.tolist()) == list(range(len(lengths)))
    assert (found.length == lengths[found.document]).all() and not found.start.any()
    fill = np.bincount(found.window, weights=found.length)
    assert fill.max() <= SIZE and fill.min() > 0
    assert (np.diff(found.window) >= 0).all() and len(found.order) == len(fill)
    for window, place in enumerate(found.order):
        inside = found.document[found.window == window]
        assert place // 10 in inside and lengths[place // 10] == lengths[inside].max()
    if together >= len(lengths):
        assert len(fill) == brute_force_windows(lengths)


def brute_force_windows(lengths: np.ndarray) -> int:
    """Best fit decreasing, looking at every window."""
    room: list[int] = []
    for length in sorted(lengths.tolist(), reverse=True):
        fits = [(space, i) for i, space in enumerate(room) if space >= length]
        if fits:
            room[min(fits)[1]] -= length
        else:
            room.append(SIZE - length)
    return len(room)


@given(LENGTHS, SHORT)
@settings(deadline=None)
def test_joining_keeps_every_segment_and_sorts_windows_by_place(web: np.ndarray, task: np.ndarray) -> None:
    rng = np.random.default_rng(len(web))
    places = rng.permutation(len(web) + len(task))
    mine, theirs = np.sort(places[: len(web)]), np.sort(places[len(web) :])
    parts = [splice(web, mine, SIZE), whole(task, theirs, SIZE, 100)]
    found = join(parts, [mine, theirs])
    assert (np.diff(found.order) >= 0).all()
    assert found.window.tolist() == sorted(found.window.tolist())
    assert set(found.window.tolist()) == set(range(len(parts[0].order) + len(parts[1].order)))
    tokens = {int(d): 0 for d in places}
    for document, length in zip(found.document, found.length, strict=True):
        tokens[int(document)] += int(length)
    assert tokens == dict(
        zip([*mine.tolist(), *theirs.tolist()], [*web.tolist(), *task.tolist()], strict=True)
    )
    for window in np.unique(found.window):  # no window mixes the two
        inside = set(found.document[found.window == window].tolist())
        assert inside <= set(mine.tolist()) or inside <= set(theirs.tolist())


def test_fill_of_whole_documents_is_high_for_ordinary_lengths() -> None:
    """Lengths like those of GSM8K at 4096 tokens: windows at least 97 % full."""
    rng = np.random.default_rng(1)
    lengths = np.clip(rng.lognormal(5.2, 0.5, 20_000), 10, 4096).astype(np.int64)
    found = whole(lengths, np.arange(len(lengths)), 4096, 100_000)
    assert lengths.sum() / (len(found.order) * 4096) > 0.97
