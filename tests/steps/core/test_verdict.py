"""The decision as a pure function of policy, sample and labels."""

from __future__ import annotations

import pytest

from steps.core.errors import DataError
from steps.core.labels import Label, agreement
from steps.core.policy import Policy
from steps.core.verdict import Drawn, Sample, SampleFacts, Stratum, Verdict, decide

SHA = "a" * 64


def sample_of(
    documents: int = 400, seeds: int = 600, population: int | None = None, policy: Policy | None = None
) -> Sample:
    policy = policy or Policy()
    population = population or documents
    drawn = [Drawn(f"d{i}", "web|zh", SHA, True, None) for i in range(documents)]
    drawn += [Drawn(f"s{i}", "web|zh", SHA, False, "toxic") for i in range(seeds)]
    facts = SampleFacts(
        documents="d" * 64,
        population=population,
        policy=policy,
        policy_digest=policy.digest,
        look=1,
        dump="D1",
        seed="0" * 64,
        strata={"web|zh": Stratum(documents=population, sampled=documents)},
        planned=documents,
        seeded=seeds,
    )
    return Sample(facts, tuple(drawn))


def labels_of(
    sample: Sample, bad: tuple[str, ...] = (), missed: tuple[str, ...] = (), skip: tuple[str, ...] = ()
):
    for d in sample.drawn:
        if d.sample_id not in skip:
            is_bad = d.sample_id in bad or (d.defect is not None and d.sample_id not in missed)
            yield Label(
                sample_id=d.sample_id,
                doc_sha256=SHA,
                annotator="anna",
                label="bad" if is_bad else "good",
                defects=("toxic",) if is_bad else (),
            )


def verdict_of(sample: Sample, **changes: tuple[str, ...]) -> Verdict:
    return decide(sample, list(labels_of(sample, **changes)), sample_digest="s", labels_digest="l")


def test_a_clean_census_by_measured_readers_passes() -> None:
    verdict = verdict_of(sample_of())
    assert (verdict.status, verdict.bound, verdict.defective, verdict.read) == ("pass", 0, 0, 400)
    assert verdict.readers == ("human",)
    assert 0.99 < verdict.sensitivity < 1


def test_a_single_defect_blocks() -> None:
    verdict = verdict_of(sample_of(), bad=("d7",))
    assert verdict.status == "fail"
    assert verdict.defects == {"toxic": 1}
    assert [e.sample_id for e in verdict.examples] == ["d7"]


def test_a_document_without_a_label_asks_for_more() -> None:
    verdict = verdict_of(sample_of(), skip=("d3",))
    assert (verdict.status, verdict.need.unread) == ("need_more", 1)


def test_readers_that_miss_seeded_defects_need_more() -> None:
    missed = tuple(f"s{i}" for i in range(60))
    verdict = verdict_of(sample_of(), missed=missed)
    assert verdict.status == "need_more"
    assert verdict.seeded_missed == {"toxic": 60}
    assert verdict.need.look == 2
    assert verdict.need.seeded and verdict.need.seeded > 500  # all found, at the smaller alpha of look 2


def test_without_seeded_defects_nothing_passes() -> None:
    verdict = verdict_of(sample_of(seeds=0))
    assert verdict.status == "need_more"
    assert "nothing is known about the readers" in " ".join(verdict.reasons)


def test_too_small_a_sample_needs_more() -> None:
    verdict = verdict_of(sample_of(documents=400, population=100_000, policy=Policy(stratum_ceiling=None)))
    assert verdict.status == "need_more"
    assert verdict.need.documents and verdict.need.documents > 2950


def test_bound_none_is_the_papers_plain_rate() -> None:
    policy = Policy(bound="none")
    assert verdict_of(sample_of(400, 0, 100_000, policy)).status == "pass"
    assert verdict_of(sample_of(400, 0, 100_000, policy), bad=("d1",)).status == "fail"


def test_a_stratum_above_its_ceiling_fails_though_the_whole_is_below_the_limit() -> None:
    sample = sample_of(documents=5000, seeds=600)
    drawn = [*sample.drawn]
    for i in range(110):
        drawn[i] = Drawn(f"d{i}", "forum|en", SHA, True, None)
    strata = {
        "web|zh": Stratum(documents=4890, sampled=4890),
        "forum|en": Stratum(documents=110, sampled=110),
    }
    strict = Sample(sample.facts.model_copy(update={"strata": strata}), tuple(drawn))
    bad = ("d0", "d1")  # 2 of 5,000 are 0.04 %, 2 of 110 are 1.8 %
    verdict = verdict_of(strict, bad=bad)
    assert verdict.status == "fail"
    assert any("forum|en" in reason for reason in verdict.reasons)
    assert verdict.rate < 0.001


def test_any_reader_makes_a_document_bad_and_every_reader_must_find_a_seed() -> None:
    sample = sample_of()
    second = Label(sample_id="d1", doc_sha256=SHA, annotator="ben", label="bad", defects=("privacy",))
    careless = Label(sample_id="s1", doc_sha256=SHA, annotator="ben", label="good")
    labels = [*labels_of(sample), second, careless]
    verdict = decide(sample, labels, sample_digest="s", labels_digest="l")
    assert verdict.defective == 1
    assert verdict.seeded_found == 599


def test_a_label_on_another_text_is_refused() -> None:
    sample = sample_of()
    labels = [*labels_of(sample), Label(sample_id="d1", doc_sha256="b" * 64, annotator="eve", label="good")]
    with pytest.raises(DataError, match="another text"):
        decide(sample, labels, sample_digest="s", labels_digest="l")


