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
from steps.filter.rules import add_above, edits_of, judge_spans, outside
from steps.filter.signals import Measured, compile_words, measure
from steps.filter.step import _measure_loss
from steps.filter.urls import listed, read_list, word_score

FILE = yaml.safe_load((Path(__file__).parent / "rule_cases.yaml").read_text(encoding="utf-8"))
GOOD, CASES = FILE["good"], FILE["cases"]
CONFIG = Config()
RULES = {rule.id: rule for rule in CONFIG.rules}


def entries_of(case: dict[str, Any], side: str) -> list[dict[str, Any]]:
    """The texts of one side of a case: text, times, url, and values of signals that do not come from the text."""
    found = case[side] if isinstance(case[side], list) else [case[side]]
    entries = [entry if isinstance(entry, dict) else {"text": entry} for entry in found]
    texts = [GOOD[case["language"]] if e["text"] == "GOOD" else e["text"] for e in entries]
    return [{**e, "text": text * e.get("times", 1)} for e, text in zip(entries, texts, strict=True)]


def measured(text: str, language: str, url: str = "", signals: dict[str, float] | None = None) -> Measured:
    found = measure(pa.array([text], pa.large_string()), [language], compile_words(CONFIG))
    found.document["url_listed"] = listed([url], read_list(b"casino.example", "a list"))
    found.document["url_words"] = word_score([url], CONFIG.url_words)
    for name, value in (signals or {}).items():
        for level in (found.document, found.paragraph, found.sentence):
            level[name] = np.full(len(level["characters"]), value)
    add_above(CONFIG.rules, found)
    everywhere = np.ones((len(CONFIG.rules), 1), dtype=bool)
    for i, rule in enumerate(CONFIG.rules):
        everywhere[i] = rule.language in ("any", language)
    lines = judge_spans(CONFIG.rules, "paragraph", found.paragraph, found.lines.parent, everywhere)
    document = found.lines.parent[found.sentences.parent]
    sentences = judge_spans(CONFIG.rules, "sentence", found.sentence, document, everywhere)
    _measure_loss(CONFIG, found, edits_of(CONFIG.rules, found, lines, sentences))
    return found


def fires(rule: Rule, language: str, entry: dict[str, Any]) -> bool:
    found = measured(entry["text"], language, entry.get("url", ""), entry.get("signals"))
    return bool(outside(rule, getattr(found, rule.level)).any())


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == sorted(RULES)


@pytest.mark.parametrize("rule", sorted(CASES))
def test_a_rule_removes_and_keeps(rule: str) -> None:
    case = CASES[rule]
    assert RULES[rule].language in ("any", case["language"])
    for entry in entries_of(case, "removes"):
        assert fires(RULES[rule], case["language"], entry), entry["text"][-200:]
    for entry in entries_of(case, "keeps"):
        assert not fires(RULES[rule], case["language"], entry), entry["text"][-200:]


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
