"""The main text of an HTML page, with its paragraphs, headings, lists, tables and code, and without what surrounds it.

resiliparse parses the page; one compiled pass over what it writes makes *blocks*, the texts between boundaries of
block-level elements; boosted trees look at each block twice, first at the block, its place in the tree and its
neighbours, then also at the first scores around it; what reaches the threshold is the page's text.
Trained by ``python -m benchmarks.quality.extraction_training`` on pages with human ground truth, and measured by
``python -m benchmarks.quality.extraction``, beside resiliparse's and trafilatura's extractors.
"""

from steps.ingest.extract.page import Page, extract
from steps.ingest.html import TooDeep

__all__ = ["Page", "TooDeep", "extract"]
