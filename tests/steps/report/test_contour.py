"""Level lines against a plane, whose own are known, and what has none."""

from __future__ import annotations

import re

import numpy as np
import pytest

from steps.report.blocks import Contour
from steps.report.contour import contour, segments


def test_a_level_line_of_a_plane_lies_on_it_and_crosses_the_whole_of_it() -> None:
    rng = np.random.default_rng(1)
    places = np.concatenate([[[0, 0], [0, 1], [1, 0], [1, 1]], rng.random((40, 2))])
    found = segments(places, places @ [3.0, 1.0], 2.0)
    ends = np.array(found).reshape(-1, 2)
    np.testing.assert_allclose(ends @ [3.0, 1.0], 2.0, atol=1e-12)
    length = sum(float(np.hypot(*(b - a))) for a, b in found)
    assert length == pytest.approx(np.hypot(1 / 3, 1))  # from (1/3, 1) to (2/3, 0)
    assert not segments(places, places @ [3.0, 1.0], 9.0)


def test_points_that_span_no_area_have_no_line() -> None:
    for places in ([[0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]):
        assert segments(np.array(places), np.arange(len(places), dtype=float), 0.5) == []


@pytest.mark.parametrize("log", [False, True])
def test_every_point_stands_with_its_value_and_every_level_once(log: bool) -> None:
    points = [(x, y, 2 + x + y) for x in (0.1, 0.2, 0.4) for y in (1e-4, 2e-4, 4e-4)]
    page = str(contour(Contour("loss on <zh>", points, "ratio", "rate", log=log)))
    assert page.count("<circle") == 9 and "nan" not in page and "<zh>" not in page
    assert page.count('class="line other"') == len(re.findall(r'class="label"', page)) >= 3
    for x, y, value in points:
        assert f">{value:.4g}<" in page, (x, y)


@pytest.mark.parametrize("points", [[(0.1, 1e-4, 2.0)], [(0.1, 1e-4, 2.0), (0.2, 1e-4, 2.0)]])
def test_one_cell_and_equal_losses_are_drawn_without_a_line(points: list[tuple[float, float, float]]) -> None:
    page = str(contour(Contour("loss", points, log=True)))
    assert page.count("<circle") == len(points) and 'class="line other"' not in page and "nan" not in page
