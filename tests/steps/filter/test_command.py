"""tokenmill rules: lists and checks rules, answers other bounds as a run would, draws every rule on one page."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steps.core.cli import main
from steps.core.config import Runtime
from steps.core.errors import ConfigError
from steps.core.step import Outcome, run_step
from steps.filter.check import find_rules, with_bounds, with_rules_of
from steps.filter.config import Config
from steps.filter.stored import from_signals
from steps.filter.trial import Trial, try_rules
from tests.steps.documents import make_corpus

FILE = yaml.safe_load((Path(__file__).parent / "rule_cases.yaml").read_text(encoding="utf-8"))
GOOD = FILE["good"]
SPAM = "厂家直销，全场包邮，立即购买！"
RULE_FILE = {
    "rules": [
        {
            "id": "d01_long_v1",
            "level": "document",
            "signal": "characters",
            "min": 10,
            "action": "drop",
            "source": "own",
        },
        {
            "id": "p01_spam_v1",
            "level": "paragraph",
            "signal": "spam",
            "max": 0,
            "action": "drop",
            "source": "own",
        },
    ],
    "patterns": [{"name": "spam", "anchors": ["包邮"], "expressions": ["包邮"]}],
}


def shards() -> list[list[dict]]:
    repeated = "\n".join([GOOD["zh"].split("\n")[0]] * 3 + GOOD["zh"].split("\n"))
    once = "\n".join([GOOD["zh"].split("\n")[0], GOOD["zh"]])
    web = [GOOD["zh"], "太短。", repeated, once, GOOD["zh"] + "\n第五行没有句号"]
    web += [GOOD["zh"] + "\n" + SPAM, GOOD["zh"] + "好。", SPAM * 9]
    books = [GOOD["en"], "Too short to keep.", GOOD["en"].replace("the", "##"), "1 2 3 4 5 6 7 8 9 " * 30]
    return [
        [{"text": text, "language": "zh", "source": "web"} for text in web],
        [{"text": text, "language": "en", "source": "books"} for text in books],
    ]


def run(root: Path, corpus: Outcome, config: Config | None = None) -> Outcome:
    values = {} if config is None else {"config": config}
    return run_step(
        "filter",
        config=values.get("config", {"wipe_out_min_documents": 1000}),
        inputs={"corpus": corpus.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, Outcome]:
    root = tmp_path_factory.mktemp("rules")
    corpus = make_corpus(root, shards())
    return root, corpus, run(root, corpus)


def removed_by_documents(outcome: Outcome, config: Config) -> dict[tuple[str, int], str]:
    """What a run's ledger says about document rules that see no edited text."""
    decided = {rule.id for rule in config.rules if from_signals(rule)}
    tables = [outcome.artifact.read_table(entry) for entry in outcome.artifact.files("ledger")]
    rows = [row for table in tables for row in table.to_pylist() if row["action"] == "removed"]
    return {(row["shard"], row["row"]): row["rule"] for row in rows if row["rule"] in decided}


def trial_and_run(
    root: Path, corpus: Outcome, before: Outcome, new: Config
) -> tuple[Trial, dict[tuple[str, int], str]]:
    old = Config.model_validate(before.artifact.config)
    trial = try_rules(before.artifact, old, new, collect=True)
    return trial, removed_by_documents(run(root, corpus, new), new)


def named(start: str) -> str:
    """The id of the default rule that begins so; versions rise."""
    (found,) = [rule.id for rule in find_rules("default").rules if re.match(rf"{start}_v\d+$", rule.id)]
    return found


D01, D27 = named("d01_min_length_zh"), named("d27_duplicate_lines")
DECIDED = [rule.id for rule in find_rules("default").rules if from_signals(rule)]
CHANGES = [
    [f"{rule}=off" for rule in DECIDED],
    [f"{D01}.min=213"],
    [f"{D27}.max=0.05"],
    [f"{named('d12_punctuated_lines_zh')}.min=0.99", f"{named('d01_min_length_en')}.min=2"],
    [f"{named('d15_digits')}.max=1", f"{named('d42_entropy')}=off"],
]


