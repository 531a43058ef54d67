"""What the gate says would have removed a defect is what the filter's own trial of that bound removes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from steps.core.artifact import Artifact
from steps.core.cli import main
from steps.core.config import Runtime, parse_config
from steps.core.corpus import Corpus
from steps.core.step import run_step
from steps.core.verification import read_verdict
from steps.filter.check import with_bounds
from steps.filter.config import Config
from steps.filter.trial import try_rules
from steps.gate.explain import Explanation, explain
from steps.gate.remedies import COSTLIEST, Bound
from tests.steps.documents import make_corpus
from tests.steps.gate.line import records, step

PROMOTION = "\n想买的朋友可以私信我拿链接，报我名字立减五十块。"
MARKUP = "\n" + "window.onload = run; document.write(x); gtag('config'); .innerHTML = '' <br/>" * 2
SPANS = ("paragraph", "sentence")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Artifact, Artifact]:
    """(root, filter artifact, gate artifact) of a corpus in which filter left three defective documents."""
    root = tmp_path_factory.mktemp("remedies")
    rows = [{k: v for k, v in row.items() if k != "_signals"} for row in records(40)]
    for number in (5, 25):
        rows[number]["text"] += PROMOTION
    rows[60]["text"] += MARKUP
    corpus = make_corpus(root, [rows[:30], rows[30:]])
    whole = Config().model_dump(mode="json")  # without the rules that would cut the planted lines out
    rules = {**whole, "rules": [rule for rule in whole["rules"] if rule["level"] not in SPANS]}
    inputs, runtime = {"corpus": corpus.ref}, Runtime(workers=1)
    filtered = run_step("filter", config=rules, inputs=inputs, root=f"file://{root}", runtime=runtime)
    config = {"sample_fraction": 1.0, "seeded": 24}
    sample = step(root, "evaluate", config, {"corpus": filtered.ref})
    labels = step(root, "review", {"mode": "automatic"}, {"sample": sample.ref})
    inputs = {"corpus": filtered.ref, "sample": sample.ref, "labels": labels.ref}
    return root, filtered.artifact, step(root, "gate", {}, inputs).artifact


def explained(gate: Artifact) -> Explanation:
    return explain(read_verdict(gate), gate.input("sample"), gate.input("labels"), gate.input("corpus"))


def test_a_rule_moved_as_told_takes_the_defects_and_as_many_others_as_told(
    line: tuple[Path, Artifact, Artifact],
) -> None:
    _, filtered, gate = line
    config = parse_config(Config, filtered.config, "filter")
    found = explained(gate)
    kept = {  # what the filter read, by where it lies in what the filter wrote
        (shard.sha256, row["_row"]): (row["origin"]["shard"], row["origin"]["row"])
        for shard in Corpus.open(filtered).shards
        for row in shard.read(["origin"]).to_pylist()
    }
    before = try_rules(filtered, config, config, collect=True).removed
    checked = 0
    for item in found.classes:
        for remedy in item.moves:
            side = "max" if remedy.bound.above else "min"
            moved = with_bounds(config, [f"{remedy.bound.setting}.{side}={remedy.at!r}"])
            then = try_rules(filtered, config, moved, collect=True).removed
            assert before is not None and then is not None
            gone = {address for address, origin in kept.items() if origin in then and origin not in before}
            assert set(remedy.caught) <= gone and remedy.caught
            bad = {address for c in found.classes for r in (*c.moves, *c.ideas) for address in r.caught}
            assert len(gone - bad) == remedy.others <= COSTLIEST * len(kept)
            checked += 1
    assert checked >= 3


def test_the_cheapest_change_comes_first_and_each_document_has_its_own(
    line: tuple[Path, Artifact, Artifact],
) -> None:
    found = explained(line[2])
    assert {item.defect: item.documents for item in found.classes} == {"promotion": 2, "web_residue": 1}
    for item in found.classes:
        prices = [(remedy.others + 1) / len(remedy.caught) for remedy in item.moves]
        assert prices == sorted(prices)
        for example in item.examples:
            own = [remedy.others for remedy in example.nearest]
            assert own == sorted(own) and all(len(remedy.caught) == 1 for remedy in example.nearest)


def test_the_command_that_is_told_runs(
    line: tuple[Path, Artifact, Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    root, _, gate = line
    assert main(["gate", "explain", gate.ref, "--root", f"file://{root}"]) == 0
    told = capsys.readouterr().out
    command = next(text for text in told.split("\n") if "tokenmill rules try" in text).partition(
        "tokenmill "
    )[2]
    assert main([*command.split(), "--root", f"file://{root}"]) == 0
    assert "newly removed" in capsys.readouterr().out.lower()
    page = gate.read_bytes(gate.manifest.views[0]).decode()
    assert "What would have removed them" in page and command.split(" --set ")[1] in page


@pytest.mark.parametrize("value", [0.0, 0.1, 0.30004, 7.0, 59.0, 1234567.0, 12.3456789, -4.2])
def test_a_proposed_bound_has_few_digits_and_leaves_the_value_outside(value: float) -> None:
    above, below = (Bound("r", "s", side).beyond(value) for side in (True, False))
    assert above < value < below
    assert below - above <= (2.0 if value == round(value) and abs(value) < 1e4 else 0.002 * abs(value) + 1e-3)
    assert max(len(Decimal(repr(bound)).normalize().as_tuple().digits) for bound in (above, below)) <= 4
