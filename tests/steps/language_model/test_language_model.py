"""Language models: the same bytes every time, clear errors, and scores that equal kenlm's."""

from __future__ import annotations

import math
from pathlib import Path

import kenlm
import numpy as np
import pytest
import sentencepiece

from steps.core.config import Runtime
from steps.core.errors import ConfigError, DataError, UsageError
from steps.core.step import Outcome, run_step
from steps.language_model.reference import hold_out_every
from steps.language_model.train import encode_lines, find_lmplz, train_ngrams, train_pieces
from steps.text.kenlm_score import Scorer
from steps.text.scorer_text import normalise_lines
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import chinese, english, records

SMALL = {"vocabulary": 300, "order": 3}


def train(root: Path, corpus: Outcome, workers: int = 1, **config: object) -> Outcome:
    return run_step(
        "language_model",
        config={**SMALL, **config},
        inputs={"corpus": corpus.ref},
        root=f"file://{root}",
        runtime=Runtime(workers=workers),
    )


def test_one_and_two_workers_train_the_same_bytes(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "in", records(20))
    one = train(tmp_path / "a", corpus, language="zh")
    two = train(tmp_path / "b", corpus, workers=2, language="zh")
    assert one.digest == two.digest
    assert [(f.key, f.kind) for f in one.artifact.files()] == [
        ("lm.bin", "kenlm"),
        ("sp.model", "sentencepiece"),
    ]
    assert one.facts["language"] == "zh" and one.facts["documents"] == 60
    assert one.counts.total.kept.documents == 60


def test_memory_and_temporary_files_do_not_change_the_model(tmp_path: Path) -> None:
    lines = [line for seed in range(50) for line in normalise_lines([english(seed, 20)])[0]]
    pieces = train_pieces(lines, vocabulary=300, character_coverage=0.9995, max_line_bytes=4096, threads=2)
    assert pieces == train_pieces(
        lines, vocabulary=300, character_coverage=0.9995, max_line_bytes=4096, threads=2
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=pieces)
    models = []
    for name, memory in (("a", 64 << 20), ("b", 512 << 20)):
        scratch = tmp_path / name
        scratch.mkdir()
        (scratch / "pieces.txt").write_bytes(encode_lines(processor, lines))
        train_ngrams(
            scratch / "pieces.txt",
            scratch / "lm.bin",
            order=4,
            prune=(),
            structure="probing",
            scratch=scratch,
            memory=memory,
        )
        models.append((scratch / "lm.bin").read_bytes())
        assert sorted(p.name for p in scratch.iterdir()) == ["lm.bin", "pieces.txt"]
    assert models[0] == models[1]


def test_a_small_corpus_gets_fewer_pieces_and_says_so(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "in", records(5))
    made = train(tmp_path, corpus, language="en", vocabulary=50_000)
    assert 50 < made.facts["vocabulary"] < 50_000
    path = made.artifact.fetch(made.artifact.file("sp.model"), tmp_path / "models")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path)).get_piece_size()
    assert pieces == made.facts["vocabulary"]


def test_max_documents_takes_the_first_in_shard_order(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "in", records(10))
    made = train(tmp_path, corpus, language="en", max_documents=13)
    assert made.facts["documents"] == 13 and made.counts.total.input.documents == 13


def test_a_missing_lmplz_names_make_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENMILL_LMPLZ", str(tmp_path / "lmplz"))
    with pytest.raises(ConfigError, match=r"lmplz was not found .*make setup"):
        find_lmplz()


def test_a_language_without_documents_is_named(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "in", records(2))
    with pytest.raises(DataError, match="no kept document of language 'de'"):
        train(tmp_path, corpus, language="de")


def test_a_vocabulary_below_the_characters_says_so() -> None:
    lines = [chr(0x4E00 + n) * 3 for n in range(500)]
    with pytest.raises(ConfigError, match="vocabulary=300 is smaller than the number of characters"):
        train_pieces(lines, vocabulary=300, character_coverage=1.0, max_line_bytes=4096, threads=1)


def test_perplexity_equals_the_formula_on_kenlms_own_scores(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "in", records(20))
    made = train(tmp_path, corpus, language="en")
    paths = [made.artifact.fetch(made.artifact.file(name), tmp_path / "m") for name in ("sp.model", "lm.bin")]
    texts = [english(7, 3), "Über 25 Café—dogs\n\n  ships SAIL! \n", chinese(3, 4), "", "\n \n", "x"]
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(paths[0]))
    model = kenlm.Model(str(paths[1]))
    expected = []
    for text, lines in zip(texts, normalise_lines(texts), strict=True):
        total, length = 0.0, 0
        for line in lines:
            tokens = pieces.encode(line, out_type=str)
            scores = [score for score, _, _ in model.full_scores(" ".join(tokens), bos=True, eos=True)]
            assert len(scores) == len(tokens) + 1
            total, length = total + sum(scores), length + len(scores)
        expected.append(10 ** (-total / length) if length else math.nan)
        assert bool(lines) == bool(text.strip())
    found = Scorer(paths[0], paths[1]).perplexities(texts)
    assert found.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-4, nan_ok=True)
    assert found[0] < found[5]


def test_the_reference_is_measured_on_documents_that_were_held_out(tmp_path: Path) -> None:
    assert [hold_out_every(n) for n in (3, 60, 250, 1_000, 100_000)] == [4, 4, 5, 20, 50]
    corpus = make_corpus(tmp_path / "in", records(20))
    made = train(tmp_path, corpus, language="en")
    paths = [made.artifact.fetch(made.artifact.file(name), tmp_path / "m") for name in ("sp.model", "lm.bin")]
    texts = [row["text"] for shard in records(20) for row in shard if row["language"] == "en"]
    held_out = texts[3::4]
    assert made.facts["reference"]["documents"] == len(held_out) == 15
    assert made.facts["lines"] == sum(len(text.split("\n")) for text in texts if text not in held_out)
    scores = Scorer(paths[0], paths[1]).score(held_out)
    low, middle, high = np.quantile(np.log10(scores.perplexity), [0.1, 0.5, 0.9])
    assert made.facts["reference"]["surprise"] == pytest.approx(middle, abs=1e-4)
    assert made.facts["reference"]["width"] == pytest.approx(max(high - low, 0.05), abs=2e-4)
    assert made.facts["reference"]["line"] == pytest.approx(np.quantile(scores.surprise, 0.9), abs=1e-4)
    few = train(tmp_path / "few", make_corpus(tmp_path / "few", records(5)), language="en", vocabulary=200)
    assert few.facts["reference"] is None


def test_without_corpus_and_source_it_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs the input corpus, source"):
        run_step("language_model", config={}, inputs={}, root=f"file://{tmp_path}")
