"""Three defective documents in a thousand block the corpus, whatever their class; without them it passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from steps.core.errors import VerdictRefused
from steps.core.policy import DEFECT_CLASSES
from steps.evaluate.detectors import read_batch
from steps.evaluate.seeding import inject
from tests.steps.gate.line import RUN, records, through_the_gate

SHARE = 0.003
DOCUMENTS = 333  # one of them is 0.3 %


def pieces(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents of the demo cut in two at a paragraph, those in which the readers find nothing."""
    found = []
    for row in rows:
        paragraphs = row["text"].split("\n")
        half = max(1, len(paragraphs) // 2)
        for number, part in enumerate((paragraphs[:half], paragraphs[half:])):
            if text := "\n".join(part).strip():
                found.append({**row, "text": text, "url": f"{row['url']}/{number}"})
    clean = read_batch([row["text"] for row in found], [row["language"] for row in found])
    return [row for row, findings in zip(found, clean, strict=True) if not findings]


def planted(rows: list[dict[str, Any]], *classes: str) -> list[dict[str, Any]]:
    """The rows with a defect of each class in 0.3 % of them, rounded up."""
    result = [dict(row) for row in rows]
    each = math.ceil(SHARE * len(rows))
    places = iter(range(7, len(rows), len(rows) // (each * len(classes) + 1)))
    for defect in classes:
        for at in (next(places) for _ in range(each)):
            near = [row["text"] for row in rows if row["language"] == rows[at]["language"]][:12]
            result[at]["text"] = inject(defect, rows[at]["text"], rows[at]["language"], f"planted {at}", near)
    return result


@pytest.fixture(scope="module")
def clean() -> list[dict[str, Any]]:
    found = pieces(records(110))
    assert len(found) >= DOCUMENTS
    return found[:DOCUMENTS]


def test_the_corpus_without_planted_defects_passes(clean: list[dict[str, Any]], tmp_path: Path) -> None:
    line = through_the_gate(tmp_path, clean, seeded=600)
    assert line.gate.facts["status"] == "pass", line.gate.facts["reasons"]
    line.publish(tmp_path, run=RUN)


@pytest.mark.parametrize("defect", DEFECT_CLASSES)
def test_three_in_a_thousand_of_one_class_block(
    clean: list[dict[str, Any]], tmp_path: Path, defect: str
) -> None:
    line = through_the_gate(tmp_path, planted(clean, defect), seeded=48)
    facts: Mapping[str, Any] = line.gate.facts
    assert (facts["status"], facts["defective"], facts["read"]) == (
        "fail",
        math.ceil(SHARE * DOCUMENTS - 1e-9),
        len(clean),
    )
    assert defect in facts["defects"]
    with pytest.raises(VerdictRefused, match="is fail"):
        line.publish(tmp_path, run=RUN)