@pytest.mark.parametrize("changes", CHANGES, ids=range(len(CHANGES)))
def test_a_trial_removes_what_a_run_with_these_rules_removes(
    made: tuple[Path, Outcome, Outcome], changes: list[str]
) -> None:
    root, corpus, before = made
    new = with_bounds(Config.model_validate(before.artifact.config), changes)
    trial, real = trial_and_run(root, corpus, before, new)
    assert trial.removed == real
    assert len(trial.change.changed) == len(changes) and not trial.change.unanswered


def test_trials_differ_from_the_run_they_start_from(made: tuple[Path, Outcome, Outcome]) -> None:
    _, _, before = made
    old = Config.model_validate(before.artifact.config)
    same = try_rules(before.artifact, old, old, collect=True)
    assert same.removed == removed_by_documents(before, old) and same.removed
    assert same.total.gained.documents == same.total.lost.documents == 0
    assert same.total.then.documents == before.counts.total.removed.documents
    assert same.total.read.bytes == before.counts.total.input.bytes
    loose = try_rules(before.artifact, old, with_bounds(old, CHANGES[0]))
    assert loose.total.gained.documents > 0 and loose.samples["newly kept"]
    strict = try_rules(before.artifact, old, with_bounds(old, CHANGES[1]))
    assert strict.total.lost.documents > 0
    assert strict.total.lost.bytes == sum(
        group.then.bytes - group.before.bytes + group.gained.bytes for group in strict.groups.values()
    )


def test_a_trial_says_what_it_cannot_answer_and_keeps_the_old_rule_there(
    made: tuple[Path, Outcome, Outcome],
) -> None:
    _, _, before = made
    old = Config.model_validate(before.artifact.config)
    paragraph = next(rule for rule in old.rules if rule.level == "paragraph" and rule.max is not None)
    edited = next(rule for rule in old.rules if rule.signal == "lost_share")
    new = with_bounds(old, [f"{paragraph.id}=off", f"{edited.id}.max=0.01"])
    trial = try_rules(before.artifact, old, new, collect=True)
    assert [line.partition(":")[0] for line in trial.change.unanswered] == sorted([paragraph.id, edited.id])
    assert trial.removed == removed_by_documents(before, old) and not trial.change.changed
    lists = tuple(words for words in old.word_lists if words.category != "medical")
    fewer = old.model_copy(update={"word_lists": lists})
    stale = try_rules(before.artifact, old, fewer).change
    assert stale.unanswered and all("medical" in line for line in stale.unanswered)


def test_another_rule_file_can_be_tried(made: tuple[Path, Outcome, Outcome], tmp_path: Path) -> None:
    root, corpus, before = made
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(RULE_FILE, allow_unicode=True))
    new = with_rules_of(Config.model_validate(before.artifact.config), find_rules(str(path)))
    trial, real = trial_and_run(root, corpus, before, new)
    assert trial.removed == real and set(real.values()) == {"d01_long_v1"}
    assert any(line.startswith("p01_spam_v1") for line in trial.change.unanswered)


