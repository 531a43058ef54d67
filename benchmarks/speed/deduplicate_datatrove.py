"""datatrove's MinHash signatures of texts from standard input; runs in the peer's own environment."""

import json
import sys
import tempfile
import time

from datatrove.pipeline.dedup.minhash import MinhashDedupSignature

request = json.load(sys.stdin)
texts = request["texts"]
# 14 buckets of 8 hashes over word 5-grams: datatrove's defaults
step = MinhashDedupSignature(tempfile.mkdtemp(), language={"zh": "zho", "en": "eng"}[request["language"]])
step.get_signature(step.get_shingles(texts[0]))  # loads the word splitter
began = time.process_time()
for text in texts:
    shingles = step.get_shingles(text)
    if shingles.size:
        step.get_signature(shingles)
print(json.dumps({"seconds": time.process_time() - began}))
