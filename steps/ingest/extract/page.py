"""The story of an extraction: guard, parse, scan, look twice, choose, assemble."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from resiliparse.parse.html import HTMLTree

from steps.ingest.extract.assemble import assemble, choose
from steps.ingest.extract.automaton import tables
from steps.ingest.extract.features import CONTEXT, FEATURES, first_look, group_alike, second_look, sum_up
from steps.ingest.extract.guard import check_cost, guard_table
from steps.ingest.extract.model import Model, evaluate, load_model
from steps.ingest.extract.scan import scan
from steps.ingest.extract.statistics import text_statistics
from steps.ingest.extract.text_blocks import join_cells

TITLE_BYTES = 1000  # of a title that blocks are compared with
HIDDEN_RATIO = 2  # a page that hides more than twice the text it shows is one whose script shows it later
_guard_table = cache(guard_table)


class Page(NamedTuple):
    """Main text and title of a page; ``text`` is empty where the page has no text."""

    text: str
    title: str


class Blocks(NamedTuple):
    """A page taken apart: what the kernels of scan and features made of it."""

    text: np.ndarray  # uint8[]: the blocks' UTF-8, one after the other
    elements: np.ndarray  # int32[elements, ELEMENT_COLUMNS]
    blocks: np.ndarray  # int32[blocks, BLOCK_COLUMNS]
    statistics: np.ndarray  # float64[blocks, TEXT_COLUMNS]
    groups: np.ndarray  # int64[blocks]: blocks with the same number are built alike
    features: np.ndarray  # float32[blocks, FEATURES + CONTEXT], CONTEXT not filled
    title: str


def extract(html: str, max_depth: int) -> Page:
    """Main text of a page, one blank line between paragraphs, and its title.

    Raises TooDeep for a page that the parser could not read in bounded time and memory, among others one whose
    elements are nested deeper than ``max_depth``.
    """
    page = take_apart(html, max_depth)
    if not len(page.blocks):
        return Page("", page.title)
    scores = score(page, load_model())
    keep = choose(page.text, page.blocks, scores, load_model().threshold)
    text = assemble(page.text, page.elements, page.blocks, keep)
    return Page(text.tobytes().decode("utf-8", "replace"), page.title)


def take_apart(html: str, max_depth: int) -> Blocks:
    """Parse a page, and describe its blocks. Raises TooDeep as `extract` does."""
    check_cost(np.frombuffer(html.encode("utf-8", "replace"), dtype=np.uint8), _guard_table(), max_depth)
    tree = HTMLTree.parse(html)
    title = " ".join((tree.title or "").split())
    data = np.frombuffer(str(tree).encode("utf-8", "replace"), dtype=np.uint8)
    table = tables()
    arguments = (data, table.tags, table.attributes, table.classes, *table.names)
    text, elements, blocks, hidden = scan(*arguments, False)
    if hidden > HIDDEN_RATIO * len(text):
        text, elements, blocks, _ = scan(*arguments, True)
    blocks = blocks[: join_cells(text, blocks)]
    title_bytes = np.frombuffer(title.encode("utf-8", "replace")[:TITLE_BYTES], dtype=np.uint8)
    statistics = text_statistics(text, blocks, title_bytes, *table.words)
    sum_up(elements, blocks, statistics)
    groups, group_sums = group_alike(elements, blocks, statistics)
    features = np.zeros((len(blocks), len(FEATURES) + len(CONTEXT)), dtype=np.float32)
    first_look(elements, blocks, statistics, groups, group_sums, features)
    return Blocks(text, elements, blocks, statistics, groups, features, title)


def score(page: Blocks, model: Model) -> np.ndarray:
    """float64[blocks] in (0, 1): how much each block looks like main text. Fills the features of the second look."""
    scores = np.zeros(len(page.blocks))
    evaluate(*model.first, page.features, scores)
    add_context(page, scores)
    evaluate(*model.second, page.features, scores)
    return scores


def add_context(page: Blocks, scores: np.ndarray) -> None:
    """Fill the columns CONTEXT of the features from the scores of the first look."""
    parts = (page.elements, page.blocks, page.statistics, page.groups)
    second_look(*parts, scores, len(FEATURES), page.features)
