"""The pages of single stages show their own figures, and hide what must stay hidden."""

from __future__ import annotations

import html
import re
from pathlib import Path

from steps.core.config import Runtime
from steps.core.step import Outcome, run_step
from tests.steps.documents import make_corpus

ZH = "村子东边有三百亩地，地面泛着一层白霜，种玉米只长到膝盖高。邮箱 a.b@example.org。"
EN = "The proteins lose their shape quickly when they become warm, and it cannot be reversed. "
DE = "Um sechs Uhr früh ist der Parkplatz noch leer, und über dem Bach hängt ein dünner Nebel."


def run(root: Path, name: str, corpus: Outcome, **config: object) -> Outcome:
    runtime = Runtime(workers=1)
    return run_step(
        name, config=config, inputs={"corpus": corpus.ref}, root=f"file://{root}", runtime=runtime
    )


def page_of(outcome: Outcome) -> str:
    (view,) = outcome.artifact.manifest.views
    return outcome.artifact.read_bytes(view).decode()


def section(page: str, title: str) -> str:
    """One section of a page as text without tags."""
    (found,) = re.findall(rf"<section[^>]*><h2>{title}</h2>(.*?)</section>", page, re.S)
    return html.unescape(re.sub(r"<[^>]*>", " ", found))


def test_preprocess_shows_languages_changes_and_the_score_bound(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, [[{"text": ZH}, {"text": EN * 3}, {"text": DE}]])
    page = page_of(run(tmp_path, "preprocess", corpus))
    languages = section(page, "Languages")
    assert all(f"{name} " in languages for name in ("zh", "en", "de")) and "at least 0." in languages
    assert "personal_data_spans" in section(page, "Changes in kept documents")
    assert DE in section(page, "Removed") and "a.b@example.org" not in section(page, "Kept")


def test_deduplicate_shows_each_removed_document_beside_the_one_that_stayed(tmp_path: Path) -> None:
    long = " ".join(f"{n * 7919 % 4391} fields of {n * 104729 % 6007} acres" for n in range(300))
    first, again = long + " First.", long + " Again."
    rows = [{"text": text, "url": f"http://example.org/{n}"} for n, text in enumerate([first, again, DE, DE])]
    page = page_of(run(tmp_path, "deduplicate", make_corpus(tmp_path, [rows])))
    found = re.findall(
        r'<div class="group (removed|kept)"><h3>(removed|stayed)</h3>.*?<div class="text"[^>]*>(.*?)</div>',
        page,
        re.S,
    )
    pairs = list(zip(found[::2], found[1::2], strict=True))
    assert len(pairs) == 2
    for gone, stayed in pairs:
        assert (gone[:2], stayed[:2]) == (("removed", "removed"), ("kept", "stayed"))
    assert any(DE in gone[2] and DE in stayed[2] for gone, stayed in pairs)
    told = section(page, "How they were found")
    assert "same text 1" in " ".join(told.split()) and "Similarity" in told


def test_evaluate_shows_measures_and_no_text_of_the_sample(tmp_path: Path) -> None:
    texts = [f"{EN * 4} Number {n} of the secret texts." for n in range(30)]
    corpus = make_corpus(tmp_path, [[{"text": text, "doc_id": f"{n:032x}"} for n, text in enumerate(texts)]])
    made = run(tmp_path, "evaluate", corpus, sample_fraction=1.0, seeded=12)
    page = page_of(made)
    assert "any defect rate" in page and "web · en" in section(page, "The sample")
    assert "compression" in section(page, "Measures")
    sample = made.artifact.read_table(made.artifact.file("sample.parquet")).to_pylist()
    assert not any(row["sample_id"] in page or row["doc_id"] in page for row in sample)
    assert "secret texts" not in page and "proteins" not in page
