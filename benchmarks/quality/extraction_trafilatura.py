"""Runs in the peer's environment: trafilatura's texts of the pages on standard input, and its time."""

import json
import sys
import time

import trafilatura

pages = json.load(sys.stdin)["pages"]
trafilatura.extract(pages[0])  # what it loads and compiles on first use is not counted
texts = []
began = time.process_time()
for page in pages:
    texts.append(trafilatura.extract(page) or "")
seconds = time.process_time() - began
print(json.dumps({"version": trafilatura.__version__, "texts": texts, "seconds": seconds}))
