"""Predicts what de-duplication needs: keys and tables grow with documents, memory with the settings.

All figures are of `python -m benchmarks.speed.deduplicate_scale` (1 to 20 million made-up keys) and of
`python -m benchmarks.rates … --compare` (real texts), rounded up.
"""

from __future__ import annotations

import math

from steps.core.needs import Need, Size
from steps.deduplicate.candidates import choose_blocks
from steps.deduplicate.config import Config
from steps.deduplicate.near import MAP_SHARE
from steps.text.minhash import BANDS

KEY = 200  # bytes of a document's keys in a file
EQUAL = 50  # bytes in one run file, by URL or by text
SLOT = 46  # bytes in one table or band
PARTITION_ROW = 280  # bytes of memory: keys of a partition and what sorts them (188 to 230 measured)
PLACE = 800  # bytes of memory: where a partition lies in a run file, until all of an exchange are indexed
TEXT_TIMES = 10  # bytes of memory per byte of text: n-gram hashes and edit units while a pair is verified
PACKED = 0.5  # bytes in a file per byte of text (Chinese articles: 0.45)
GROUPED = 250  # bytes of scratch space where a document that has a candidate is grouped (154 to 207 measured)
# Share of documents that have a candidate: those that are like another, and, by chance, more the more there are to meet
# (22, 24 and 43 % of 1, 2 and 20 million made-up documents, of which 21 % are near duplicates).
CANDIDATES, BY_CHANCE = 0.25, 0.0125e-6  # the second for each document of the corpus
LOPSIDED = 0.05  # share of fingerprints with the most frequent value of the bits that a table begins with
PROCESS = 270e6  # bytes of the step's process without documents
WORKER = 120e6  # bytes more for each further worker
SECONDS = 12.0  # start, and some hundred small parts
TEXT_RATE = 20e6  # bytes of text whose keys a core makes in a second, and verifies
DOCUMENT_SECONDS = 12e-6  # of two million documents; TABLE_SECONDS more each time that they double
TABLE_SECONDS = 2.2e-6  # with 6 bits; with 3 or fewer 0.2e-6


def needs(config: Config, size: Size, workers: int) -> Need:
    """Upper estimates for ``size`` on ``workers`` processes."""
    everything = size.documents + size.published
    partitions = max(1, math.ceil(everything / config.partition_documents))
    one, two = config.hamming + 1, (config.hamming + 1) * (config.hamming + 2) // 2
    bands = BANDS if config.minhash else 0
    by_two = choose_blocks(everything, config.hamming) - config.hamming > 1 and LOPSIDED * partitions > 1
    written = bands + (two if by_two else one)  # rows of a document: of both kinds, what most have
    ways = written + (one if by_two else 0)
    # whole values of a block, or of two
    frequent = LOPSIDED ** (2 if by_two else 1) * everything
    partition = min(everything, max(1.3 * config.partition_documents, frequent))
    average = size.bytes / max(size.documents, 1)
    candidates = min(1.0, CANDIDATES + BY_CHANCE * everything) * everything
    # a task is full when it has verify_documents, and the group that fills it may be as large
    verified = min(everything, 2 * config.verify_documents) * average * TEXT_TIMES
    work = max(PARTITION_ROW * partition, verified, TEXT_TIMES * size.shard)
    places = MAP_SHARE * partitions * ways * partitions  # of all run files
    memory = PROCESS + (workers - 1) * WORKER + workers * work + PLACE * places
    row = KEY + 2 * EQUAL + SLOT * written
    stored = everything * row + size.documents * KEY + PACKED * candidates * average
    mapped = min(everything, config.partition_documents / MAP_SHARE) * SLOT * written
    doublings = max(0.0, math.log2(max(everything, 1) / 2e6))
    seconds = SECONDS + size.bytes / TEXT_RATE + everything * (DOCUMENT_SECONDS + doublings * TABLE_SECONDS)
    # each worker's run file, or what the one task that groups has on disk
    scratch = max(workers * max(mapped, size.shard), GROUPED * candidates)
    return Need(memory, scratch, stored, seconds)
