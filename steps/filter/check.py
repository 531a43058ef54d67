"""Rule sets by name, and everything that is wrong with one at once."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from steps.core.config import parse_config
from steps.core.errors import ConfigError, UsageError
from steps.core.recipe import RECIPES, load_recipe
from steps.core.yaml_text import load_yaml
from steps.filter.config import CONFIGS, MAX_FILE_BYTES, Config, Pattern, Rule, read_words
from steps.filter.names import CLASSIFIER, LEVELS, signal_names


def find_rules(name: str) -> Config:
    """The filter config that a name means: a rule file, or a recipe with its own rules and overrides.

    ``name`` is a name in configs/rules or configs/recipes, or a path. Raises UsageError where there is none and
    ConfigError that lists every error.
    """
    places = [CONFIGS / "rules" / f"{name}.yaml", RECIPES / f"{name}.yaml", Path(name)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        known = sorted(p.stem for folder in (CONFIGS / "rules", RECIPES) for p in folder.glob("*.yaml"))
        near = difflib.get_close_matches(name, known, 3) or known
        raise UsageError(f"there is no rule file or recipe {name!r}; near: {', '.join(near)}")
    content = _content(path)
    if isinstance(content, dict) and "dag" in content:
        _, configs = load_recipe(path.read_text(encoding="utf-8"))
        if not isinstance(configs.get("filter"), Config):
            raise UsageError(f"{path}: DAG {content['dag']} has no stage filter")
        return configs["filter"]  # type: ignore[return-value]
    return check_rules(path, content)


def check_rules(path: Path, content: Any) -> Config:
    """The config of a rule file. Raises ConfigError with one line per error, all of them."""
    found = (
        list(_problems(content)) if isinstance(content, dict) else [f"not a mapping (got {content!r:.60})"]
    )
    if found:
        raise ConfigError("\n".join(f"{path}: {line}" for line in found))
    return parse_config(Config, {"rules_file": str(path)}, str(path))


def _content(path: Path) -> Any:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        return load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None


def _problems(content: Mapping[str, Any]) -> Iterator[str]:
    """Everything wrong with a rule file: what the config would report one layer after the other."""
    for name in ("rules", "patterns"):
        if not isinstance(content.get(name) or [], list):
            yield f"{name}: not a list (got {content[name]!r:.60})"
    rules, patterns = _items(content, "rules"), _items(content, "patterns")
    yield from _invalid(Rule, rules, "rule", "id")
    yield from _invalid(Pattern, patterns, "pattern", "name")
    lists = content.get("word_lists") or {}
    if not isinstance(lists, dict):
        yield f"word_lists: not a mapping of category to files (got {lists!r:.60})"
        lists = {}
    files = {f"word_lists.{category}": names for category, names in lists.items()}
    for where, names in {**files, "url_words": content.get("url_words") or []}.items():
        for name in names if isinstance(names, list) else [names]:
            try:
                read_words(str(name))
            except (ValueError, OSError) as error:
                yield f"{where}: {error}"
    ids = Counter(str(rule.get("id")) for rule in rules)
    yield from (f"rule {name} is there {count} times" for name, count in sorted(ids.items()) if count > 1)
    measures = sorted({*map(str, lists), *(str(pattern.get("name")) for pattern in patterns)})
    yield from _unknown_signals(rules, measures)


def _items(content: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = content.get(name) or []
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _invalid(
    model: type[BaseModel], items: Sequence[Mapping[str, Any]], what: str, key: str
) -> Iterator[str]:
    for number, item in enumerate(items, 1):
        try:
            model.model_validate(item)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False):
                where = ".".join(map(str, one["loc"]))
                message = one["msg"].removeprefix("Value error, ").removeprefix(f"{what} {item.get(key)}: ")
                yield f"{what} {item.get(key) or number}: {f'{where}: ' if where else ''}{message}"


def _unknown_signals(rules: Sequence[Mapping[str, Any]], measures: list[str]) -> Iterator[str]:
    for rule in rules:
        if rule.get("level") not in LEVELS:
            continue
        try:
            known = signal_names(str(rule["level"]), measures)
            probe = {"signal": rule.get("signal"), **dict.fromkeys(rule.get("where") or {})}
        except TypeError:
            continue  # said above: where is no mapping
        for name in (str(probe.pop("signal")), *map(str, probe)):
            if name not in known and not name.startswith(CLASSIFIER):
                near = difflib.get_close_matches(name, known, 3)
                yield f"rule {rule.get('id')}: no {rule['level']} signal {name!r}; near: {', '.join(near) or '-'}"


def with_rules_of(old: Config, other: Config) -> Config:
    """``old`` with the rules of ``other`` and what they stand on: patterns and word lists."""
    names = ("rules", "patterns", "word_lists", "stop_words", "url_words")
    return old.model_copy(update={n: getattr(other, n) for n in names if n in Config.model_fields})


def with_bounds(config: Config, changes: Sequence[str]) -> Config:
    """``config`` with other bounds: RULE.max=0.3, RULE.min=2 or RULE=off. Raises UsageError naming every wrong one."""
    rules: dict[str, Rule] = {rule.id: rule for rule in config.rules}
    problems = []
    for change in changes:
        name, _, value = change.partition("=")
        rule, _, side = name.partition(".")
        if rule not in rules:
            near = difflib.get_close_matches(rule, rules, 3)
            problems.append(f"--set {change}: there is no rule {rule!r}; near: {', '.join(near) or 'none'}")
        elif not side and value == "off":
            del rules[rule]
        elif side not in ("min", "max") or getattr(rules[rule], side) is None:
            bound = "min" if rules[rule].min is not None else "max"
            problems.append(f"--set {change}: give {rule}.{bound}=NUMBER, or {rule}=off")
        else:
            try:
                rules[rule] = rules[rule].model_copy(update={side: _number(value)})
            except ValueError:
                problems.append(f"--set {change}: {value!r} is not a number")
    if problems:
        raise UsageError("\n".join(problems))
    return config.model_copy(update={"rules": tuple(rules.values())})


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value
