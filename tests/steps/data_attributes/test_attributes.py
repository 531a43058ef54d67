"""Inputs of Ziya2's law: shares of labels by hand, cosines by brute force, and texts that a mix chose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steps.core.errors import ConfigError, DataError
from steps.core.labels import Label
from steps.core.policy import Policy
from steps.core.verdict import Drawn, Sample, SampleFacts
from steps.data_attributes.config import Config
from steps.data_attributes.embed import EMBEDDERS, mean_vector, open_embedder, similarity
from steps.data_attributes.labels import shares
from steps.data_attributes.step import chosen, near, texts, weighted
from tests.steps.training import approve_all, make_mix


def label(number: int, *defects: str, annotator: str = "a") -> Label:
    verdict = "bad" if defects else "good"
    return Label(
        sample_id=str(number), doc_sha256=str(number), annotator=annotator, label=verdict, defects=defects
    )


def test_coherence_and_readability_are_the_shares_without_such_a_defect() -> None:
    """Of ten documents read: an advertisement, one cut off, one both, a toxic one; number 10 is a seeded defect."""
    policy = Policy(readers=("human",))
    facts = SampleFacts.model_construct(policy=policy, policy_digest=policy.digest)
    drawn = [Drawn(str(n), "s", str(n), True, "advertising" if n == 10 else None) for n in range(12)]
    given = {0: ("advertising",), 1: ("truncated",), 2: ("navigation", "readability"), 3: ("toxic",)}
    labels = [label(n, *given.get(n, ())) for n in range(10)] + [label(10, "advertising")]
    coherence, readability, read = shares(Sample(facts, tuple(drawn)), labels)
    assert (coherence, readability, read) == (0.8, 0.8, 10)
    both = [*labels, label(4, "incoherent", annotator="b")]  # one of two readers is enough
    assert shares(Sample(facts, tuple(drawn)), both)[0] == pytest.approx(0.7)
    assert shares(Sample(facts, tuple(drawn)), [])[2] == 0


@pytest.mark.parametrize("name", sorted(EMBEDDERS))
def test_similarity_is_the_mean_cosine_of_all_pairs_and_higher_for_the_same_matter(name: str) -> None:
    embed = open_embedder(name)
    law = ["The court ruled that the contract was void.", "The judge read the ruling on the contract."]
    sea = ["Waves broke over the small fishing boat.", "A storm came up and the boat turned back to sea."]
    one, two = embed(law), embed(sea)
    assert np.linalg.norm(one, axis=1) == pytest.approx([1, 1], abs=1e-5)
    pairs = max(0.0, float(np.mean([[a @ b for b in two] for a in one])))
    assert similarity(mean_vector(embed, law, batch=1), mean_vector(embed, sea)) == pytest.approx(
        pairs, abs=1e-5
    )
    assert float(one[0] @ one[1]) > float(one[0] @ two[0])
    assert not np.isnan(embed(["", "水"])).any()


def test_an_unknown_embedder_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no 'ada'; known: hashing, wordllama"):
        open_embedder("ada")


def test_the_texts_are_those_that_the_mix_chose_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(monkeypatch)
    mix = make_mix(tmp_path).artifact
    plan = chosen(mix, 1, 10)
    assert plan.num_rows == 10 and set(plan["input"].to_pylist()) == {"corpora.web"}
    read = texts(mix, plan.select(["shard", "row"]), 50)
    assert len(read) == 10 and max(map(len, read)) == 50
    with pytest.raises(DataError, match="documents of supervised, which no one has reviewed"):
        weighted(mix, chosen(mix, 2, 10_000))
    embed = open_embedder("hashing")
    english = [
        text for text in texts(mix, chosen(mix, 1, 100).select(["shard", "row"]), 99) if text[0].isascii()
    ]
    own = mean_vector(embed, english)
    config = Config(characters=99)
    assert near(mix, "en", own, embed, config) > near(mix, "zh", own, embed, config) + 0.1
