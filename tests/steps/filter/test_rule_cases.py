"""Every rule removes one text and keeps another (rule_cases.yaml), and no rule touches plain text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from steps.filter.config import Config, Rule
from steps.filter.names import EDITED
from steps.filter.rules import edits_of, judge_spans, outside
from steps.filter.signals import Measured, compile_words, measure
from steps.filter.step import _measure_loss

FILE = yaml.safe_load((Path(__file__).parent / "rule_cases.yaml").read_text(encoding="utf-8"))
GOOD, CASES = FILE["good"], FILE["cases"]
CONFIG = Config()
RULES = {rule.id: rule for rule in CONFIG.rules}


def text_of(entry: Any, language: str) -> str:
    if isinstance(entry, dict):
        return entry["text"] * entry["times"]
    return GOOD[language] if entry == "GOOD" else entry


def measured(text: str, language: str) -> Measured:
    found = measure(pa.array([text], pa.large_string()), [language], compile_words(CONFIG))
    everywhere = np.ones((len(CONFIG.rules), 1), dtype=bool)
    for i, rule in enumerate(CONFIG.rules):
        everywhere[i] = rule.language in ("any", language)
    lines = judge_spans(CONFIG.rules, "paragraph", found.paragraph, found.lines.parent, everywhere)
    document = found.lines.parent[found.sentences.parent]
    sentences = judge_spans(CONFIG.rules, "sentence", found.sentence, document, everywhere)
    _measure_loss(CONFIG, found, edits_of(CONFIG.rules, found, lines, sentences))
    return found


def fires(rule: Rule, text: str, language: str) -> bool:
    found = measured(text, language)
    return bool(outside(rule, getattr(found, rule.level)).any())


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(RULES)


@pytest.mark.parametrize("rule", sorted(CASES))
def test_a_rule_removes_and_keeps(rule: str) -> None:
    case = CASES[rule]
    assert RULES[rule].language in ("any", case["language"])
    assert fires(RULES[rule], text_of(case["removes"], case["language"]), case["language"])
    assert not fires(RULES[rule], text_of(case["keeps"], case["language"]), case["language"])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_rule_touches_plain_text(language: str) -> None:
    found = measured(GOOD[language], language)
    fired = [
        rule.id
        for rule in CONFIG.rules
        if rule.language in ("any", language) and outside(rule, getattr(found, rule.level)).any()
    ]
    assert fired == []


def test_there_are_rules_on_three_levels_and_their_ids_carry_a_version() -> None:
    levels = [rule.level for rule in CONFIG.rules]
    assert len(levels) >= 40 and all(
        levels.count(level) >= 10 for level in ("document", "paragraph", "sentence")
    )
    assert all(rule.signal in EDITED for rule in CONFIG.rules if rule.id[:3] in ("d60", "d61"))
