"""Plots as inline SVG: no script, no style attribute, colours by class so that light and dark pages share them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from steps.report.blocks import Histogram, Line, Lines, Mark, Matrix, Panel, Tone
from steps.report.distribution import Distribution
from steps.report.format import number, plain

# user units; one is about a pixel
WIDTH, WIDE = 400, 860  # of a plot in the grid, and of one alone
HEAD, PANEL, AXIS, LABELS, GRAPH = 22, 70, 20, 12, 150  # heights
BINS = 56
NAME_WIDTH = (
    60  # user units beside the end of a line in which a second name would lie on the first (own choice)
)
DOTS = 40  # points of a line that get a dot; more of them would hide it
_LABEL_ROWS = 3
_LETTER = 5.6  # width of a letter of 10 units, about
_OUTLIERS = 0.001  # of the values on each side; they lie in the end bins


@dataclass(frozen=True)
class Axis:
    """The shared horizontal axis of a plot, ``width`` user units long."""

    low: float
    high: float
    log: bool
    width: int

    def place(self, value: float) -> float:
        """x of a value, clamped to the plot."""
        value, low, high = (
            (math.log(max(v, 1e-300)) if self.log else v) for v in (value, self.low, self.high)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.width * min(1.0, max(0.0, share))

    def ticks(self) -> list[float]:
        """Round values inside the range: 1, 2, 5 times powers of ten, more within a decade."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1, 2, 5) if last - first <= 2 else (1, 3) if last - first <= 4 else (1,)
            every = max(1, (last - first) // 8)
            found = [s * 10.0**e for e in range(first, last + 1, every) for s in steps]
            if self.high < 10 * self.low:  # within a decade those may be none
                found = [s * 10.0**e for e in range(first, last + 1) for s in (1, 1.5, 2, 3, 4, 5, 7)]
            return [value for value in found if self.low <= value <= self.high]
        rough = (self.high - self.low) / 5
        size = 10.0 ** math.floor(math.log10(rough))
        step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def histogram(plot: Histogram, wide: bool = False) -> Markup:
    """One SVG: a panel per row over a shared axis; bar heights are the square root of the count."""
    whole = Distribution.sum(d for panel in plot.panels for d in panel.values.values())
    edges, log = _bins(plot, whole)
    axis = Axis(float(edges[0]), float(edges[-1]), log, WIDE if wide else WIDTH)
    parts: list[Markup] = []
    top = 0.0
    for panel in plot.panels:
        rows = _label_rows(panel.marks, axis)
        head = HEAD + LABELS * (max(rows, default=-1) + 1)
        parts += [_head(panel, top + HEAD - 5, axis), _panel(panel, edges, top + head, rows, axis)]
        top += head + PANEL
    parts.append(bottom_axis(axis, top, plot.unit))
    height = top + AXIS + (12 if plot.unit else 0)
    opening = Markup('<svg class="plot" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}">')
    return opening.format(axis.width, height, plain(plot.title)) + Markup("").join(parts) + Markup("</svg>")


def _bins(plot: Histogram, whole: Distribution) -> tuple[np.ndarray, bool]:
    """(edges of the bins, whether they are logarithmic) over all panels and thresholds, less the outermost values."""
    marks = [mark.at for panel in plot.panels for mark in panel.marks if math.isfinite(mark.at)]
    ends = [whole.quantile(_OUTLIERS), whole.quantile(1 - _OUTLIERS)]
    found = [value for value in [*ends, *marks] if value is not None]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    values, _ = whole.values()
    if plot.log:
        positive = values[values > 0]
        low = max(low, float(positive[0]) if len(positive) else 1.0)
        low, high = (low, high) if high > low else (low / 2, low * 2)
        return np.geomspace(low, high * (1 + 1e-9), BINS + 1), True
    if 0 < low < 0.35 * high:
        low = 0.0
    integers = bool(len(values)) and bool(np.all(values == np.round(values)))
    if integers and 2 <= high - low <= BINS:
        return np.arange(math.floor(low), math.floor(high) + 2, dtype=np.float64), False
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    return np.linspace(low, high + 1e-9 * (high - low), BINS + 1), False


def _head(panel: Panel, y: float, axis: Axis) -> Markup:
    """The panel's name on the left; on the right how many values, and their median."""
    whole = Distribution.sum(panel.values.values())
    middle = whole.quantile(0.5)
    said = f"{whole.count:,}" + (f" · median {number(middle)}" if middle is not None else "")
    if whole.missing:
        said += f" · {whole.missing:,} without"
    text = Markup('<text class="name" x="0" y="{0:.1f}">{1}</text>').format(y, plain(panel.name, 40))
    return text + Markup('<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
        axis.width, y, said
    )


def _panel(panel: Panel, edges: np.ndarray, top: float, rows: Sequence[int], axis: Axis) -> Markup:
    """Tinted removed sides, bars, base line and thresholds with their labels above."""
    parts = []
    bottom = top + PANEL
    for mark in panel.marks:
        x = axis.place(mark.at)
        if mark.removes:
            start, width = (0.0, x) if mark.removes == "below" else (x, axis.width - x)
            tint = '<rect class="gone" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{}"/>'
            parts.append(Markup(tint).format(start, top, width, PANEL))
    parts.append(_stack(panel.values, edges, top, axis.width))
    base = '<line class="base" x1="0" y1="{0:.1f}" x2="{1}" y2="{0:.1f}"/>'
    parts.append(Markup(base).format(bottom, axis.width))
    parts += _upright(panel.marks, rows, top, bottom, axis)
    return Markup("").join(parts)


def _upright(
    marks: Sequence[Mark], rows: Sequence[int], top: float, bottom: float, axis: Axis
) -> list[Markup]:
    """A line from ``bottom`` to above ``top`` for each mark, with its label in its row there."""
    parts = []
    for mark, row in zip(marks, rows, strict=True):
        x, y, text = axis.place(mark.at), top - LABELS * row - 3, _mark_text(mark)
        left, anchor = _label_place(x, text, axis)
        line = (
            '<line class="mark" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/>'
            '<text class="label" x="{3:.1f}" y="{4:.1f}" text-anchor="{5}">{6}</text>'
        )
        parts.append(Markup(line).format(x, y - 8, bottom, left, y, anchor, text))
    return parts


def _stack(values: Mapping[Tone, Distribution], edges: np.ndarray, top: float, width: int) -> Markup:
    """Stacked bars of one panel, one path per tone; heights share one square-root scale, segments divide a bar."""
    counts = {tone: distribution.histogram(edges) for tone, distribution in values.items()}
    total = np.sum(list(counts.values()), axis=0) if counts else np.zeros(len(edges) - 1)
    height = np.where(
        total > 0, np.maximum(1.5, (PANEL - 4) * np.sqrt(total / max(float(total.max()), 1.0))), 0.0
    )
    step = width / (len(edges) - 1)
    across = max(step - 0.6, 0.6)
    bottom = np.full(len(total), top + PANEL)
    parts = []
    for tone, column in counts.items():
        own = height * column / np.maximum(total, 1)
        bottom = bottom - own
        bars = [
            f"M{i * step + 0.3:.1f} {bottom[i]:.1f}h{across:.1f}v{own[i]:.1f}h-{across:.1f}z"
            for i in np.flatnonzero(column).tolist()
        ]
        if bars:
            parts.append(Markup('<path class="{}" d="{}"/>').format(tone, "".join(bars)))
    return Markup("").join(parts)


def _mark_text(mark: Mark) -> str:
    return f"{plain(mark.label, 24)} {number(mark.at)}".strip()


def _label_place(x: float, text: str, axis: Axis) -> tuple[float, str]:
    """Where a label of that text stands beside its line, so that it stays inside."""
    return (x + 3, "start") if x + 3 + _LETTER * len(text) <= axis.width else (x - 3, "end")


def _label_rows(marks: Sequence[Mark], axis: Axis) -> list[int]:
    """The row above the panel for each label, so that neighbours do not overlap."""
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_LABEL_ROWS)]
    rows = []
    for mark in marks:
        text = _mark_text(mark)
        left, anchor = _label_place(axis.place(mark.at), text, axis)
        size = _LETTER * len(text) + 6
        begin, end = (left, left + size) if anchor == "start" else (left - size, left)
        free = (i for i, spans in enumerate(taken) if all(end < a or begin > b for a, b in spans))
        row = next(free, _LABEL_ROWS - 1)
        taken[row].append((begin, end))
        rows.append(row)
    return rows


