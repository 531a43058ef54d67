"""Draws the losses of `benchmarks.quality.three_stages` as one SVG that needs no script and no font file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP = 380, 200, 48, 30, 52  # of a panel and around it, in user units
COLOURS = ("#0b6e4f", "#1f5fa8", "#8a3ffc", "#c2410c")


@dataclass(frozen=True)
class Curve:
    """Losses by tokens."""

    name: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    """Curves over one axis; ``borders`` are the tokens where a stage ends."""

    title: str
    curves: Sequence[Curve]
    borders: Sequence[int]


def draw(panels: Sequence[Panel]) -> str:
    """The panels in two columns, with one legend."""
    rows = -(-len(panels) // 2)
    width, height = 2 * (LEFT + WIDTH) + GAP, rows * (TOP + HEIGHT + GAP) + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        x = LEFT + (number % 2) * (LEFT + WIDTH + GAP // 2)
        parts += _panel(panel, x, TOP + (number // 2) * (TOP + HEIGHT + GAP))
    for number, curve in enumerate(panels[0].curves):
        x, y, colour = LEFT + number * 110, height - 12, COLOURS[number]
        parts.append(
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 20}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{x + 26}" y="{y}">{escape(curve.name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, x: int, y: int) -> list[str]:
    points = [point for curve in panel.curves for point in curve.points]
    most = max(tokens for tokens, _ in points)
    ticks = _ticks(min(loss for _, loss in points), max(loss for _, loss in points))
    low, high = ticks[0], ticks[-1]

    def place(tokens: float, loss: float) -> tuple[float, float]:
        return x + WIDTH * tokens / most, y + HEIGHT * (high - loss) / (high - low)

    parts = [f'<text x="{x}" y="{y - 10}" font-weight="bold">{escape(panel.title)}</text>']
    for tick in ticks:
        _, at = place(0, tick)
        parts.append(f'<line x1="{x}" y1="{at:.1f}" x2="{x + WIDTH}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for border in panel.borders:
        at, _ = place(border, low)
        parts.append(
            f'<line x1="{at:.1f}" y1="{y}" x2="{at:.1f}" y2="{y + HEIGHT}" stroke="#999" '
            'stroke-dasharray="3 3"/>'
        )
    for curve, colour in zip(panel.curves, COLOURS, strict=False):
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(*point) for point in curve.points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{colour}"/>'
            for a, b in (place(*point) for point in curve.points)
        ]
    parts.append(f'<text x="{x}" y="{y + HEIGHT + 18}">0</text>')
    parts.append(
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 18}" text-anchor="end">{most / 1e6:.2f} M tokens</text>'
    )
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Round values around the range: steps of 1, 2 or 5 times a power of ten, about five of them."""
    rough = max(high - low, 1e-6) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 6) for i in range(first, max(last, first + 1) + 1)]