def test_the_commands_print_their_answers(
    made: tuple[Path, Outcome, Outcome], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root, _, before = made
    rules = [
        "rules",
        "try",
        before.ref,
        "--root",
        f"file://{root}",
        "--set",
        f"{D01}.min=213",
    ]
    assert main([*rules, "--output", str(tmp_path / "try.html")]) == 0
    told = capsys.readouterr().out
    assert "characters min 50 → min 213" in told and "NEWLY REMOVED" in told and "web|zh" in told
    assert "just" not in told and "newly removed" in (tmp_path / "try.html").read_text(encoding="utf-8")
    page = tmp_path / "rules.html"
    assert main(["rules", "report", before.ref, "--root", f"file://{root}", "--output", str(page)]) == 0
    shown = page.read_text(encoding="utf-8")
    for heading in (
        "Effect",
        "Overlap",
        "Signals and thresholds",
        "Around the thresholds",
        "Paragraphs",
        "Cost",
    ):
        assert heading in shown
    assert f"<mark>{SPAM}</mark>" in shown, "the cut span is highlighted"
    assert str(root) not in shown and "<script" not in shown


def test_list_needs_no_store_and_shows_every_rule(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKENMILL_ROOT", raising=False)
    assert main(["rules", "list"]) == 0
    told = capsys.readouterr().out
    rules = find_rules("default").rules
    assert all(f"\n{rule.id} " in told for rule in rules) and f"{len(rules)} rules" in told
    assert main(["rules", "list", "--rules", "demo_factory"]) == 0


def test_every_error_of_a_rule_file_is_reported_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = RULE_FILE["rules"]
    broken = {
        "rules": [
            {**first, "signal": "charactres"},
            {**first, "max": 5},
            {**second, "id": "p02_x_v1", "action": "remove_sentence"},
            {"id": "nonsense", "level": "document"},
        ],
        "patterns": [{"name": "spam", "anchors": ["包邮"], "expressions": ["(包邮"]}],
        "word_lists": {"gone": ["no_such_list"]},
    }
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(broken, allow_unicode=True))
    assert main(["rules", "list", "--rules", str(path)]) == 78
    told = capsys.readouterr().err
    for part in (
        "no document signal 'charactres'; near: characters",
        "give min or max, exactly one of them",
        "d01_long_v1 is there 2 times",
        "rule p02_x_v1: a paragraph rule can only",
        "rule nonsense: id:",
        "rule nonsense: signal: Field required",
        "pattern spam:",
        "no_such_list",
    ):
        assert part in told


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=8)
fields = st.sampled_from(
    ["id", "level", "signal", "min", "max", "where", "action", "source", "name", "anchors"]
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=4),
    max_leaves=8,
)
parts = st.sampled_from(["rules", "patterns", "word_lists", "stop_words", "url_words", "other"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything | st.dictionaries(parts, anything | st.lists(anything, max_size=3), max_size=5))
def test_whatever_a_rule_file_holds_it_is_refused_by_name(tmp_path: Path, content: object) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"any\.yaml"):
        find_rules(str(path))


def test_wrong_arguments_are_named(
    made: tuple[Path, Outcome, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    root, corpus, before = made
    base = ["rules", "try", before.ref, "--root", f"file://{root}"]
    bad = ["d27_duplicate_linez_v1.max=1", f"{D27}.min=1", f"{D27}.max=nan"]
    assert main([*base, *(part for change in bad for part in ("--set", change))]) == 64
    told = capsys.readouterr().err
    assert f"near: {D27}" in told and f"give {D27}.max=" in told
    assert "'nan' is not a number" in told
    assert main(base) == 64
    assert main(["rules", "report", corpus.ref, "--root", f"file://{root}"]) == 64
    assert "not of filter" in capsys.readouterr().err
    assert main(["rules", "list", "--rules", "defualt"]) == 64
    assert "near: default" in capsys.readouterr().err


@pytest.mark.data
def test_a_trial_agrees_with_a_run_on_real_web_texts(tmp_path: Path, shared_data: Path) -> None:
    def read(name: str, language: str) -> list[dict]:
        with gzip.open(shared_data / name, "rb") as file:
            records = [json.loads(line) for line in itertools.islice(file, 250)]
        return [{"text": r["text"], "language": language, "source": name[:4]} for r in records]

    corpus = make_corpus(
        tmp_path, [read("dureader_web_zh/docs.jsonl.gz", "zh"), read("wiki_en/train.jsonl.gz", "en")]
    )
    before = run(tmp_path, corpus)
    loose = ("characters", "sentences", "stop_words", "entropy", "punctuation_share")
    changes = [f"{D27}.max=0.1", f"{named('d12_punctuated_lines_zh')}.min=0.5"]
    changes += [f"{r.id}=off" for r in find_rules("default").rules if r.id in DECIDED and r.signal in loose]
    new = with_bounds(Config.model_validate(before.artifact.config), changes)
    trial, real = trial_and_run(tmp_path, corpus, before, new)
    assert trial.removed == real and len(real) > 50
    assert trial.total.lost.documents > 5 and trial.total.gained.documents > 0
