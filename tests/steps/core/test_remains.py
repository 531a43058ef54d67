"""Whether a verdict holds for what is left of its documents; a step that others overtake is done again."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steps.core.errors import Overtaken
from steps.core.labels import Label
from steps.core.policy import Policy
from steps.core.remains import Remains, after_removals
from steps.core.statistics import allowed_defects
from steps.core.step import ROUNDS, run_step
from steps.core.verdict import POOLED, Sample, Stratum, Verdict, decide
from tests.steps.core.test_verdict import sample_of
from tests.steps.core.toy import MAKE


def sha(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def gated(documents: int, population: int, bad: tuple[str, ...] = (), **policy: Any) -> tuple[Any, ...]:
    """(verdict, sample, labels) on documents with a text each, of which readers call ``bad`` defective."""
    settings = {"limit": 0.01, "stratum_ceiling": None, **policy}
    sample = sample_of(documents, 600, population, Policy.model_validate(settings))
    drawn = tuple(replace(d, doc_sha256=sha(d.sample_id)) for d in sample.drawn)
    sample = Sample(sample.facts, drawn)
    labels = [
        Label(
            sample_id=d.sample_id,
            doc_sha256=d.doc_sha256,
            annotator="anna",
            label="bad" if d.defect or d.sample_id in bad else "good",
        )
        for d in drawn
    ]
    return decide(sample, labels, sample_digest="s", labels_digest="l"), sample, labels


def left(sample: Sample, documents: int, gone: tuple[str, ...] = ()) -> Remains:
    texts = frozenset(d.doc_sha256 for d in sample.drawn if d.sample_id not in gone)
    return Remains(documents, {"web|zh": documents}, texts, texts)


def test_the_stored_bound_decides_for_fewer_documents_exactly() -> None:
    verdict, sample, labels = gated(1000, 10_000)
    assert verdict.status == "pass" and 0 < verdict.bound <= allowed_defects(10_000, 0.01)
    least = next(n for n in range(1, 10_001) if allowed_defects(n, 0.01) >= verdict.bound)
    assert 100 * verdict.bound < least < 10_000
    assert after_removals(verdict, sample, labels, left(sample, least)) == ()
    (reason,) = after_removals(verdict, sample, labels, left(sample, least - 1))
    assert reason.startswith(f"up to {verdict.bound} of them may be defective")
    assert after_removals(verdict, sample, labels, left(sample, 10_000)) == ()


def test_the_plain_rate_is_that_of_the_documents_read_that_are_left() -> None:
    verdict, sample, labels = gated(400, 400, ("d7", "d8"), bound="none")
    assert (verdict.status, verdict.defective) == ("pass", 2)
    most = tuple(f"d{n}" for n in range(100, 300))
    (reason,) = after_removals(verdict, sample, labels, left(sample, 200, most))
    assert reason == "2 of the 200 documents that were read and are left are defective"
    assert after_removals(verdict, sample, labels, left(sample, 199, (*most, "d7"))) == ()
    everything = tuple(f"d{n}" for n in range(400))
    assert after_removals(verdict, sample, labels, left(sample, 0, everything)) == (
        "none of the documents that were read is left",
    )


def test_of_equal_texts_of_which_some_went_a_defective_one_counts_as_left_and_a_clean_one_as_gone() -> None:
    verdict, sample, labels = gated(400, 400, ("d7", "d8", "d9"), bound="none")
    some = left(sample, 399).some
    remains = Remains(
        399, {"web|zh": 399}, some - {sha("d7"), *(sha(f"d{n}") for n in range(100, 210))}, some
    )
    (reason,) = after_removals(verdict, sample, labels, remains)
    assert reason.startswith("3 of the 290 documents")


def test_a_stratum_that_shrank_below_its_ceiling_is_named() -> None:
    verdict, sample, labels = gated(400, 400, stratum_ceiling=0.05, stratum_minimum=200)
    assert verdict.status == "pass"
    stratum = verdict.strata["web|zh"].model_copy(update={"bound": 3})
    verdict = Verdict.model_validate({**verdict.model_dump(), "strata": {"web|zh": stratum, POOLED: stratum}})
    sample.facts.strata["forum|en"] = Stratum(documents=100, sampled=0)
    remains = left(sample, 400)
    assert after_removals(verdict, sample, labels, replace(remains, strata={"web|zh": 61})) == ()
    (reason,) = after_removals(verdict, sample, labels, replace(remains, strata={"web|zh": 60}))
    assert reason == "web|zh: up to 3 of 60 documents may be defective (the ceiling is 5.00%)"
    (reason,) = after_removals(
        verdict, sample, labels, replace(remains, strata={"web|zh": 99, "forum|en": 9})
    )
    assert reason.startswith("other: up to 3 of 9")


def test_a_step_that_is_overtaken_is_settled_and_done_again_a_few_times(tmp_path: Path) -> None:
    calls: list[str] = []

    def overtaken(times: int) -> Any:
        def after_commit(artifact: Any, run: Any) -> None:
            calls.append("commit")
            if calls.count("commit") <= times:
                raise Overtaken("another dump was published")

        def settle(inputs: Any, run: Any, store: Any, runtime: Any) -> Any:
            calls.append(f"settle {run['dump']} below {store.uri == f'file://{tmp_path}'}")
            return inputs

        return replace(MAKE, settle=settle, after_commit=after_commit)

    settings: dict[str, Any] = {"config": {"max_quarantine_share": 1.0}, "inputs": {}, "run": {"dump": "D"}}
    made = run_step(overtaken(2), root=f"file://{tmp_path}", **settings)
    assert made.cached and calls == ["settle D below True", "commit"] * 3
    calls.clear()
    with pytest.raises(Overtaken) as raised:
        run_step(overtaken(99), root=f"file://{tmp_path}", **settings)
    assert calls.count("commit") == ROUNDS and raised.value.exit_code == 69