def bottom_axis(axis: Axis, top: float, unit: str) -> Markup:
    """Ticks and values below a plot whose bottom is at ``top``."""
    parts = []
    for value in axis.ticks():
        x = axis.place(value)
        anchor = "start" if x < 8 else "end" if x > axis.width - 8 else "middle"
        tick = (
            '<line class="tick" x1="{0:.1f}" y1="{1:.1f}" x2="{0:.1f}" y2="{2:.1f}"/>'
            '<text class="axis" x="{0:.1f}" y="{3:.1f}" text-anchor="{4}">{5}</text>'
        )
        parts.append(Markup(tick).format(x, top, top + 4, top + 15, anchor, number(value)))
    if unit:
        name = '<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        parts.append(Markup(name).format(axis.width, top + 28, plain(unit)))
    return Markup("").join(parts)


def lines(plot: Lines, wide: bool = False) -> Markup:
    """One SVG: lines with intervals over two linear axes, dots where they are few, names beside the last points."""
    points = [point for line in plot.lines for point in line.points]
    ends = [v for p in points for v in (p.y, p.low, p.high) if v is not None] + [m.at for m in plot.marks]
    left, right = 34, 90  # for the labels of the y axis, and for the lines' names
    across = Axis(
        *span([p.x for p in points] + [m.at for m in plot.moments]),
        False,
        (WIDE if wide else WIDTH) - left - right,
    )
    up = Axis(*span(ends), False, GRAPH)
    parts: list[Markup] = []
    for value in up.ticks():
        y = GRAPH - up.place(value)
        grid = '<line class="grid" x1="0" y1="{0:.1f}" x2="{1}" y2="{0:.1f}"/>'
        label = '<text class="axis" x="-5" y="{:.1f}" text-anchor="end">{}</text>'
        parts += [Markup(grid).format(y, across.width), Markup(label).format(y + 3, number(value))]
    for mark in plot.marks:
        y = GRAPH - up.place(mark.at)
        level = '<line class="mark" x1="0" y1="{0:.1f}" x2="{1}" y2="{0:.1f}"/>'
        label = '<text class="label" x="{}" y="{:.1f}">{}</text>'
        parts += [
            Markup(level).format(y, across.width),
            Markup(label).format(across.width + 6, y + 3, plain(mark.label, 18)),
        ]
    parts += [part for line in plot.lines for part in _line(line, across, up)]
    parts += _line_names(plot.lines, across, up)
    rows = _label_rows(plot.moments, across)
    parts += _upright(plot.moments, rows, 0, GRAPH, across)
    parts.append(bottom_axis(across, GRAPH, plot.unit))
    head = 8 + LABELS * (max(rows, default=-1) + 1)
    size = (across.width + left + right, head + GRAPH + AXIS + 12)
    return Markup('<svg class="plot" viewBox="{} {} {} {}" role="img" aria-label="{}">{}</svg>').format(
        -left, -head, *size, plain(plot.title), Markup("").join(parts)
    )


