"""Topics: shares between rounds as computed by hand, a classifier from labelled seeds, and documents by their topic."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import steps.mix.step
from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.cli import main
from steps.core.config import Runtime
from steps.core.errors import ConfigError, DataError
from steps.core.step import run_step
from steps.core.store import open_store
from steps.mix.command import updated
from steps.mix.ratios import next_shares
from tests.steps.documents import make_corpus

# Llama-3-SynE Figure 1: perplexities of three topics before and after a round
FIGURE = {"a": (1.26, 1.32), "b": (1.82, 1.45), "c": (1.54, 1.60)}
LOSSES = {topic: (math.log(before), math.log(after)) for topic, (before, after) in FIGURE.items()}


def test_topics_that_got_worse_have_more_of_the_next_round_as_computed_by_hand() -> None:
    """Changes .06, -.37, .06; divided by the largest .162162, -1, .162162; with alpha .5 f is 1.081081, .5, 1.081081.

    r f = .5405405, .15, .2162162, together .9067567.
    """
    shares = next_shares({"a": 0.5, "b": 0.3, "c": 0.2}, LOSSES, 0.5)
    assert shares == {"a": 0.596125, "b": 0.165425, "c": 0.23845}
    assert sum(shares.values()) == 1


def test_weights_scale_a_topics_step_and_equal_perplexities_change_nothing() -> None:
    half = next_shares({"a": 0.5, "b": 0.3, "c": 0.2}, LOSSES, 0.5, {"b": 0.0})
    assert half["b"] < 0.3 and half["a"] / half["c"] == pytest.approx(2.5, abs=1e-4)
    assert next_shares({"a": 0.7, "b": 0.3}, {"a": (1.0, 1.0), "b": (2.0, 2.0)}, 0.5) == {"a": 0.7, "b": 0.3}
    with pytest.raises(ValueError, match="leaves nothing to b"):
        next_shares({"a": 0.5, "b": 0.5}, LOSSES, 1.0)


def trained(topics: dict[str, float], losses: dict[str, tuple[float, float]]) -> Any:
    """What `updated` reads of a training artifact."""
    mix = SimpleNamespace(config={"web": {"zh": {"topics": topics}}})
    facts = {"heldout_loss": {f"zh.{t}": {"first": one, "last": two} for t, (one, two) in losses.items()}}
    tokens = SimpleNamespace(input=lambda name: mix)
    return SimpleNamespace(
        facts=facts,
        ref="file:///r/train/x@y",
        input=lambda name: tokens,
        reference=SimpleNamespace(uri="train/x"),
    )


def recipe(topics: dict[str, float]) -> str:
    return yaml.safe_dump({"name": "n", "steps": {"mix": {"web": {"zh": {"tokens": 900, "topics": topics}}}}})


def test_the_next_rounds_recipe_has_the_new_shares_and_names_its_evidence() -> None:
    topics = {"a": 0.5, "b": 0.3, "c": 0.2}
    text, changes = updated(recipe(topics), trained(topics, LOSSES), 0.5)
    found = yaml.safe_load(text)["steps"]["mix"]["web"]["zh"]
    assert found == {"tokens": 900, "topics": {"a": 0.596125, "b": 0.165425, "c": 0.23845}}
    assert "file:///r/train/x@y" in text.splitlines()[0] and changes[1] == ("zh", "b", 0.3, 0.165425)
    with pytest.raises(DataError, match="was not trained with the shares"):
        updated(recipe({"a": 0.6, "b": 0.2, "c": 0.2}), trained(topics, LOSSES), 0.5)
    with pytest.raises(DataError, match=r"no held-out loss of zh\.c"):
        updated(recipe(topics), trained(topics, {"a": (1.0, 1.0), "b": (1.0, 1.0)}), 0.5)


WORDS = {"law": "法院判决合同条款被告原告律师", "physics": "粒子能量磁场速度光子质量引力"}


def text(topic: str, number: int) -> str:
    words = WORDS[topic]
    return "".join(words[(number * 7 + 3 * i) % len(words)] for i in range(30)) + f"{number}。"


@pytest.fixture
def topic_model(tmp_path: Path) -> str:
    """A classifier that the committed command made of 80 labelled seeds, from the catalog."""
    seeds = tmp_path / "seeds.jsonl"
    rows = [{"text": text(topic, n), "topic": topic} for topic in WORDS for n in range(40)]
    seeds.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    settings = tmp_path / "settings.yaml"
    settings.write_text("{epochs: 50, buckets: 2000, dimension: 8}")
    root = f"file://{tmp_path}/root"
    assert (
        main(["topics", "train", str(seeds), "--name", "zh", "--config", str(settings), "--root", root]) == 0
    )
    found: str = Catalog(open_store(root)).get("classifiers")["zh"]["topic"]
    return found


def test_documents_go_to_the_data_set_and_the_held_out_set_of_their_topic(
    tmp_path: Path, topic_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps.mix.step, "verify_corpus", lambda artifact, acceptance: None)
    root = tmp_path / "root"
    classifier = Artifact.open(topic_model, open_store(f"file://{root}"))
    assert classifier.facts["overall"]["f1"] > 0.9 and classifier.facts["label"] is None
    pages: list[dict[str, Any]] = [
        {"source": "pages", "language": "zh", "text": text(topic, n)}
        for n in range(100, 140)
        for topic in WORDS
    ]
    web = make_corpus(root, [pages[:50], pages[50:]], "pages")
    config = {
        "web": {"pages": {"documents": 20, "topics": {"law": 0.25, "physics": 0.75}}},
        "heldout_documents": 3,
    }
    inputs = {"corpora.web": web.ref, "classifiers.topic": classifier.ref}
    made = run_step(
        "mix", config=config, inputs=inputs, root=f"file://{root}", runtime=Runtime(workers=1)
    ).artifact
    assert made.facts["heldout"].keys() == {"pages.law", "pages.physics"}
    (plan,) = [made.read_table(e).to_pylist() for e in made.files("plan") if e.meta["stage"] == 1]
    taken = {(row["shard"], row["row"]): row["set"] for row in plan}
    sets = list(taken.values())
    assert (sets.count("web/pages/law"), sets.count("web/pages/physics")) == (5, 15)
    for (shard, row), name in taken.items():
        assert pages[50 * shard + row]["text"][0] in WORDS[name.rpartition("/")[2]]
    with pytest.raises(ConfigError, match="no trained classifier 'topic'"):
        run_step(
            "mix",
            config=config,
            inputs={"corpora.web": web.ref},
            root=f"file://{root}",
            runtime=Runtime(workers=1),
        )
