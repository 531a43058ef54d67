"""What a report page is made of: a step fills these in, `steps.report.page` draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from steps.report.distribution import Distribution

BARS_SHOWN = 15  # more of them are no picture any more

Tone = Literal["plain", "kept", "removed", "quarantined", "other"]
"""What a colour stands for, the same on every page."""
Cell = str | int | float | None


@dataclass(frozen=True)
class Mark:
    """A threshold in a plot. ``removes``: which side of it is removed, and tinted."""

    at: float
    label: str
    removes: Literal["", "below", "above"] = ""


@dataclass(frozen=True)
class Panel:
    """One row of a plot, say one language: distributions by tone, stacked, and the thresholds that hold for it."""

    name: str
    values: Mapping[Tone, Distribution]
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Histogram:
    """Distributions over one shared axis, a panel below the other. ``log``: logarithmic axis, for positive values."""

    title: str
    panels: Sequence[Panel]
    unit: str = ""
    log: bool = False
    note: str = ""


@dataclass(frozen=True)
class Point:
    """A point of a line, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Line:
    """A named line through points, in the order of x."""

    name: str
    points: Sequence[Point]
    tone: Tone = "plain"


@dataclass(frozen=True)
class Lines:
    """Lines over one pair of axes, each named at its end; ``marks`` are level lines, ``moments`` upright ones at an x.

    ``unit``: of the x axis.
    """

    title: str
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    unit: str = ""
    note: str = ""
    moments: Sequence[Mark] = ()


@dataclass(frozen=True)
class Contour:
    """Level lines through measured ``points`` (x, y, value). ``log``: logarithmic y axis, for positive values."""

    title: str
    points: Sequence[tuple[float, float, float]]
    unit: str = ""
    unit_y: str = ""
    log: bool = False
    note: str = ""


@dataclass(frozen=True)
class Bar:
    """A labelled bar of segments; ``text`` stands behind it (default: the sum), ``detail`` below the label."""

    label: str
    segments: Mapping[Tone, float]
    text: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Bars:
    """Bars over one shared axis from 0, the rows beyond `BARS_SHOWN` folded.

    ``full``: every bar fills the width, so that shares compare.
    """

    title: str
    bars: Sequence[Bar]
    full: bool = False
    note: str = ""


@dataclass(frozen=True)
class Measure:
    """A bar with the figure behind it; ``most`` is the full width."""

    segments: Mapping[Tone, float]
    most: float
    value: str
    detail: str = ""


@dataclass(frozen=True)
class FunnelRow:
    """Documents and bytes of one group. ``level``: whole, "" or child, the latter indented."""

    name: str
    documents: Measure
    bytes: Measure
    level: str = ""


@dataclass(frozen=True)
class Funnel:
    """What became of documents and bytes, a row per group; `steps.report.page` makes it from the counts."""

    title: str
    rows: Sequence[FunnelRow]
    note: str = ""
    shown: int = 60  # rows, the others are folded


@dataclass(frozen=True)
class Table:
    """A table. Integers and floats are written for people and to the right; text to the left; None is a dash."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Matrix:
    """A square of shares from 0 to 1, rows by columns, as a heat map; None is left blank."""

    title: str
    names: Sequence[str]
    cells: Sequence[Sequence[float | None]]
    note: str = ""


@dataclass(frozen=True)
class Number:
    """One figure in large type."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Numbers:
    """Figures to be read at once, side by side."""

    items: Sequence[Number]
    title: str = ""


@dataclass(frozen=True)
class Span:
    """A piece of a sample's text to highlight: characters ``start`` to ``end`` and why."""

    start: int
    end: int
    label: str = ""


@dataclass(frozen=True)
class Sample:
    """A crawled text, shown escaped and cut to `SAMPLE_CHARACTERS`; ``caption`` says where it comes from."""

    text: str
    caption: str = ""
    spans: Sequence[Span] = ()


@dataclass(frozen=True)
class SampleGroup:
    """Samples under one heading, say a reason."""

    name: str
    samples: Sequence[Sample]
    tone: Tone = "plain"
    note: str = ""


@dataclass(frozen=True)
class Samples:
    """Groups of samples; ``side_by_side`` puts the groups in columns, to compare."""

    title: str
    groups: Sequence[SampleGroup]
    side_by_side: bool = False
    note: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph for people."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Section:
    """Blocks under one heading, reachable from the head of the page. ``folded``: closed until clicked."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
    folded: bool = False
    note: str = ""


Block = Histogram | Lines | Contour | Bars | Funnel | Table | Matrix | Numbers | Samples | Text | Section
