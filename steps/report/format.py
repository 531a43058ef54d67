"""Numbers and hostile text as people should see them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from markupsafe import Markup, escape

from steps.report.blocks import Sample, Span

SAMPLE_CHARACTERS = 600
CONTEXT = 80  # characters shown before the first highlighted span
LABEL_CHARACTERS = 200
# Controls (C0 but tab and line feed, C1), bidi marks, embeddings, overrides and isolates (UAX #9), zero-width
# space, BOM, line and paragraph separators, deprecated format and tag characters, lone surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: str, most: int = LABEL_CHARACTERS) -> Markup:
    """Escaped text on which nothing hides: what is unseen or reorders text is shown by its number."""
    cut = text if len(text) <= most else text[:most] + "…"
    return Markup(_UNSEEN.sub(_named, str(escape(cut))))


def plain(text: str, most: int = LABEL_CHARACTERS) -> str:
    """`visible` without markup, for attributes and SVG; it still has to be escaped."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", cut)


def _named(match: re.Match[str]) -> str:
    return f'<i class="u">U+{ord(match[0]):04X}</i>'


def excerpt(sample: Sample) -> Markup:
    """At most SAMPLE_CHARACTERS of a sample, from a little before its first span, with the spans highlighted."""
    text, spans = sample.text, _in_order(sample.spans)
    begin = 0
    if spans and spans[0].start > CONTEXT:
        begin = spans[0].start - CONTEXT
    end = min(len(text), begin + SAMPLE_CHARACTERS)
    parts = [Markup('<span class="cut">…</span>')] if begin else []
    at = begin
    for span in spans:
        start, stop = max(span.start, at), min(span.end, end)
        if start >= stop:
            continue
        title = Markup(' title="{}"').format(plain(span.label)) if span.label else Markup("")
        parts += [
            visible(text[at:start], SAMPLE_CHARACTERS),
            Markup("<mark{}>{}</mark>").format(title, visible(text[start:stop], SAMPLE_CHARACTERS)),
        ]
        at = stop
    parts.append(visible(text[at:end], SAMPLE_CHARACTERS))
    if end < len(text):
        parts.append(Markup('<span class="cut">… {} more characters</span>').format(f"{len(text) - end:,}"))
    return Markup("").join(parts)


def _in_order(spans: Sequence[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start, span.end))


def number(value: float) -> str:
    """A number in as few characters as tell it: 1,234 or 0.0123 or 3.1e-05."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """A share in per cent, with as many decimals as a small one needs; a dash of nothing."""
    if not whole:
        return "–"
    value = 100 * part / whole
    if value == 0 or value == 100:
        return f"{value:.0f}%"
    if value < 0.01:
        return "< 0.01%"
    if value > 99.99:
        return "> 99.99%"
    return f"{value:.2f}%" if value < 1 or value > 99 else f"{value:.1f}%"
