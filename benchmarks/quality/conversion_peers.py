"""Other converters from Traditional to Simplified over lines from standard input; in the peers' own environment."""

import json
import sys
import time

import opencc
import zhconv
from hanziconv import HanziConv

rewrite = opencc.OpenCC("t2s")
PEERS = {
    "zhconv zh-cn": lambda line: zhconv.convert(line, "zh-cn"),
    "hanziconv": HanziConv.toSimplified,
    "opencc-python-reimplemented t2s": rewrite.convert,
}
lines = json.load(sys.stdin)
answer = {}
for name, convert in PEERS.items():
    convert("說")
    began = time.process_time()
    done = [convert(line) for line in lines]
    answer[name] = {"seconds": time.process_time() - began, "lines": done}
print(json.dumps(answer))
