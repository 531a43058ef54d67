"""The second set of seeded defects: whole, blind to the detectors' lists, reproducible."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from steps.core.policy import DEFECT_CLASSES
from steps.evaluate import fragments, independent
from steps.evaluate.independent import inject, passages

WRITTEN = sorted(set(DEFECT_CLASSES) - set(independent._MADE))
TEXTS = Path(__file__).parents[3] / "demo" / "texts"


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("defect", WRITTEN)
def test_every_written_class_has_26_different_passages_in_two_halves(defect: str, language: str) -> None:
    everything = passages(defect, language, "all")
    halves = passages(defect, language, "tuning"), passages(defect, language, "held-out")
    assert len(everything) == len(set(everything)) == 26
    assert sorted(halves[0] + halves[1]) == sorted(everything) and not set(halves[0]) & set(halves[1])


def test_no_passage_is_a_seed_of_the_detectors_author() -> None:
    """No 13 characters in a row, in Chinese (12 is "欢迎新老客户来电洽谈"), or 30, elsewhere, are in both sets."""
    banks: list[Mapping[str, tuple[str, ...]]] = [
        fragments.ADVERTISING,
        fragments.TOXIC,
        fragments.PRIVACY,
        fragments.PROMOTION,
        fragments.INSULT,
    ]
    for language, size in (("zh", 13), ("en", 30)):
        own = "\n".join(text for bank in banks for text in bank[language])
        for defect in WRITTEN:
            for passage in passages(defect, language, "all"):
                for at in range(len(passage) - size + 1):
                    assert passage[at : at + size] not in own, passage


@pytest.mark.parametrize("defect", DEFECT_CLASSES)
def test_the_same_seed_gives_the_same_defect_and_another_seed_another(defect: str) -> None:
    for language in ("zh", "en"):
        lines = (TEXTS / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")[:12]
        texts = [json.loads(line)["text"] for line in lines]
        made = [inject(defect, texts[0], language, seed, texts[1:]) for seed in ("a", *"abcdefgh")]
        assert made[0] == made[1] != texts[0]
        assert len(set(made)) > 1
        made[0].encode()  # no lone surrogate


def test_placeholders_are_filled_and_other_braces_stay() -> None:
    draw = independent.Draw("x")
    assert re.fullmatch(
        r"\+86 1\d{10} \{\{csrf\}\} \{unknown\}", independent.filled("+86 {mobile} {{csrf}} {unknown}", draw)
    )
    for language in ("zh", "en"):
        for passage in passages("privacy", language, "all"):
            assert not re.search(r"\{[a-z]+\d*\}", independent.filled(passage, draw)), passage
