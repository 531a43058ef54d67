"""Settings of filtering. Rules, patterns and words themselves are part of them, and so of the identity."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from steps.core.config import FILLED_IN, CorpusConfig
from steps.core.yaml_text import load_yaml
from steps.filter.names import CLASSIFIER, LEVELS, signal_names

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MAX_FILE_BYTES = 64 << 20
CLASSIFIER_NAME = re.compile(CLASSIFIER + r"[a-z][a-z0-9_]*")


class Data(BaseModel):
    """Something read from a rule file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Data):
    """A bound on a signal: what lies outside of it is removed."""

    id: str = Field(pattern=r"^[dps]\d{2}_[a-z0-9_]+_v\d+$", description="Level, number, name and version.")
    level: Literal["document", "paragraph", "sentence"]
    language: Literal["any", "zh", "en"] = "any"
    signal: str
    min: float | None = None
    max: float | None = None
    where: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict,
        description="Other signals of the level and the range in which the rule applies at all.",
    )
    action: Literal["drop", "remove_paragraph", "remove_sentence"]
    exempt: tuple[str, ...] = Field((), description="Kinds of source that the rule leaves alone.")
    exempt_sources: tuple[str, ...] = Field((), description="Sources that the rule leaves alone.")
    source: str = Field(min_length=3, description="Where the bound comes from.")

    @model_validator(mode="after")
    def _one_bound(self) -> Rule:
        if (self.min is None) == (self.max is None):
            raise ValueError(f"rule {self.id}: give min or max, exactly one of them")
        allowed = {"document": "drop", "paragraph": "drop remove_paragraph"}.get(
            self.level, "drop remove_paragraph remove_sentence"
        )
        if self.action not in allowed.split():
            raise ValueError(f"rule {self.id}: a {self.level} rule can only {allowed.replace(' ', ' or ')}")
        if self.id[0] != self.level[0]:
            raise ValueError(f"rule {self.id}: the id of a {self.level} rule starts with {self.level[0]}")
        return self


