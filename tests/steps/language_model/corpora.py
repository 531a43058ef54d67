"""Small texts from which a scorer can be trained in a second."""

from __future__ import annotations

import random
from typing import Any

SENTENCE = (
    "the quick brown fox jumps over a lazy dog while old ships sail to distant islands and people of every "
    "town read long letters about weather markets music history rivers mountains gardens and the price of bread"
)
EN = SENTENCE.split()
ZH = list("山河日月风雨春夏秋冬人民国家学校老师学生读书写字天地水火木金土东南西北大小多少上下左右来去")


def english(seed: int, sentences: int) -> str:
    pick = random.Random(seed)
    lines = [" ".join(pick.choices(EN, k=pick.randint(5, 14))).capitalize() + "." for _ in range(sentences)]
    return "\n".join(lines)


def chinese(seed: int, sentences: int) -> str:
    pick = random.Random(seed)
    return "".join("".join(pick.choices(ZH, k=pick.randint(6, 18))) + "。" for _ in range(sentences))


def records(count: int) -> list[list[dict[str, Any]]]:
    """Three shards of zh and en documents, `count` of each language in each."""
    return [
        [
            {"text": make(1000 * shard + n, 6), "language": language, "source": "wiki"}
            for n in range(count)
            for make, language in ((english, "en"), (chinese, "zh"))
        ]
        for shard in range(3)
    ]
