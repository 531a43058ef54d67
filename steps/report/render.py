"""Blocks → one self-contained HTML page: no script, no request, no style but its own (checked by hash)."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from steps.report import charts
from steps.report.blocks import (
    BARS_SHOWN,
    Bar,
    Bars,
    Block,
    Cell,
    Contour,
    Histogram,
    Lines,
    Measure,
    Section,
    Table,
)
from steps.report.contour import contour
from steps.report.format import excerpt, number, plain, visible

HERE = Path(__file__).parent
PLOTS = (Histogram, Lines, Contour)
_PERCENTAGE = re.compile(r"[<>]? ?[0-9.,]+%")


@dataclass(frozen=True)
class Page:
    """A page: what it is about, and its sections, each reachable from the head."""

    title: str
    sections: Sequence[Section]
    lead: str = ""
    facts: str = ""
    footer: str = ""


def render(page: Page) -> bytes:
    """The page as UTF-8 HTML, the same bytes for the same blocks."""
    return _template().render(page=page).encode("utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (HERE / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment.globals.update(shown=BARS_SHOWN, style=Markup(style), style_hash=digest)
    environment.filters.update(
        plain=plain,
        visible=visible,
        excerpt=excerpt,
        bar=charts.bar,
        histogram=charts.histogram,
        lines=charts.lines,
        contour=contour,
        matrix=charts.matrix,
        kind=lambda block: type(block).__name__,
        rows=_bar_rows,
        runs=_runs,
        right=_right,
        cell=_cell,
    )
    return environment.get_template("page.html.j2")


def _bar_rows(block: Bars) -> list[dict[str, Any]]:
    """Name and bar of each row of a Bars block."""
    most = max((sum(bar.segments.values()) for bar in block.bars), default=0.0)
    return [
        {"name": bar.label, "detail": bar.detail, "bar": _measure(bar, block.full, most)}
        for bar in block.bars
    ]


def _measure(bar: Bar, full: bool, most: float) -> Measure:
    total = sum(bar.segments.values())
    return Measure(dict(bar.segments), total if full else most, bar.text or number(total))


def _runs(blocks: Sequence[Block]) -> list[list[Block]]:
    """Neighbouring plots together, for a grid; everything else alone."""
    runs: list[list[Block]] = []
    for block in blocks:
        if isinstance(block, PLOTS) and runs and isinstance(runs[-1][0], PLOTS):
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _right(table: Table) -> list[int]:
    """Columns that hold numbers and percentages only, or nothing."""
    columns = range(max((len(row) for row in table.rows), default=0))
    cells = {i: [row[i] for row in table.rows if i < len(row) and row[i] is not None] for i in columns}
    return [i for i in columns if cells[i] and all(_is_number(cell) for cell in cells[i])]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, (int, float)) or (cell is not None and bool(_PERCENTAGE.fullmatch(cell)))


def _cell(value: Cell) -> Markup:
    if value is None:
        return Markup("–")
    return visible(value, 1000) if isinstance(value, str) else Markup(number(value))
