"""datatrove's chain over texts from standard input, the fastest of so many rounds after one that does not count.

Runs in the peer's own environment.
"""

import json
import sys
import time

from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

# FineWeb's order and settings (huggingface/datatrove examples/fineweb.py)
CHAIN = [
    GopherRepetitionFilter(),
    GopherQualityFilter(),
    C4QualityFilter(filter_no_terminal_punct=False),
    FineWebQualityFilter(),
]


def keep(document: Document) -> bool:
    return all(step.filter(document) is True for step in CHAIN)


texts = json.load(sys.stdin)
taken = []
for _ in range(1 + int(sys.argv[1])):  # the first loads the word splitter
    began = time.process_time()
    kept = sum(keep(Document(text=text, id=str(number))) for number, text in enumerate(texts))
    taken.append(time.process_time() - began)
print(json.dumps({"seconds": min(taken[1:]), "kept": kept}))
