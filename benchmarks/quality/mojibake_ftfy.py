"""ftfy's repair of encodings over lines from standard input; runs in the peer's own environment."""

import json
import sys
import time

import ftfy

sets = json.load(sys.stdin)
began = time.process_time()
fixed = {name: [ftfy.fix_encoding(line) for line in lines] for name, lines in sets.items()}
print(json.dumps({"seconds": time.process_time() - began, "lines": fixed}))
