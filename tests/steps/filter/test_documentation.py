"""Every published rule has rules of ours or a reason, and docs/rules.md says so."""

from __future__ import annotations

from steps.filter.config import Config
from steps.filter.documentation import PAGE, page, published, stem


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m steps.filter.documentation"


def test_each_of_the_66_published_rules_has_rules_or_a_reason() -> None:
    numbers = [*(f"D{n:02d}" for n in range(1, 43)), *(f"P{n:02d}" for n in range(1, 18))]
    numbers += [f"S{n:02d}" for n in range(1, 8)]
    entries = published()
    assert list(entries) == numbers and len(numbers) == 66
    for number, entry in entries.items():
        assert bool(entry["rules"]) != bool(entry.get("reason")), number


def test_every_rule_that_is_named_is_there_and_has_one_version() -> None:
    stems = [stem(rule) for rule in Config().rules]
    assert len(set(stems)) == len(stems)
    assert {name for entry in published().values() for name in entry["rules"]} <= set(stems)
