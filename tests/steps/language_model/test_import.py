"""A published scorer is taken over through the command line and scores as its makers' own program does."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import unicodedata
from pathlib import Path

import kenlm
import numpy as np
import pytest
import sentencepiece

from steps.core.artifact import Artifact
from steps.core.catalog import Catalog
from steps.core.cli import main
from steps.core.config import Runtime
from steps.core.step import run_step
from steps.core.store import open_store
from steps.text.kenlm_score import Scorer
from tests.steps.documents import make_corpus
from tests.steps.language_model.corpora import chinese, english, records

# facebookresearch/cc_net@bda555b, text_normalizer.py: what it maps and removes, written down once more
PUNCTUATION = {
    "，": ",", "。": ".", "、": ",", "„": '"', "”": '"', "“": '"', "«": '"', "»": '"', "１": '"', "」": '"', "「": '"',
    "《": '"', "》": '"', "´": "'", "∶": ":", "：": ":", "？": "?", "！": "!", "（": "(", "）": ")", "；": ";",
    "–": "-", "—": " - ", "．": ". ", "～": "~", "’": "'", "…": "...", "━": "-", "〈": "<", "〉": ">", "【": "[",
    "】": "]", "％": "%", "►": "-",
}  # fmt: skip
REMOVED = {*map(chr, range(32)), *map(chr, range(127, 160))}


def cc_net_normalise(line: str, accent: bool, case: bool) -> str:
    line = line.strip()
    if not line:
        return line
    if case:
        line = line.lower()
    if accent:
        line = "".join(c for c in unicodedata.normalize("NFD", line) if unicodedata.category(c) != "Mn")
    line = re.sub(r"\d", "0", line)
    line = "".join(PUNCTUATION.get(c, c) for c in line)
    return "".join(c for c in line if c not in REMOVED)


def cc_net_perplexity(
    text: str, folder: Path, language: str, accent: bool = True, case: bool = True
) -> float | None:
    """mine.py's steps: MultiSentencePiece with normalize=True, then perplexity.py's DocLM without."""
    pieces = sentencepiece.SentencePieceProcessor()
    pieces.load(str(folder / f"{language}.sp.model"))
    model = kenlm.Model(str(folder / f"{language}.arpa.bin"))
    content = " ".join(pieces.encode_as_pieces(cc_net_normalise(text, accent, case)))
    if not content:
        return None
    doc_log_score, doc_length = 0.0, 0
    for line in content.split("\n"):
        doc_log_score += model.score(line)
        doc_length += len(line.split()) + 1
    return round(10.0 ** (-doc_log_score / doc_length), 1)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as cc_net's: made with its normalisation, named as it names files."""
    root = tmp_path_factory.mktemp("published")
    made = run_step(
        "language_model",
        config={"language": "en", "vocabulary": 300, "order": 3, "normalisation": "cc_net"},
        inputs={"corpus": make_corpus(root, records(20)).ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    ).artifact
    folder = root / "lm_sp"
    folder.mkdir()
    shutil.copy(made.fetch(made.file("sp.model"), root / "files"), folder / "en.sp.model")
    shutil.copy(made.fetch(made.file("lm.bin"), root / "files"), folder / "en.arpa.bin")
    return folder


def import_model(root: Path, folder: Path, *arguments: str) -> int:
    return main(
        ["language-model", "import", str(folder), "--language=en", *arguments, f"--root=file://{root}"]
    )


def scorer(root: Path, name: str) -> tuple[Artifact, Scorer]:
    store = open_store(f"file://{root}")
    made = Artifact.open(Catalog(store).get("language_models")[name]["en"], store)
    pieces, grams = (made.fetch(made.file(key), root / "fetched") for key in ("sp.model", "lm.bin"))
    return made, Scorer(pieces, grams, made.facts["normalisation"])


TEXTS = [
    english(7, 3), "Über 25 Café—dogs\n\n  ships SAIL in 2024.\nSecond １ line “x”\t(y) \n", chinese(3, 4), "", " \n ",
    "x", "ΟΔΟΣ\u2028ΣΑΣ\x85\u200b한국어", "\x00\x01", "a\u00a0b\u3000c",
]  # fmt: skip


@pytest.mark.parametrize(("name", "case"), [("cc_net", True), ("edugp", False)])
def test_perplexities_are_those_of_the_published_program(
    published: Path, tmp_path: Path, name: str, case: bool
) -> None:
    assert import_model(tmp_path, published, f"--name={name}", f"--normalisation={name}") == 0
    made, found = scorer(tmp_path, name)
    assert made.facts["reference"] is None and made.facts["order"] == 3
    expected = [cc_net_perplexity(text, published, "en", accent=case, case=case) for text in TEXTS]
    assert [None if np.isnan(x) else x for x in found.perplexities(TEXTS).tolist()] == expected
    assert sum(x is not None for x in expected) >= 5


@pytest.mark.data
def test_perplexities_of_real_text_are_those_of_the_published_program(
    published: Path, tmp_path: Path, shared_data: Path
) -> None:
    texts = []
    for name in ("cc_en_samples/c4_demo.jsonl.gz", "dureader_web_zh/docs.jsonl.gz"):
        with gzip.open(shared_data / name, "rb") as file:
            texts += [json.loads(line)["text"] for line in file.read().split(b"\n")[:40] if line.strip()]
    assert import_model(tmp_path, published, "--name=x") == 0
    found = scorer(tmp_path, "x")[1].perplexities(texts)
    assert found.tolist() == [cc_net_perplexity(text, published, "en") for text in texts]


def test_with_good_text_the_imported_model_has_a_reference(published: Path, tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, records(20))
    assert import_model(tmp_path, published, "--name=x", f"--corpus={corpus.ref}") == 0
    reference = scorer(tmp_path, "x")[0].facts["reference"]
    assert reference["documents"] == 60 and reference["line"] is None
    assert 0 < reference["surprise"] < 3


def test_files_that_do_not_belong_together_are_refused(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(published, other)
    (other / "en.arpa.bin").write_bytes(b"not a model")
    assert import_model(tmp_path / "root", other, "--name=x") == 65
    assert "en.arpa.bin is no KenLM model" in capsys.readouterr().err
    (other / "en.arpa.bin").unlink()
    assert import_model(tmp_path / "root", other, "--name=x") == 65
    assert "no en.arpa.bin" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert import_model(tmp_path / "root", empty, "--name=x") == 64
    mixed = run_step(
        "language_model",
        config={"language": "zh", "vocabulary": 300, "order": 2},
        inputs={"corpus": make_corpus(tmp_path / "zh", records(20)).ref},
        root=f"file://{tmp_path / 'zh'}",
        runtime=Runtime(workers=1),
    ).artifact
    shutil.copy(mixed.fetch(mixed.file("lm.bin"), tmp_path / "files"), other / "en.arpa.bin")
    assert import_model(tmp_path / "root", other, "--name=x") == 65
    assert "were not made together" in capsys.readouterr().err
