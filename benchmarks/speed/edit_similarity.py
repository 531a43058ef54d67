"""Edit similarity of pairs of Chinese texts on one core, beside rapidfuzz's Levenshtein distance with a cut-off.

    python -m benchmarks.speed.edit_similarity [--documents 200]

Articles of lctt_opensource and copies of which some characters were edited, compared at 0.9 after stripping. rapidfuzz
gets them as Python strings, its fastest way, and compares whole with whole; our kernel gets hashes and lets head and
tail go free, which is more work. CPU seconds, loading and compiling left out.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.peers import run_peer
from benchmarks.quality.deduplicate import cut, edit
from benchmarks.speed.corpora import articles
from steps.deduplicate.config import Config
from steps.deduplicate.verify import LONGEST, SHORTEST
from steps.text.edit_distance import edit_units, fits
from steps.text.hashing import strip_texts, words
from steps.text.segment import text_buffers
from steps.text.unicode_tables import classes

PEER = Path(__file__).parent / "edit_similarity_rapidfuzz.py"


def ours(texts: list[str], pairs: int, bound: float) -> tuple[float, list[bool]]:
    """(seconds of the fastest of 3 runs, which texts i and i + pairs are similar)."""
    offsets, units = edit_units(words(*text_buffers(pa.array(texts, pa.large_string())), classes()))
    each = [units[a:b] for a, b in itertools.pairwise(offsets)]
    fits(each[0], each[pairs], bound, SHORTEST, LONGEST)
    taken = []
    for _ in range(3):
        began = time.process_time()
        found = [bool(fits(each[i], each[i + pairs], bound, SHORTEST, LONGEST)) for i in range(pairs)]
        taken.append(time.process_time() - began)
    return min(taken), found


def stripped(texts: list[str]) -> list[str]:
    """Texts without punctuation and space, in lower case."""
    content, offsets, _ = strip_texts(*text_buffers(pa.array(texts, pa.large_string())), classes())
    return [content[a:b].tobytes().decode().lower() for a, b in itertools.pairwise(offsets)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=200, help="articles")
    options = parser.parse_args()
    bound = Config().edit_similarity
    print("| characters | edited | tokenmill, µs a pair | rapidfuzz, µs a pair | similar | by rapidfuzz |")
    print("|---|---|---|---|---|---|")
    for length, share in itertools.product((200, 500, None), (0.02, 0.05, 0.15)):
        originals = cut(articles("zh")[: options.documents], "zh", length)
        rng = random.Random(1)
        texts = [*originals, *(edit(rng, text, share, "zh") for text in originals)]
        pairs = len(originals)
        seconds, found = ours(texts, pairs, bound)
        plain = stripped(texts)
        request = {"pairs": list(zip(plain[:pairs], plain[pairs:], strict=True)), "bound": bound}
        peer = run_peer("rapidfuzz", PEER, request)
        print(
            f"| {length or 'whole'} | {share:.0%} | {seconds / pairs * 1e6:.1f} | {peer['seconds'] / pairs * 1e6:.1f} "
            f"| {sum(found)} of {pairs} | {sum(peer['found'])} |"
        )


if __name__ == "__main__":
    main()
