"""Dumps in sequence through real steps: nothing meets itself, every overlap is found, few indexes are live."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog, index_dumps
from steps.core.cli import main
from steps.core.corpus import Corpus
from steps.core.dedup_index import members
from steps.core.errors import VerdictRefused
from steps.core.pipeline import resolve_inputs, stage
from steps.core.recipe import Recipe
from steps.core.step import Outcome
from steps.core.store import open_store
from steps.filter.config import Config as FilterConfig
from steps.plan.command import resolve_run_inputs
from tests.steps.documents import make_corpus
from tests.steps.gate.line import Line, records, step

RECIPE = Recipe.model_validate(
    {"name": "own", "dag": "data_factory", "sources": [{"name": "w", "uri": "x/"}]}
)
DEFECT = "\n想买的朋友可以私信我拿链接，报我名字立减五十块。"
LAX = {rule.id: "off" for rule in FilterConfig().rules if re.search("advertising|contact", rule.id)}


class Factory:
    """The data factory's steps below one root, with inputs as `plan` finds them in the catalog."""

    def __init__(self, root: Path) -> None:
        self.root, self.store = root, open_store(f"file://{root}")

    def run(self, dump: str, documents: list[dict[str, Any]], rules: dict[str, Any] | None = None) -> Outcome:
        """Filter and deduplicate one dump."""
        half = len(documents) // 2
        made = make_corpus(self.root, [documents[:half], documents[half:]], dump)
        kept = step(self.root, "filter", rules or {}, {"corpus": made.ref})
        inputs = resolve_inputs(
            stage("data_factory", "deduplicate"),
            resolve_run_inputs(RECIPE, dump, {}, f"file://{self.root}"),
            {"filter": kept.ref},
        )
        return step(self.root, "deduplicate", {}, inputs)

    def publish(self, dump: str, corpus: Outcome, look: int = 1) -> Outcome:
        """A census by the automatic readers, the gate, and publish."""
        config = {"sample_fraction": 1.0, "seeded": 600, "look": look}
        sample = step(self.root, "evaluate", config, {"corpus": corpus.ref})
        labels = step(self.root, "review", {"mode": "automatic"}, {"sample": sample.ref})
        inputs = {"corpus": corpus.ref, "sample": sample.ref, "labels": labels.ref}
        line = Line(corpus, sample, labels, step(self.root, "gate", {"look": look}, inputs))
        return line.publish(self.root, run={"recipe": {"name": "own"}, "dump": dump})

    def live(self) -> list[list[str]]:
        """The dumps that each live index holds."""
        live = Catalog(self.store).get("dedup_index").get("live", [])
        return [sorted(held["dump"] for held in index_dumps(entry)) for entry in live]