def test_labels_of_readers_that_the_policy_does_not_accept_do_not_count() -> None:
    sample = sample_of(policy=Policy(readers=("automatic",)))
    verdict = verdict_of(sample)
    assert (verdict.status, verdict.read) == ("need_more", 0)


def test_a_person_can_refuse_but_not_allow() -> None:
    sample = sample_of()
    refused = decide(sample, list(labels_of(sample)), sample_digest="s", labels_digest="l", veto="smells")
    assert refused.status == "fail"
    assert "smells" in refused.reasons[0]


ANYTIME = Policy(test="anytime")


def shuffled(sample: Sample) -> Sample:
    """The same sample with its seeds spread over it, as evaluate's random order does."""
    documents, seeds = (list(group) for group in (sample.drawn[:-600], sample.drawn[-600:]))
    step = len(documents) // len(seeds)
    drawn = [d for i, seed in enumerate(seeds) for d in (seed, *documents[i * step : (i + 1) * step])]
    return Sample(sample.facts, (*drawn, *documents[len(seeds) * step :]))


def test_reading_may_stop_as_soon_as_the_evidence_is_enough() -> None:
    sample = shuffled(sample_of(documents=6000, population=100_000, policy=ANYTIME))
    order = [d.sample_id for d in sample.drawn]
    assert verdict_of(sample, skip=tuple(order[3000:])).status == "need_more"
    stopped = verdict_of(sample, skip=tuple(order[5000:]))
    assert stopped.status == "pass" and stopped.read < 4600
    assert stopped.bound <= 99
    fixed = shuffled(sample_of(documents=6000, population=100_000))
    assert verdict_of(fixed, skip=tuple(order[5000:])).status == "need_more", (
        "a fixed plan is read to its end"
    )


def test_what_was_read_out_of_turn_counts_only_against_the_corpus() -> None:
    sample = shuffled(sample_of(documents=6000, population=100_000, policy=ANYTIME))
    order = [d.sample_id for d in sample.drawn]
    gap = verdict_of(sample, skip=(order[50],))
    assert gap.status == "need_more" and gap.read <= 50
    late = next(name for name in order[5500:] if name.startswith("d"))
    assert (
        verdict_of(sample, skip=tuple(n for n in order[5000:] if n != late), bad=(late,)).status
        == "need_more"
    )


def test_a_defect_can_be_outweighed_by_reading_on_until_there_are_too_many() -> None:
    sample = shuffled(sample_of(documents=9000, population=100_000, policy=ANYTIME))
    order = [d.sample_id for d in sample.drawn]
    early = next(name for name in order if name.startswith("d"))
    waiting = verdict_of(sample, skip=tuple(order[2000:]), bad=(early,))
    assert waiting.status == "need_more" and waiting.rate > 0.0005
    assert waiting.need.documents is not None and 7000 < waiting.need.documents < 9000
    assert verdict_of(sample, bad=(early,)).status == "pass"
    many = tuple(name for name in order if name.startswith("d"))[:100]
    assert verdict_of(sample, bad=many).status == "fail"


def answer(sample_id: str, who: str, label: str, role: str = "reader") -> Label:
    defects = ("toxic",) if label == "bad" else ()
    return Label(sample_id=sample_id, doc_sha256=SHA, annotator=who, label=label, role=role, defects=defects)


def decided(sample: Sample, *more: Label) -> Verdict:
    return decide(sample, [*labels_of(sample), *more], sample_digest="s", labels_digest="l")


def test_an_adjudicator_decides_where_readers_differ() -> None:
    sample = sample_of()
    doubted = answer("d7", "ben", "bad")
    assert decided(sample, doubted).status == "fail"
    assert decided(sample, doubted, answer("d7", "eve", "good", "adjudicator")).status == "pass"
    upheld = decided(sample, doubted, answer("d7", "eve", "bad", "adjudicator"))
    assert (upheld.status, upheld.defective) == ("fail", 1)
    both = (answer("d7", "eve", "good", "adjudicator"), answer("d7", "zoe", "bad", "adjudicator"))
    assert decided(sample, doubted, *both).status == "fail"


def test_nobody_adjudicates_what_they_have_read() -> None:
    sample = sample_of()
    own = (answer("d7", "ben", "bad"), answer("d7", "ben", "good", "adjudicator"))
    assert decided(sample, *own).status == "fail"


def test_an_adjudicator_who_clears_a_seeded_defect_has_missed_it() -> None:
    sample = sample_of()
    cleared = decided(sample, answer("s3", "eve", "good", "adjudicator"))
    assert cleared.seeded_found == 599
    saved = decided(sample, answer("s3", "ben", "good"), answer("s3", "eve", "bad", "adjudicator"))
    assert saved.seeded_found == 600


def test_agreement_counts_pairs_of_people() -> None:
    labels = [
        *(answer(f"d{i}", who, "good") for i in range(8) for who in ("anna", "ben")),
        *(answer("d8", who, "bad") for who in ("anna", "ben")),
        answer("d9", "anna", "bad"),
        answer("d9", "ben", "good"),
        answer("d9", "eve", "good", "adjudicator"),
        answer("d10", "anna", "bad"),
    ]
    found = agreement(labels)
    assert (found["pairs"], found["agreeing"]) == (10, 9)
    assert found["positive"] == pytest.approx(2 / 3)
    # one 2 of 10, other 1 of 10: chance (2·1 + 8·9)/100 = .74; Gwet: 2·.15·.85 = .255
    assert found["kappa"] == pytest.approx((0.9 - 0.74) / 0.26)
    assert found["ac1"] == pytest.approx((0.9 - 0.255) / 0.745)
    assert agreement(labels[-1:])["positive"] is None
