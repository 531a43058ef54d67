"""rapidfuzz's Levenshtein distance of pairs of texts from standard input; runs in the peer's own environment."""

import json
import sys
import time

from rapidfuzz.distance import Levenshtein

request = json.load(sys.stdin)
pairs, bound = request["pairs"], request["bound"]
found = [0] * len(pairs)
seconds = []
for _ in range(3):
    began = time.process_time()
    for number, (a, b) in enumerate(pairs):
        most = int((1 - bound) * max(len(a), len(b)))
        found[number] = Levenshtein.distance(a, b, score_cutoff=most) <= most
    seconds.append(time.process_time() - began)
print(json.dumps({"seconds": min(seconds), "found": found}))
