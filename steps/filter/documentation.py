"""Writes docs/rules.md from the default rules and the published ones: `python -m steps.filter.documentation`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from steps.filter.config import Config, Rule

PUBLISHED = Path(__file__).with_name("published_rules.yaml")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
ACTIONS = {"drop": "document", "remove_paragraph": "line", "remove_sentence": "sentence"}


def published() -> dict[str, dict[str, Any]]:
    """The published rules by number: published, rules (ids without version), and note or reason."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))
    return content


def stem(rule: Rule) -> str:
    """A rule's id without its version."""
    return re.sub(r"_v\d+$", "", rule.id)


def bound(rule: Rule) -> str:
    """What stays, in words: the bound with the signal, and where it applies at all."""
    limit = f"{rule.signal} {'>=' if rule.min is not None else '<='} {rule.min if rule.min is not None else rule.max:g}"
    ranges = [f"{name} {_range(*limits)}" for name, limits in rule.where.items()]
    return limit + (f", where {' and '.join(ranges)}" if ranges else "")


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"<= {high:g}"
    return f">= {low:g}" if high is None else f"{low:g}-{high:g}" if low != high else f"= {low:g}"


def page() -> str:
    """The text of docs/rules.md."""
    rules = {stem(rule): rule for rule in Config().rules}
    levels = [rule.level for rule in rules.values()]
    counts = ", ".join(
        f"{levels.count(level)} on {level}s" for level in ("document", "paragraph", "sentence")
    )
    lines = [
        "# Rules of the filter",
        "",
        f"The default set (configs/rules/default.yaml) has {len(rules)} rules: {counts}. A rule is a bound on a "
        "signal; documents are judged first, then lines, then sentences, then what is left. Ids carry a version that "
        "rises when a bound changes its meaning. `tokenmill rules list` shows them, `rules try` other bounds.",
        "",
        "This page is made by `python -m steps.filter.documentation`.",
        "",
        "- **Spam** is found by weighted words (configs/wordlists) of which weak ones of several kinds add up, and by "
        "handles and numbers in the spellings that evade filters. Rules on it look away where words of law, news or "
        "science stand nearby (`spam_context`). `python -m benchmarks.quality.spam` measures it on texts held out.",
        "- **URL lists**: `python -m steps.filter.urls --root ROOT FILE...` puts lists of domains and URLs (one per "
        "line, gzip allowed; UT1's folders as they are) into the store and prints their sha256; "
        "`filter.url_lists: {adult: [SHA256]}` in the recipe pins them. `filter.extra_word_lists` adds words.",
        "- **Classifiers**: a recipe of `language_models` with a source of kind supervised (prompt: text, response: "
        "label) trains one in the stage `classifier`; `inputs: {classifiers: catalog:RECIPE}` of a `data_factory` "
        "recipe gives it to filter, where rules on `classifier_<name>` apply. `python -m benchmarks.quality.toxicity` "
        "measures it on COLD.",
        "- **Wipe-out**: where rules drop more than `filter.max_source_loss` of a source, the step fails and names it.",
        "",
        "## The published rules and ours",
        "",
        "| | published (EN / ZH) | ours | why |",
        "|---|---|---|---|",
    ]
    for number, entry in published().items():
        ours = "<br>".join(f"`{rules[name].id}`: {bound(rules[name])}" for name in entry["rules"]) or "none"
        lines.append(
            f"| {number} | {entry['published']} | {ours} | {entry.get('note') or entry.get('reason') or ''} |"
        )
    lines += [
        "",
        "## All rules",
        "",
        "| rule | removes | language | stays | exempt | source |",
        "|---|---|---|---|---|---|",
    ]
    for rule in rules.values():
        exempt = ", ".join((*rule.exempt, *rule.exempt_sources))
        lines.append(
            f"| `{rule.id}` | {ACTIONS[rule.action]} | {rule.language} | {bound(rule)} | {exempt} | {rule.source} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
