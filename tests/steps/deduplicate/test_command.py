"""`tokenmill dedup explain` on a corpus with one duplicate of each kind, and on a second dump."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from steps.core.cli import main
from tests.steps.deduplicate.test_deduplicate import deduplicate, edited, record, sentence, text_of
from tests.steps.documents import make_corpus


def said(capsys: pytest.CaptureFixture[str], root: Path, *arguments: str) -> str:
    assert main(["dedup", "explain", *arguments, f"--root=file://{root}"]) == 0
    return capsys.readouterr().out


def test_each_kind_of_duplicate_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    tokens = sentence(rng, "zh", 300)
    text = text_of(tokens, "zh")
    near = text_of(edited(rng, tokens, 0.01, "zh"), "zh")
    documents = [
        record(text, 1, "https://a.example/1", language="zh"),
        record(text_of(sentence(rng, "zh", 300), "zh"), 2, "http://A.example:80/1#top", language="zh"),
        record(f"{text}！！！😀", 3, language="zh"),
        record(near, 4, language="zh"),
        record(text_of(sentence(rng, "zh", 300), "zh"), 5, language="zh"),
    ]
    first = deduplicate(tmp_path, make_corpus(tmp_path, [documents]))
    removed = {f"{n:032x}": said(capsys, tmp_path, f"{n:032x}") for n in (2, 3, 4)}
    for number, (reason, why) in {
        2: ("duplicate_url", "same URL"),
        3: ("exact_duplicate", "same text once punctuation"),
        4: ("near_duplicate", "nearly the same text (Hamming distance "),
    }.items():
        lines = removed[f"{number:032x}"].split("\n")
        assert f"removed as {reason}, {why}" in lines[0]
        assert lines[1].startswith(f"  it:     {number:032x}")
        assert lines[3].startswith(f"  stayed: {1:032x}  https://a.example/1")
        assert text[:50] in lines[4]
    assert said(capsys, tmp_path, f"{1:032x}").count(": stayed; ") == 3
    assert said(capsys, tmp_path, f"{5:032x}").endswith(": stayed; nothing went for it\n")

    again = make_corpus(tmp_path / "second", [[record(near, 6, language="zh")]])
    second = deduplicate(tmp_path, again, index={"000": first.ref})
    lines = said(capsys, tmp_path, f"{6:032x}", f"--artifact={second.ref}").split("\n")
    assert "removed as near_duplicate" in lines[0] and "similarity 0.9" in lines[0]
    assert lines[3].endswith(f"https://a.example/1, published in {first.artifact.reference.folder}")


def test_a_shard_that_was_published_before_byte_for_byte_is_told_from_what_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shard = [record("one text of some words", 1), record("and another one", 2)]
    first = deduplicate(tmp_path, make_corpus(tmp_path / "1", [shard]))
    corpus = make_corpus(tmp_path / "2", [shard, [record("what is new", 3)]])
    second = deduplicate(tmp_path, corpus, index={"a": first.ref})
    lines = said(capsys, tmp_path, f"{1:032x}", f"--artifact={second.ref}").split("\n")
    assert "removed as exact_duplicate" in lines[0]
    assert lines[1] == f"  it:     {1:032x}  (no URL)"
    assert lines[3] == f"  stayed: {1:032x}  (no URL), published in {first.artifact.reference.folder}"


def test_what_went_for_a_document_that_a_later_stage_removed_is_followed_to_what_stayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [
        record("one text of some words", 1),
        record("one text, of some words!", 2, "http://a.example/"),
        record("another version of this page", 3, "https://a.example/"),
    ]
    deduplicate(tmp_path, make_corpus(tmp_path, [documents]))
    lines = said(capsys, tmp_path, f"{3:032x}").split("\n")
    assert "removed as duplicate_url" in lines[0]
    assert lines[3] == f"  first:  {2:032x}  http://a.example/"
    assert lines[5].startswith("  which then was removed as exact_duplicate, same text")
    assert lines[6] == f"  stayed: {1:032x}  (no URL)"
    second = said(capsys, tmp_path, f"{2:032x}")
    assert ": removed as exact_duplicate" in second
    assert f": before that {3:032x} went as its duplicate_url" in second and "stayed; " not in second


def test_an_unknown_document_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deduplicate(tmp_path, make_corpus(tmp_path, [[record("one text of some words", 1)]]))
    assert main(["dedup", "explain", "f" * 32, f"--root=file://{tmp_path}"]) == 65
    assert "did not reach any de-duplication" in capsys.readouterr().err


def test_another_step_s_artifact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = make_corpus(tmp_path, [[record("one text of some words", 1)]])
    arguments = ["dedup", "explain", f"{1:032x}", f"--artifact={corpus.ref}", f"--root=file://{tmp_path}"]
    assert main(arguments) == 64
    assert "is no deduplicate artifact" in capsys.readouterr().err
