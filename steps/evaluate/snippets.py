"""The detector of texts glued from snippets.

Sentences in a row that have no word in common were tried too (lexical cohesion, Halliday and Hasan 1976): they find
most glued texts, but a well-written short essay repeats no word either (one in five of the demo's texts).
"""

from __future__ import annotations

import re

from steps.evaluate.phrases import NOTHING, Score

_JOINT = re.compile(r"(?<=[^\s.。！？!?…])\s?(?:\[?(?:\.\.\.|(?<!…)…(?!…))\]?)(?=\s*[^\s.…)）\]”\"]|\s*$)")
# between whole sentences, as lists of search results have it
_SEPARATOR = re.compile(r"[。！？.!?]\s*(?:\||……|»|·| [-–—] )\s*(?=\w)")
_JOINTS = 5


def incoherent(text: str, language: str) -> Score:
    """Snippets of unrelated documents, cut off and joined by ellipses, or whole sentences set off by bars."""
    each = 150 if language == "zh" else 320
    for joint in (_JOINT, _SEPARATOR):
        found = [m.start() for m in joint.finditer(text)]
        if len(found) >= _JOINTS and len(found) * each >= len(text):
            return (len(found) * each / len(text), found[0], found[-1])
    return NOTHING
