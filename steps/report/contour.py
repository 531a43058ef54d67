"""Lines of equal value over two axes, from points anywhere: exact between them, nothing drawn beyond them."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup

from steps.report.blocks import Contour
from steps.report.charts import AXIS, WIDE, WIDTH, Axis, bottom_axis, span
from steps.report.format import number, plain

HEIGHT, LEFT, RIGHT = 220, 52, 16
LEVELS = 7  # about so many lines


def contour(plot: Contour, wide: bool = False) -> Markup:
    """One SVG: level lines with their values, and every measured point with its own."""
    across = Axis(*span([x for x, _, _ in plot.points]), False, (WIDE if wide else WIDTH) - LEFT - RIGHT)
    up = Axis(*_up(plot), plot.log, HEIGHT)
    places = np.array([(across.place(x), HEIGHT - up.place(y)) for x, y, _ in plot.points])
    values = np.array([z for _, _, z in plot.points])
    parts: list[Markup] = []
    for value in up.ticks():
        y = HEIGHT - up.place(value)
        grid = '<line class="grid" x1="0" y1="{0:.1f}" x2="{1}" y2="{0:.1f}"/>'
        label = '<text class="axis" x="-5" y="{:.1f}" text-anchor="end">{}</text>'
        parts += [Markup(grid).format(y, across.width), Markup(label).format(y + 3, number(value))]
    for level in _levels(values):
        parts += _level(segments(places, values, level), level)
    for (x, y), value in zip(places.tolist(), values.tolist(), strict=True):
        dot = '<circle class="plain" cx="{:.1f}" cy="{:.1f}" r="2.6"/>'
        anchor = "end" if x > across.width - 40 else "start"
        text = '<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="{}">{:.4g}</text>'
        parts += [
            Markup(dot).format(x, y),
            Markup(text).format(x + (4 if anchor == "start" else -4), y - 4, anchor, value),
        ]
    parts.append(bottom_axis(across, HEIGHT, plot.unit))
    opening = Markup('<svg class="plot" viewBox="{} -14 {} {}" role="img" aria-label="{}">')
    name = Markup('<text class="axis" x="{}" y="-4">{}</text>').format(-LEFT, plain(plot.unit_y, 40))
    view = opening.format(-LEFT, across.width + LEFT + RIGHT, HEIGHT + AXIS + 30, plain(plot.title))
    return view + name + Markup("").join(parts) + Markup("</svg>")


def segments(places: np.ndarray, values: np.ndarray, level: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pieces of one level line: where it crosses each Delaunay triangle of the points, float64[2] at both ends.

    Values are linear inside of a triangle. None where the points span no area.
    """
    found = []
    for triangle in _triangles(places):
        ends = []
        for a, b in ((0, 1), (1, 2), (2, 0)):
            i, j = triangle[a], triangle[b]
            if (values[i] < level) != (values[j] < level):
                share = (level - values[i]) / (values[j] - values[i])
                ends.append(places[i] + share * (places[j] - places[i]))
        if len(ends) == 2:
            found.append((ends[0], ends[1]))
    return found


def _triangles(places: np.ndarray) -> np.ndarray:
    """int[n, 3]."""
    centred = places - places.mean(axis=0)
    if len(places) < 3 or np.linalg.matrix_rank(centred, tol=1e-6) < 2:
        return np.zeros((0, 3), int)
    from scipy.spatial import Delaunay  # not for the pages without a contour

    return np.asarray(Delaunay(places).simplices)


def _level(pieces: list[tuple[np.ndarray, np.ndarray]], level: float) -> list[Markup]:
    """One line's pieces as a path, its value on the longest."""
    if not pieces:
        return []
    path = "".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b in pieces)
    a, b = max(pieces, key=lambda piece: float(np.hypot(*(piece[1] - piece[0]))))
    text = '<text class="label" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
    middle = (a + b) / 2
    return [
        Markup('<path class="line other" d="{}"/>').format(path),
        Markup(text).format(middle[0], middle[1] + 3, number(level)),
    ]


def _levels(values: np.ndarray) -> list[float]:
    """Round values inside the range: steps of 1, 2 or 5 times a power of ten."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return []
    rough = (high - low) / LEVELS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough * (1 - 1e-9))
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _up(plot: Contour) -> tuple[float, float]:
    values = [y for _, y, _ in plot.points]
    if not plot.log:
        return span(values)
    room = (max(values) / min(values)) ** 0.08 if max(values) > min(values) else 1.5
    return min(values) / room, max(values) * room