def removed(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """{URL of a removed document: (rule, folder of the dump that its match was published in, or empty)}."""
    urls = {}
    for shard in Corpus.open(outcome.artifact).shards:
        table = shard.read(["url"], kept=False).to_pylist()
        urls.update({(shard.sha256, row["_row"]): row["url"] for row in table})
    tables = (outcome.artifact.read_table(entry) for entry in outcome.artifact.files("ledger"))
    rows = [row for table in tables for row in table.to_pylist()]
    return {
        urls[row["shard"], row["row"]]: (row["rule"], (row["detail"] or "").removeprefix("published in "))
        for row in rows
    }


def posts(documents: list[dict[str, Any]], dump: str, begin: int, end: int) -> list[dict[str, Any]]:
    """New documents of a dump."""
    return [{**d, "dump": dump} for d in documents[begin:end]]


def again(document: dict[str, Any], dump: str, how: str) -> dict[str, Any]:
    """The same page with other words, or the same text elsewhere, or nearly the same text elsewhere."""
    text, url = document["text"], f"https://{dump}.example/{document['url'].rpartition('/')[2]}"
    if how == "url":
        return {**document, "text": "　".join(text.split("\n")[::-1]), "dump": dump}
    if how == "text":
        text = text.replace("。", "！").replace(", ", " ; ")
    else:
        text = (
            text.replace("的", "之", 1)
            if document["language"] == "zh"
            else text.replace(" the ", " that ", 1)
        )
    assert text != document["text"]
    return {**document, "text": text, "url": url, "dump": dump}


@pytest.fixture
def documents() -> list[dict[str, Any]]:
    """Documents in both languages by turns."""
    both = records(90)
    return [d for pair in zip(both[:90], both[90:], strict=True) for d in pair]


def test_three_dumps_the_second_rejected_and_run_again(
    tmp_path: Path, documents: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    factory = Factory(tmp_path)
    one = posts(documents, "D1", 0, 50)
    first = factory.run("D1", one)
    assert (removed(first), first.facts["published_documents"]) == ({}, 0)
    factory.publish("D1", first)
    assert factory.live() == [["D1"]]

    copies = [again(one[i], "D2", how) for i, how in enumerate(["text", "near"] * 4)]
    two = posts(documents, "D2", 50, 100) + copies
    two[2]["text"] += DEFECT
    two[2]["_signals"] = {**two[2]["_signals"], "perplexity": 900.0}
    rejected = factory.run("D2", two, {"rule_overrides": LAX})
    with pytest.raises(VerdictRefused, match="is fail"):
        factory.publish("D2", rejected)
    assert factory.live() == [["D1"]], "an index advances only on publish"

    second = factory.run("D2", two)
    assert second.facts["published_documents"] == first.counts.total.kept.documents
    at_first = first.artifact.reference.folder
    assert removed(second) == removed(rejected)
    assert set(removed(second)) == {d["url"] for d in copies}
    assert {place for _, place in removed(second).values()} == {at_first}
    factory.publish("D2", second, look=2)
    assert factory.live() == [["D1", "D2"]], "the second dump's index took over the first's"

    hows = ["text", "near", "url"] * 4
    sources = [*one[10:16], *two[20:26]]
    copies = [again(d, "D3", how) for d, how in zip(sources, hows, strict=True)]
    three = posts(documents, "D3", 100, 140) + copies
    third = factory.run("D3", three)
    rules = {"text": "exact_duplicate", "near": "near_duplicate", "url": "duplicate_url"}
    at_second = second.artifact.reference.folder
    where = [at_first] * 6 + [at_second] * 6
    expected = {c["url"]: (rules[how], at) for c, how, at in zip(copies, hows, where, strict=True)}
    assert removed(third) == expected
    factory.publish("D3", third)
    assert factory.live() == [["D1", "D2"], ["D3"]]

    doc_id = next(
        row["doc_id"]
        for entry in third.artifact.files("ledger")
        for row in third.artifact.read_table(entry).to_pylist()
        if row["rule"] == "near_duplicate"
    )
    assert main(["dedup", "explain", doc_id, f"--artifact={third.ref}", f"--root=file://{tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "removed as near_duplicate" in said and f"published in {at_first}" in said

    # the first dump again, published inside a merged index: it meets the others and never itself
    repeated = factory.run("D1", one, {"rule_overrides": {"d01_min_length_zh_v1": 1}})
    others = second.counts.total.kept.documents + third.counts.total.kept.documents
    assert repeated.facts["published_documents"] == others
    assert removed(repeated) == {}
    factory.publish("D1", repeated, look=2)
    assert sorted(factory.live()) == [["D1", "D2", "D3"]]
    held = members(repeated.artifact)
    assert set(held) == {repeated.digest, second.digest, third.digest}


def test_a_document_that_was_taken_down_keeps_its_re_posts_out_of_every_later_dump(
    tmp_path: Path, documents: list[dict[str, Any]]
) -> None:
    factory = Factory(tmp_path)
    first = factory.run("D1", posts(documents, "D1", 0, 40))
    published = factory.publish("D1", first)
    gone = Corpus.open(published.artifact).shards[0].read(["doc_id", "url"]).slice(0, 1).to_pylist()[0]
    entry = f"doc_id:{gone['doc_id']}"
    assert main(["takedown", entry, "--reason=asked", f"--root=file://{tmp_path}"]) == 0
    catalog = Catalog(factory.store)
    current = Artifact.open(catalog.get("corpora")["own"]["dumps"]["D1"]["corpus"], factory.store)
    left = [u for s in Corpus.open(current).shards for u in s.read(["url"])["url"].to_pylist()]
    assert gone["url"] not in left and len(left) == first.counts.total.kept.documents - 1
    source = next(d for d in documents if d["url"] == gone["url"])
    at_first = first.artifact.reference.folder
    for number, how in ((2, "text"), (3, "near"), (4, "near")):
        dump = f"D{number}"
        copy = again(source, dump, how)
        made = factory.run(dump, [*posts(documents, dump, 20 * number, 20 * number + 20), copy])
        rule = {"text": "exact_duplicate", "near": "near_duplicate"}[how]
        assert removed(made) == {copy["url"]: (rule, at_first)}, dump
        factory.publish(dump, made)
        assert len(factory.live()) <= math.log2(number) + 1
    assert factory.live() == [["D1", "D2", "D3", "D4"]]
