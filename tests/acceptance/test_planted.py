"""Encyclopaedia articles with 0.3 % of planted defects block, whatever their class; without them they pass."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from steps.core.errors import VerdictRefused
from steps.core.policy import DEFECT_CLASSES
from tests.conftest import DATA
from tests.steps.gate.line import RUN, through_the_gate
from tests.steps.gate.test_planted import pieces, planted

PER_LANGUAGE = 500
pytestmark = [
    pytest.mark.data,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data at {DATA}"),
]


@pytest.fixture(scope="module")
def articles() -> list[dict[str, Any]]:
    """Halves of articles in which the automatic readers find nothing."""
    found = []
    for language in ("zh", "en"):
        with gzip.open(DATA / f"wiki_{language}" / "train.jsonl.gz", "rt", encoding="utf-8") as lines:
            records = [json.loads(line) for line in itertools.islice(lines, PER_LANGUAGE)]
        rows = [
            {
                "text": record["text"],
                "language": language,
                "dump": "D1",
                "url": f"https://{language}.example/{number}",
            }
            for number, record in enumerate(records)
        ]
        clean = pieces(rows)
        assert len(clean) >= PER_LANGUAGE
        found += clean[:PER_LANGUAGE]
    return found


def test_the_articles_pass(articles: list[dict[str, Any]], tmp_path: Path) -> None:
    line = through_the_gate(tmp_path, articles, seeded=1000)
    assert line.gate.facts["status"] == "pass", line.gate.facts["reasons"]
    assert line.gate.facts["population"] == 2 * PER_LANGUAGE
    line.publish(tmp_path, run=RUN)


@pytest.mark.parametrize("defect", DEFECT_CLASSES)
def test_three_articles_in_a_thousand_with_a_defect_of_one_class_block(
    articles: list[dict[str, Any]], tmp_path: Path, defect: str
) -> None:
    line = through_the_gate(tmp_path, planted(articles, defect), seeded=48)
    facts = line.gate.facts
    assert facts["status"] == "fail"
    assert facts["defects"][defect] >= 2  # a reader may miss one (of the GBK mojibake, it does)
    with pytest.raises(VerdictRefused, match=r"is fail: [23] of 1000"):
        line.publish(tmp_path, run=RUN)
