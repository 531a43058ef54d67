"""text-dedup's SimHash of texts from standard input; runs in the peer's own environment."""

import json
import sys
import time

from text_dedup.simhash import embed_func
from text_dedup.utils import xxh3_64_digest


def fingerprint(text: str, number: int) -> None:
    embed_func(text, number, ngram=3, permutations=[], hash_func=xxh3_64_digest)  # the command's own settings


texts = json.load(sys.stdin)["texts"]
fingerprint(texts[0], 0)
began = time.process_time()
for number, text in enumerate(texts):
    fingerprint(text, number)
print(json.dumps({"seconds": time.process_time() - began}))
