"""Predicts what de-duplication needs: keys and tables grow with documents, memory with the settings.

All figures are of `python -m benchmarks.speed.deduplicate_scale` (1 to 20 million made-up keys) and of
`python -m benchmarks.rates … --compare` (real texts), rounded up.
"""

from __future__ import annotations

import math

from steps.core.needs import Need, Size
from steps.deduplicate.config import Config
from steps.deduplicate.near import MAP_SHARE, slots

KEY = 200  # bytes of a document's keys in a file
EQUAL = 50  # bytes in one run file, by URL or by text
SLOT = 46  # bytes in one table or band
PARTITION_ROW = 280  # bytes of memory: keys of a partition and what sorts them (188 to 230 measured)
TEXT_TIMES = 10  # bytes of memory per byte of text: n-gram hashes and edit units while a pair is verified
CANDIDATE = 150  # bytes of memory where the candidates of the whole corpus are grouped
ROW = 9  # bytes of memory there for every document
PACKED = 0.5  # bytes in a file per byte of text (Chinese articles: 0.45)
GROUPED = 24  # bytes of a file with their groups
# Share of documents that have a candidate: those that are like another, and, by chance, more the more there are to meet
# (22, 24 and 43 % of 1, 2 and 20 million made-up documents, of which 21 % are near duplicates).
CANDIDATES, BY_CHANCE = 0.25, 0.0125e-6  # the second for each document of the corpus
LOPSIDED = 0.05  # share of fingerprints with the most frequent value of a table's first 8 bits
PROCESS = 270e6  # bytes of the step's process without documents
WORKER = 120e6  # bytes more for each further worker
SECONDS = 12.0  # start, and some hundred small parts
TEXT_RATE = 20e6  # bytes of text whose keys a core makes in a second, and verifies
DOCUMENT_SECONDS = 12e-6  # of two million documents; TABLE_SECONDS more each time that they double
TABLE_SECONDS = 2.2e-6  # with 6 bits; with 3 or fewer 0.2e-6


def needs(config: Config, size: Size, workers: int) -> Need:
    """Upper estimates for ``size`` on ``workers`` processes."""
    everything = size.documents + size.published
    partition = min(
        everything, max(1.3 * config.partition_documents, LOPSIDED * everything)
    )  # whole block values
    average = size.bytes / max(size.documents, 1)
    candidates = min(1.0, CANDIDATES + BY_CHANCE * everything) * everything
    # a task is full when it has verify_documents, and the group that fills it may be as large
    verified = min(everything, 2 * config.verify_documents) * average * TEXT_TIMES
    work = max(PARTITION_ROW * partition, verified, TEXT_TIMES * size.shard)
    memory = PROCESS + (workers - 1) * WORKER + max(workers * work, ROW * everything + CANDIDATE * candidates)
    row = KEY + 2 * EQUAL + SLOT * slots(config)
    stored = everything * row + size.documents * KEY + PACKED * candidates * average
    mapped = min(everything, config.partition_documents / MAP_SHARE) * SLOT * slots(config)
    doublings = max(0.0, math.log2(max(everything, 1) / 2e6))
    seconds = SECONDS + size.bytes / TEXT_RATE + everything * (DOCUMENT_SECONDS + doublings * TABLE_SECONDS)
    scratch = max(
        workers * max(mapped, size.shard), GROUPED * candidates
    )  # each part's run file, one at a time
    return Need(memory, scratch, stored, seconds)