def span(values: Sequence[float]) -> tuple[float, float]:
    """An axis's ends around values, with some room; never empty."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
    return low - room, high + room


def _line(line: Line, across: Axis, up: Axis) -> list[Markup]:
    """Path, intervals and dots of one line."""
    places = [(across.place(p.x), GRAPH - up.place(p.y), p) for p in line.points]
    if not places:
        return []
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places)
    parts = [Markup('<path class="line {}" d="{}"/>').format(line.tone, path)]
    for x, y, point in places:
        if point.low is not None and point.high is not None:
            ends = (GRAPH - up.place(point.low), GRAPH - up.place(point.high))
            stroke = '<line class="line {0}" x1="{1:.1f}" y1="{2:.1f}" x2="{1:.1f}" y2="{3:.1f}"/>'
            parts.append(Markup(stroke).format(line.tone, x, *ends))
        if len(places) <= DOTS:
            parts.append(
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(line.tone, x, y)
            )
    return parts


def _line_names(lines: Sequence[Line], across: Axis, up: Axis) -> list[Markup]:
    """Names beside the last points; those that would lie on one another stand together, the upper line's first."""
    ends = sorted(
        (GRAPH - up.place(line.points[-1].y), across.place(line.points[-1].x), line.name)
        for line in lines
        if line.points and line.name
    )
    groups: list[tuple[float, float, list[str]]] = []
    for y, x, name in ends:
        beside = next((g for g in groups if y - g[0] < LABELS and abs(x - g[1]) < NAME_WIDTH), None)
        if beside is None:
            groups.append((y, x, [name]))
        else:
            beside[2].append(name)
    label = '<text class="label" x="{:.1f}" y="{:.1f}">{}</text>'
    return [Markup(label).format(x + 6, y + 3, plain(", ".join(names), 18)) for y, x, names in groups]


def bar(segments: Mapping[Tone, float], most: float) -> Markup:
    """A bar as an SVG that fills its cell: segments in their order, ``most`` is the full width."""
    parts, x = [], 0.0
    for tone, value in segments.items():
        width = 100 * value / most if most > 0 else 0.0
        if value > 0:
            width = max(width, 0.4)
            parts.append(
                Markup('<rect class="{}" x="{:.2f}" y="0" width="{:.2f}" height="10"/>').format(
                    tone, x, width
                )
            )
        x += width
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(Markup("").join(parts))


def matrix(block: Matrix) -> Markup:
    """A heat map with the names beside and numbered above; the share in per cent stands in the cell."""
    size, n = 26, len(block.names)
    left = min(230, 8 + max((len(name) for name in block.names), default=0) * _LETTER * 1.05)
    parts = []
    for i, name in enumerate(block.names):
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="{:.1f}" text-anchor="end">{} · {}</text>').format(
                left - 6, 18 + i * size + size * 0.65, plain(name, 40), i + 1
            )
        )
        parts.append(
            Markup('<text class="axis" x="{:.1f}" y="12" text-anchor="middle">{}</text>').format(
                left + (i + 0.5) * size, i + 1
            )
        )
        for j, share in enumerate(block.cells[i]):
            if share is None:
                continue
            x, y = left + j * size, 18 + i * size
            level = min(10, math.ceil(10 * share))
            parts.append(
                Markup('<rect class="heat h{}" x="{:.1f}" y="{:.1f}" width="{}" height="{}"/>').format(
                    level, x, y, size - 1, size - 1
                )
            )
            if share > 0:
                parts.append(
                    Markup(
                        '<text class="cell c{}" x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>'
                    ).format(level, x + size / 2, y + size * 0.65, f"{100 * share:.0f}")
                )
    return Markup('<svg class="matrix" viewBox="0 0 {:.0f} {}" role="img" aria-label="{}">{}</svg>').format(
        left + n * size, 20 + n * size, plain(block.title), Markup("").join(parts)
    )
