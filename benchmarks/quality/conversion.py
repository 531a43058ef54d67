"""Traditional to Simplified there and back: characters that come back wrong, ours beside other converters.

    python -m benchmarks.quality.conversion [lines, default 4000]

Simplified lines (laws, LCTT articles) become Traditional by OpenCC (standard, Taiwan, Hong Kong, Taiwan with its
phrases) and are converted back. "ours" is what preprocess does with a document of one line, so that a line below its
thresholds stays; errors are the differing characters of the best alignment.
"""

from __future__ import annotations

import difflib
import re
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown, read_jsonl, shared
from steps.text.normalise import Settings, converter, normalise_batch, pack
from steps.text.segment import text_buffers

THERE = {"standard": "s2t", "Taiwan": "s2tw", "Hong Kong": "s2hk", "Taiwan with phrases": "s2twp"}
OURS = ("tw2s", "tw2sp", "t2s", "hk2s")
HAN = re.compile("[\u4e00-\u9fff]")


def simplified_lines(limit: int) -> list[str]:
    """Lines of 20 to 200 characters, most of them Han, evenly spread over both sets."""
    articles = (
        row["text"]
        for row in read_jsonl(shared("lctt_opensource/lctt_opensource_zh_en.jsonl.gz"))
        if row["lang"] == "zh"
    )
    found = []
    for texts in ((row["text"] for row in read_jsonl(shared("laws_zh/laws.jsonl.gz"))), articles):
        lines = [
            line
            for text in texts
            for line in map(str.strip, text.split("\n"))
            if 20 <= len(line) <= 200 and 2 * len(HAN.findall(line)) > len(line)
        ]
        found += lines[:: max(1, 2 * len(lines) // limit)][: limit // 2]
    return found


def ours(lines: Sequence[str], configuration: str) -> list[str]:
    """What preprocess makes of each line as a document; the reference went through the same but for conversion."""
    data, offsets = text_buffers(pa.array(lines, pa.string()))
    some = np.ones(len(lines), bool)
    batch = pack([data[a:b] for a, b in pairwise(offsets)], some, some)
    done, _, _ = normalise_batch(batch, Settings(simplify=configuration))
    return [done.data[a:b].tobytes().decode() for a, b in pairwise(done.offsets)]


def errors(lines: Sequence[str], reference: Sequence[str]) -> int:
    """Characters that differ."""
    total = 0
    for line, wanted in zip(lines, reference, strict=True):
        if line != wanted and len(line) == len(wanted):
            total += sum(a != b for a, b in zip(line, wanted, strict=True))
        elif line != wanted:
            blocks = difflib.SequenceMatcher(None, line, wanted, autojunk=False).get_matching_blocks()
            total += max(len(line), len(wanted)) - sum(block.size for block in blocks)
    return total


def main(limit: int = 4000) -> None:
    """Print the table."""
    reference = ours(simplified_lines(limit), "")
    characters = sum(map(len, reference))
    wrong: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    size = 0
    for configuration in THERE.values():
        lines = [converter(configuration).convert(line) for line in reference]
        size += sum(len(line.encode()) for line in lines)
        answers: dict[str, Any] = {}
        for name in OURS:
            began = time.process_time()
            answers[f"ours {name}"] = {"lines": ours(lines, name), "seconds": time.process_time() - began}
        answers |= run_peer("text", Path(__file__).parent / "conversion_peers.py", lines)
        for name, answer in answers.items():
            wrong.setdefault(name, []).append(f"{errors(answer['lines'], reference) / characters:.4%}")
            seconds[name] = seconds.get(name, 0) + answer["seconds"]
    rows = [[name, *shares, f"{size / 1e6 / seconds[name]:.1f}"] for name, shares in wrong.items()]
    print(f"{len(reference)} lines, {characters} characters; wrong characters after there and back from:\n")
    print(markdown(["converter", *THERE, "MB/s per core"], rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
