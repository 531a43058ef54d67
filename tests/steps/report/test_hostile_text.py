"""Crawled text on a page is text: it neither becomes markup nor hides, reorders or breaks what stands around it."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.report.blocks import (
    Bar,
    Bars,
    Funnel,
    FunnelRow,
    Histogram,
    Line,
    Lines,
    Mark,
    Matrix,
    Measure,
    Number,
    Numbers,
    Panel,
    Point,
    Sample,
    SampleGroup,
    Samples,
    Section,
    Span,
    Table,
    Text,
)
from steps.report.distribution import Distribution
from steps.report.format import SAMPLE_CHARACTERS, excerpt, plain, visible
from steps.report.render import Page, render

HOSTILE = [
    "<script>alert(1)</script>",
    "</title></style></svg></div><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' style='position:fixed",
    "<!-- --><![CDATA[ ]]>",
    "javascript:alert(1)",
    "{{ 7*7 }} {% raw %}",
    "&lt;script&gt;&#x3c;",
    "\u202egnp.exe\u202c and \u2066isolated",
    "\u0627\u0644\u0633\u0644\u0627\u0645 \u05e9\u05dc\u05d5\u05dd",
    "nul \x00 escape \x1b[31m bell \x07 c1 \x9b",
    "\ufeffbom \u200bzero width \u2028line",
    "x" * 5000,
    "Z\u0351\u036b\u0343\u036a\u0302" * 300,
    "\ud800 lone surrogate",
    "\U000e0041\U000e0042 tags",
]


class Parsed(html.parser.HTMLParser):
    """Tags, attribute names and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def everywhere(text: str) -> bytes:
    """A page with ``text`` in every place that a block has."""
    values = Distribution.of([1.0, 2.0, 3.0])
    sample = Sample(text, text, [Span(0, 3, text)])
    bar = Bar(text, {"kept": 1.0}, text, text)
    measure = Measure({"kept": 1.0}, 2.0, text, text)
    panel = Panel(text, {"kept": values}, [Mark(1.5, text, "below")])
    table = Table(text, [text, text], [[text, 1], [None, 2.5]], text)
    sections = [
        Section(text, [Text(text, text), Section(text, [], True, text)], note=text),
        Section("b", [Numbers([Number(text, text, text)], text), Bars(text, [bar], note=text)]),
        Section("c", [Histogram(text, [panel], text, note=text)]),
        Section(
            "l", [Lines(text, [Line(text, [Point(1, 2, 1, 3), Point(2, 3)])], [Mark(2, text)], text, text)]
        ),
        Section("d", [table, Matrix(text, [text], [[0.5]], text)]),
        Section("e", [Samples(text, [SampleGroup(text, [sample], note=text)], note=text)], folded=True),
        Section("f", [Funnel(text, [FunnelRow(text, measure, measure)], text)]),
    ]
    return render(Page(text, sections, text, text, text))


SHAPE = Parsed(everywhere("harmless").decode())


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_adds_no_markup_anywhere(text: str) -> None:
    page = Parsed(everywhere(text).decode("utf-8"))
    shown = [tag for tag in page.tags if tag != "i"]  # <i class="u"> names a character
    assert [tag for tag in shown if tag != "span"] == [tag for tag in SHAPE.tags if tag != "span"]
    names = {name for name, _ in page.attributes}
    assert names <= {name for name, _ in SHAPE.attributes} | {"class"}
    assert not any(name.startswith("on") or name in ("style", "src") for name in names)
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")


@given(st.text(alphabet=st.characters(), max_size=60))
def test_no_text_can_add_a_tag_or_keep_an_unseen_character(text: str) -> None:
    page = Parsed(str(visible(text)))
    assert set(page.tags) <= {"i"}
    unseen = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    assert not re.search(unseen, str(visible(text)))
    assert not re.search(unseen, plain(text))


def test_characters_that_hide_or_reorder_are_named() -> None:
    assert str(visible("a\u202eb\x00")) == 'a<i class="u">U+202E</i>b<i class="u">U+0000</i>'
    assert plain("a\u202eb") == "a[U+202E]b"


def test_ordinary_chinese_english_and_right_to_left_text_stays_as_it_is() -> None:
    for text in ("正文：保存并发布 2 次。", "naïve café — 3 < 4", "שלום, العالم", "👩\u200d👩\u200d👧 emoji"):
        assert Parsed(str(visible(text))).text == [text]


def test_samples_are_bounded_and_say_how_much_is_missing() -> None:
    cut = str(excerpt(Sample("x" * 100_000)))
    assert len(cut) < SAMPLE_CHARACTERS + 200 and "99,400 more characters" in cut


def test_a_span_is_highlighted_where_it_is_and_shown_even_far_into_the_text() -> None:
    text = "a" * 5000 + "<b>bad</b>" + "c" * 5000
    shown = str(excerpt(Sample(text, spans=[Span(5000, 5010)])))
    assert "<mark>&lt;b&gt;bad&lt;/b&gt;</mark>ccc" in shown


def test_spans_that_overlap_or_lie_outside_do_no_harm() -> None:
    shown = excerpt(Sample("abcdef", spans=[Span(4, 99), Span(1, 3), Span(2, 5), Span(50, 60)]))
    assert Parsed(str(shown)).text and "".join(Parsed(str(shown)).text) == "abcdef"


def test_the_page_allows_its_own_style_sheet_and_nothing_else() -> None:
    page = everywhere("text").decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert policy and style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert (
        policy[1] == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert " style=" not in page and "url(" not in style[1] and "@import" not in style[1]