class Pattern(Data):
    """A regular expression, tried only in lines that hold one of the anchors (any case of ASCII letters)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    anchors: tuple[str, ...] = Field(
        min_length=1, description="Literals, one of which every match's line holds."
    )
    expressions: tuple[str, ...] = Field(
        min_length=1, description="Python `re` syntax, case-insensitive, matched within one line."
    )

    @model_validator(mode="after")
    def _compiles(self) -> Pattern:
        try:
            self.compiled()
        except re.error as error:
            raise ValueError(f"pattern {self.name}: {error}") from None
        if not all(anchor.strip() for anchor in self.anchors):
            raise ValueError(f"pattern {self.name}: an anchor is empty")
        return self

    def compiled(self) -> re.Pattern[str]:
        """Any of the expressions."""
        return re.compile("|".join(f"(?:{e})" for e in self.expressions), re.IGNORECASE)


class WordList(Data):
    """Words of one category with weights; more than one list may have the same category."""

    category: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    words: dict[str, float]


class Config(CorpusConfig):
    """Which rules apply, with which bounds, to which sources."""

    rules_file: str = Field(
        "default",
        description="Rule file: a name in configs/rules or a path. Its content becomes part of the config.",
    )
    rule_overrides: dict[str, float | Literal["off"]] = Field(
        default_factory=dict, description="Another bound for a rule, by rule id, or off."
    )
    extra_word_lists: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Own word files by category (advertising, gambling …): one word per line, "
        "optional tab and weight.",
    )
    source_kinds: dict[str, str] = Field(
        default_factory=dict,
        description="Kind of a source (web, reference, code, math, law), by name, instead of the recipe's.",
    )
    max_source_loss: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of one source's documents that rules may drop before the step fails as a wipe-out "
        "(own choice; a peer's rules once removed 98-100 % of whole sources).",
    )
    wipe_out_min_documents: int = Field(
        20, ge=1, description="Documents that a source must have for the wipe-out alarm (own choice)."
    )
    wipe_out_allowed: tuple[str, ...] = Field((), description="Sources that rules may remove wholly.")
    max_document_bytes: int = Field(
        64 << 20,
        ge=1024,
        description="UTF-8 bytes above which a document is quarantined instead of measured (bounds memory).",
    )
    url_lists: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Lists of domains and URLs (UT1 or your own) whose documents d25_listed_url drops: sha256 of files "
        "that `python -m steps.filter.urls FILE` put into the store, by category (adult, gambling …).",
    )
    url_words: dict[str, float] = Field(
        default_factory=dict, description="Filled in from rules_file.", json_schema_extra={FILLED_IN: True}
    )
    rules: tuple[Rule, ...] = Field((), description="The rules, filled in from rules_file.")
    patterns: tuple[Pattern, ...] = Field(
        (), description="Filled in from rules_file.", json_schema_extra={FILLED_IN: True}
    )
    word_lists: tuple[WordList, ...] = Field(
        (), description="Filled in from rules_file and extra_word_lists.", json_schema_extra={FILLED_IN: True}
    )
    stop_words: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Filled in from rules_file.", json_schema_extra={FILLED_IN: True}
    )

    @model_validator(mode="before")
    @classmethod
    def _resolve(cls, values: Any) -> Any:
        """Puts the content of files in the place of their names, once."""
        if not isinstance(values, dict):
            return values
        values = dict(values)
        if "rules" not in values:
            values |= read_rules(str(values.get("rules_file", "default")))
        values["rules_file"] = "resolved"
        extra = values.pop("extra_word_lists", None) or {}
        if not isinstance(extra, dict):
            raise ValueError("extra_word_lists is not a mapping of category to files")
        for category, files in extra.items():
            named = isinstance(files, (list, tuple)) and all(isinstance(file, str) for file in files)
            if not named or not isinstance(category, str):
                raise ValueError(
                    f"extra_word_lists: {category!r:.80} has no list of files (got {files!r:.80})"
                )
        lists = [{"category": c, "words": read_words(f)} for c, files in sorted(extra.items()) for f in files]
        values["word_lists"] = [*(values.get("word_lists") or ()), *lists]
        overrides = values.get("rule_overrides") or {}
        if isinstance(overrides, dict) and overrides:
            ids = [r.id if isinstance(r, Rule) else str(r.get("id")) for r in values["rules"]]
            for unknown in sorted(set(map(str, overrides)) - set(ids)):
                near = difflib.get_close_matches(unknown, ids, 3)
                raise ValueError(
                    f"rule_overrides: there is no rule {unknown!r}; near: {', '.join(near) or ids}"
                )
            values["rules"] = [
                rule for rule in (_override(r, overrides) for r in values["rules"]) if rule is not None
            ]
            values["rule_overrides"] = {}
        return values

    @field_validator("url_lists")
    @classmethod
    def _digests(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for category, digests in lists.items():
            for digest in digests:
                if not re.fullmatch("[0-9a-f]{64}", digest):
                    raise ValueError(f"url_lists.{category}: {digest!r:.80} is no sha256 in hexadecimal")
        return lists

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        measures = self.measures()
        ids = [rule.id for rule in self.rules]
        problems = [f"rule {i} is there twice" for i in sorted({i for i in ids if ids.count(i) > 1})]
        for level in LEVELS:
            known = signal_names(level, measures)
            for rule in (rule for rule in self.rules if rule.level == level):
                for name in (rule.signal, *rule.where):
                    if name not in known and not CLASSIFIER_NAME.fullmatch(name):
                        near = difflib.get_close_matches(name, known, 3)
                        problems.append(
                            f"rule {rule.id}: no {level} signal {name!r}; near: {', '.join(near)}"
                        )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def measures(self) -> list[str]:
        """Names of word categories and patterns, each of which makes signals; sorted."""
        return sorted({w.category for w in self.word_lists} | {p.name for p in self.patterns})


def _override(rule: Any, overrides: dict[str, Any]) -> dict[str, Any] | None:
    """The rule with its new bound; None when off."""
    rule = rule.model_dump() if isinstance(rule, Rule) else dict(rule)
    bound = overrides.get(rule.get("id"))
    if bound == "off":
        return None
    if bound is not None:
        rule["min" if rule.get("min") is not None else "max"] = float(bound)
    return rule


def _file(name: str, folder: str, suffix: str) -> Path:
    for path in (CONFIGS / folder / f"{name}{suffix}", Path(name)):
        if path.is_file():
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB")
            return path
    raise ValueError(f"there is no file {name!r}, and none of that name in configs/{folder}")


def read_rules(name: str) -> dict[str, Any]:
    """rules, patterns, word_lists and stop_words of a rule file. Raises ValueError that names the file."""
    path = _file(name, "rules", ".yaml")
    try:
        content = load_yaml(path.read_text(encoding="utf-8"), fast=True)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    known = {"rules", "patterns", "word_lists", "stop_words", "url_words"}
    if not isinstance(content, dict) or not content.get("rules") or set(content) - known:
        raise ValueError(
            f"{path}: a rule file has rules, and may have patterns, word_lists, stop_words and url_words"
        )
    words: dict[str, float] = {}
    for file in content.get("url_words") or ():
        words |= read_words(file)
    content["url_words"] = words
    lists = content.pop("word_lists", None) or {}
    content["word_lists"] = [
        {"category": category, "words": read_words(file)}
        for category, files in lists.items()
        for file in files
    ]
    return content


def read_words(name: str) -> dict[str, float]:
    """Words and weights of a file: one word per line, a tab and a weight may follow, # starts a comment."""
    path = _file(name, "wordlists", ".txt")
    words: dict[str, float] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        word, _, weight = line.partition("\t")
        word = word.strip().lower()
        if not word or word.startswith("#"):
            continue
        try:
            words[word] = float(weight) if weight.strip() else 1.0
        except ValueError:
            raise ValueError(f"{path} line {number}: {weight!r} is not a weight") from None
    return words
