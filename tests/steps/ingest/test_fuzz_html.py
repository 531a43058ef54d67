"""Mutated pages through decoding, guard, scan and extraction: no crash, no hang, the same text twice."""

from __future__ import annotations

import time

import numpy as np
import pytest

from steps.ingest.extract import TooDeep, extract
from steps.ingest.extract.automaton import tables
from steps.ingest.extract.columns import B_BOX, B_END, B_START, E_PARENT
from steps.ingest.extract.scan import scan
from steps.ingest.extract.text_blocks import join_cells
from steps.ingest.html import decode
from tests.fuzz import mutations

SENTENCE = "The mill stands at the river, and its wheel has turned since it was built. "
PAGE = f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Mill &amp; wheel</title>
<style>p {{ color: red }}</style><script>if (a < b) document.write("<p>no</p>")</script></head>
<body class="single post-12"><nav id="topNav"><ul><li><a href="/">Home</a><li><a href="/b">About us</a></ul></nav>
<article><h1>Mill &amp; wheel</h1><p>{SENTENCE * 3}<br>{SENTENCE}</p><!-- <p>no</p> --><ol><li>one<li>two</ol>
<table><tr><th>a<th>b<tr><td>1<td>2</table><pre>
def f():
    return "&lt;p&gt;"
</pre><p style="display:none">hidden</p><svg><path d="M0"/><title>x</title></svg>
<p><b><i>{SENTENCE}</b></i></p><math><mi>x</mi></math></article><aside class="related">
<h3>Related</h3><a href="/1">One</a></aside><footer>© 2026</footer></body></html>"""
TEXT = "磨坊在河边，水车转了很多年。" * 8
CHINESE = f"<html><head><title>磨坊</title></head><body><div class=content><p>{TEXT}</p></div></body>"
SEEDS = [
    PAGE.encode(),
    PAGE.encode("utf-16"),
    PAGE.encode("utf-16-le"),
    CHINESE.encode(),
    CHINESE.encode("gb18030"),
    CHINESE.replace("<head>", "<head><meta charset=big5>").encode("big5", "ignore"),
    "<p>こんにちは、世界。</p>".encode("iso2022_jp"),
    b"<div><span title='a>b'>x</span><textarea><p></textarea><select><option>a</select><plaintext>",
    b"<table><b>" * 20 + b"<p>x" * 20,
    b"",
]


@pytest.mark.fuzz
def test_a_mutated_page_gives_the_same_text_twice_or_is_refused() -> None:
    extract(PAGE, 2000)
    refused = total = 0
    for data in mutations(SEEDS):
        total += 1
        began = time.monotonic()
        text = decode(data).text
        assert not any("\ud800" <= char <= "\udfff" for char in text)
        try:
            page = extract(text, 2000)
            assert page == extract(text, 2000)
            page.text.encode()
        except TooDeep:
            refused += 1
        assert time.monotonic() - began < 5
    assert refused * 50 <= total  # a doubled run of <b> may be too deep; more would mean a guard gone wrong


@pytest.mark.fuzz
def test_bytes_that_no_parser_wrote_are_scanned_within_bounds() -> None:
    table = tables()
    for data in mutations(SEEDS, seed=1):
        page = np.frombuffer(data, dtype=np.uint8)
        text, elements, blocks, hidden = scan(
            page, table.tags, table.attributes, table.classes, *table.names, False
        )
        blocks = blocks[: join_cells(text, blocks)]
        bounds = blocks[:, [B_START, B_END]].ravel()
        assert (np.diff(bounds) >= 0).all() and (blocks[:, B_END] > blocks[:, B_START]).all()
        assert not len(bounds) or (bounds[0] >= 0 and bounds[-1] <= len(text) <= len(page) + 1)
        assert (elements[1:, E_PARENT] < np.arange(1, len(elements))).all()
        assert (blocks[:, B_BOX] < len(elements)).all() and 0 <= hidden <= len(page)
