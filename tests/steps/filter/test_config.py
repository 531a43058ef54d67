"""The rules are part of the config, so that a changed rule is another artifact."""

from __future__ import annotations

from pathlib import Path

import pytest

from steps.core.config import parse_config
from steps.core.digest import json_digest
from steps.core.errors import ConfigError
from steps.filter.config import Config, read_words

RULES = """
word_lists: {{spam: [{words}]}}
patterns:
  - name: tag
    anchors: ["<"]
    expressions: ['<[a-z]+>']
stop_words: {{en: [the]}}
rules:
  - id: d01_short_v1
    level: document
    signal: characters
    min: 10
    action: drop
    source: own choice
  - id: p01_spam_v1
    level: paragraph
    signal: spam
    max: 1.5
    action: remove_paragraph
    source: own choice
"""


def write(folder: Path, rules: str = RULES) -> Path:
    words = folder / "spam.txt"
    words.write_text("# comment\nBuy now\t2.5\n便宜\n\n", encoding="utf-8")
    path = folder / "rules.yaml"
    path.write_text(rules.format(words=words), encoding="utf-8")
    return path


def load(path: Path, **values: object) -> Config:
    return parse_config(Config, {"rules_file": str(path), **values}, "filter")


def test_content_of_rule_and_word_files_is_the_identity_and_their_path_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = load(write(tmp_path / "a")), load(write(tmp_path / "b"))
    assert json_digest(one.model_dump(mode="json")) == json_digest(two.model_dump(mode="json"))
    assert str(tmp_path) not in one.model_dump_json()
    changed = write(tmp_path / "b")
    (tmp_path / "b" / "spam.txt").write_text("Buy now\t2.0\n便宜\n", encoding="utf-8")
    assert load(changed) != one


def test_a_resolved_config_reads_back_as_itself() -> None:
    config = Config()
    assert Config.model_validate(config.model_dump(mode="json")) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_overrides_change_or_drop_a_rule(tmp_path: Path) -> None:
    config = load(write(tmp_path), rule_overrides={"d01_short_v1": 99, "p01_spam_v1": "off"})
    assert [(rule.id, rule.min) for rule in config.rules] == [("d01_short_v1", 99.0)]
    assert config.rule_overrides == {}


def test_extra_words_add_to_a_category(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("特价\t3\n", encoding="utf-8")
    config = load(write(tmp_path), extra_word_lists={"spam": [str(mine)]})
    assert [words.words for words in config.word_lists] == [{"buy now": 2.5, "便宜": 1.0}, {"特价": 3.0}]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("signal: characters", "signal: charactres", "no document signal 'charactres'; near: characters"),
        ("min: 10", "min: 10\n    max: 20", "exactly one of them"),
        ("action: drop", "action: remove_sentence", "a document rule can only drop"),
        ("id: p01_spam_v1", "id: s01_spam_v1", "starts with p"),
        ("id: p01_spam_v1", "id: spam", "rules.1.id"),
        ("'<[a-z]+>'", "'<[a-z+>'", "pattern tag: "),
        ("rules:", "rulez:", "a rule file has rules"),
        ("id: p01_spam_v1", "id: d01_short_v1", "starts with p"),
    ],
)
def test_a_wrong_rule_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RULES
    with pytest.raises(ConfigError, match=message.replace("+", r"\+")):
        load(write(tmp_path, RULES.replace(old, new)))


def test_wrong_references_are_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="there is no file 'nowhere', and none of that name in configs/rules"
    ):
        parse_config(Config, {"rules_file": "nowhere"}, "filter")
    with pytest.raises(ConfigError, match="no rule 'd01_shrot_v1'; near: d01_short_v1"):
        load(write(tmp_path), rule_overrides={"d01_shrot_v1": 1})
    words = tmp_path / "bad.txt"
    words.write_text("one\ntwo\tmuch\n")
    with pytest.raises(ValueError, match="line 2: 'much' is not a weight"):
        read_words(str(words))
