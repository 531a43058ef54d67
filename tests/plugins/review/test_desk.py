"""The queue of a sample: who gets which document, what an answer leaves behind, and that nothing of it is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from plugins.review.desk import CLAIM_SECONDS, REFRESH_SECONDS, Answer, Desk, Document, Refused, read_twice
from steps.core.labels import Label, collect_labels, is_bad, labels_table
from steps.core.store import FileStore

SHA = "a" * 64


class Sample:
    """What a desk asks of an evaluate artifact, over a real store."""

    digest = "d" * 64

    def __init__(self, root: Path, documents: int) -> None:
        self.store = FileStore(root)
        names = [f"{number:020x}" for number in range(documents)]
        self.names = names
        rows = [
            {"sample_id": n, "doc_id": n, "doc_sha256": SHA, "stratum": "web|zh", "source": "web", "language": "zh",
             "url": None, "text": f"第 {n} 篇文章"}
            for n in names
        ]  # fmt: skip
        flagged = [
            Label(sample_id=names[0], doc_sha256=SHA, annotator="automatic", label="bad", defects=("toxic",))
        ]
        self._tables = {
            "sample.parquet": pa.Table.from_pylist(rows),
            "automatic.parquet": labels_table(flagged),
        }

    def file(self, name: str) -> str:
        return name

    def read_table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        return self._tables[name].select(columns) if columns else self._tables[name]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path, 60)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def desk_of(sample: Any, clock: Clock | None = None) -> Desk:
    return Desk(sample, clock or Clock())


def answer_of(document: Document, label: str = "good", **changes: Any) -> Answer:
    values = {
        "sample_id": document.sample_id,
        "doc_sha256": document.doc_sha256,
        "label": label,
        "seconds": 12.5,
    }
    if label == "bad":
        values["defects"] = ("toxic",)
    return Answer(**{**values, **changes})


def read_all(desk: Desk, reader: str) -> list[str]:
    read = []
    while document := desk.next(reader):
        desk.answer(reader, answer_of(document))
        read.append(document.sample_id)
    return read


def test_everything_is_read_once_and_a_tenth_twice_by_two_people(sample: Sample) -> None:
    desk = desk_of(sample)
    twice = read_twice(sample.names)
    assert len(twice) == 6
    first, second = read_all(desk, "anna"), read_all(desk, "ben")
    assert sorted(first) == sample.names
    assert set(second) == twice
    assert desk.next("eve") is None
    labels = collect_labels(sample.store, sample.digest)
    assert len(labels) == 60 + len(twice) == desk.progress("eve")["given"] == desk.progress("eve")["wanted"]


@pytest.mark.parametrize(("documents", "twice"), [(0, 0), (1, 1), (10, 1), (11, 2), (10_000, 1000)])
def test_a_tenth_at_least_is_read_twice_whatever_the_order(documents: int, twice: int) -> None:
    names = [f"{number:020x}" for number in range(documents)]
    assert len(read_twice(names)) == twice
    assert read_twice(reversed(names)) == read_twice(names) <= set(names)


def test_two_servers_never_give_one_place_to_two_people(sample: Sample) -> None:
    shown: list[str] = []

    def work(reader: str) -> None:
        desk = desk_of(sample)
        for _ in range(12):
            document = desk.next(reader)
            assert document is not None
            shown.append(document.sample_id)
            desk.answer(reader, answer_of(document))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("anna", "ben", "eve", "zoe")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(shown) == 48
    twice = read_twice(sample.names)
    assert all(shown.count(name) <= 1 + (name in twice) for name in shown)


def test_an_answer_through_a_server_that_has_not_heard_of_the_others_yet_is_what_the_person_gave(
    sample: Sample, clock: Clock
) -> None:
    here, other = desk_of(sample, clock), desk_of(sample, clock)
    first = here.next("anna")
    assert first is not None and other.next("zoe") is not None, "its picture is of now, for some seconds"
    here.answer("anna", answer_of(first, "bad"))
    corrected = other.answer("anna", answer_of(first, "good"))
    assert collect_labels(sample.store, sample.digest) == [corrected]
    for reader in ("anna", "ben"):
        while document := here.next(reader):
            here.answer(reader, answer_of(document, "bad"))
    contested = here.next("eve", adjudicate=True)
    assert contested is not None and here.others(contested.sample_id, "eve")
    label = other.answer("eve", answer_of(contested, adjudicated=True))
    assert label.role == "adjudicator", "who has seen what others said is no blind reader"
    said = [one for one in collect_labels(sample.store, sample.digest) if one.sample_id == label.sample_id]
    assert not is_bad(said)


def test_what_was_shown_and_not_answered_comes_again_even_from_a_new_server(sample: Sample) -> None:
    document = desk_of(sample).next("anna")
    assert document is not None
    again, other = desk_of(sample).next("anna"), desk_of(sample).next("ben")
    assert again == document
    assert other is not None and (other != document or document.readers == 2)


def test_a_claim_that_was_left_goes_to_somebody_else(sample: Sample, clock: Clock) -> None:
    desk = desk_of(sample, clock)
    left = next(d for d in iter(lambda: desk.next("anna"), None) if d)
    clock.now += CLAIM_SECONDS - 1
    assert left.readers == 2 or desk_of(sample, clock).next("ben") != left
    clock.now += 2
    assert desk_of(sample, clock).next("eve") == left


def test_an_answer_given_twice_is_one_label_and_a_correction_replaces_it(
    sample: Sample, clock: Clock
) -> None:
    desk = desk_of(sample, clock)
    document = desk.next("anna")
    assert document is not None
    assert desk.hints(document.sample_id, "anna") is None, "hints only after the answer"
    desk.answer("anna", answer_of(document))
    desk.answer("anna", answer_of(document))
    assert desk.hints(document.sample_id, "anna") == ("toxic",)
    assert len(list(sample.store.list("labels/"))) == 1
    clock.now += REFRESH_SECONDS + 1
    for label in ("bad", "good", "bad"):
        desk.answer("anna", answer_of(document, label))
    (counted,) = collect_labels(sample.store, sample.digest)
    assert counted.label == "bad" and counted.seconds == 12.5
    assert len(list(sample.store.list("labels/"))) == 4, "nothing is overwritten"
    assert [label.label for label in desk_of(sample).mine("anna")] == ["bad"]


def test_what_readers_call_bad_goes_to_somebody_who_has_not_read_it(sample: Sample, clock: Clock) -> None:
    desk = desk_of(sample, clock)
    while document := desk.next("anna"):
        desk.answer("anna", answer_of(document, "bad" if document.sample_id == sample.names[7] else "good"))
    read_all(desk, "ben")
    assert desk.next("anna", adjudicate=True) is None
    assert desk.progress("eve")["adjudicable"] == 1
    contested = desk.next("eve", adjudicate=True)
    assert contested is not None and contested.sample_id == sample.names[7]
    assert "bad" in [label.label for label in desk.others(contested.sample_id, "eve")]
    assert desk.next("zoe", adjudicate=True) is None, "it is eve's now"
    assert desk.answer("eve", answer_of(contested, adjudicated=True)).role == "adjudicator"
    assert desk.answer("eve", answer_of(contested, defects=("toxic",), label="bad")).role == "adjudicator"
    desk.answer("eve", answer_of(contested))
    assert desk.progress("eve")["contested"] == 0
    assert desk_of(sample).progress("eve")["contested"] == 0


def test_blind_readers_see_nothing_of_each_other(sample: Sample) -> None:
    desk = desk_of(sample)
    read_all(desk, "anna")
    document = desk.next("ben")
    assert document is not None and document.readers == 2
    assert desk.others(document.sample_id, "ben") == []


def test_an_answer_that_comes_after_its_claim_ran_out_is_a_blind_readers_and_decides_nothing(
    sample: Sample, clock: Clock
) -> None:
    desk = desk_of(sample, clock)
    late = next(d for d in iter(lambda: desk.next("anna"), None) if d)
    clock.now += CLAIM_SECONDS + 1
    for reader in ("ben", "eve")[: late.readers]:
        assert desk.next(reader) == late
        desk.answer(reader, answer_of(late, "bad"))
    label = desk.answer("anna", answer_of(late, "good"))
    assert label.role == "reader" and desk.others(late.sample_id, "anna") == []
    given = [label for label in collect_labels(sample.store, sample.digest)]
    assert len(given) == late.readers + 1 and is_bad(given)
    assert desk.progress("zoe")["contested"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "bad", "defects": ()}, "at least one defect"),
        ({"label": "good", "defects": ("toxic",)}, "a good one has none"),
        ({"label": "bad", "defects": ("nonsense",)}, "unknown defects: nonsense"),
        ({"label": "bad", "start": 3}, "a start and an end"),
        ({"label": "bad", "start": 3, "end": 4000}, "outside of the text"),
        ({"doc_sha256": "b" * 64}, "not in the sample"),
        ({"sample_id": "0" * 20 + "z"}, "not in the sample"),
    ],
)
def test_answers_that_cannot_be_are_refused(sample: Sample, changes: dict[str, Any], message: str) -> None:
    desk = desk_of(sample)
    document = desk.next("anna")
    assert document is not None
    with pytest.raises(Refused, match=message):
        desk.answer("anna", answer_of(document, **{"label": "good", **changes}))
    assert list(sample.store.list("labels/")) == []
