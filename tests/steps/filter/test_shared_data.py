"""Clean texts of others survive the rules; web texts lose what they should."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from steps.core.config import Runtime
from steps.core.step import run_step
from tests.steps.documents import make_corpus

DATA = Path(__file__).parents[3].parent / "shared" / "data"
LINK_DEFINITION = re.compile(r"(?m)^ {0,3}\[[^\[\]\n]+\]:[ \t]*[a-z]+:\S+[^\n]*$\n?")
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no shared data at {DATA}"),
]


def read(name: str, wanted: Callable[[dict], bool] = lambda _: True, limit: int = 300) -> list[str]:
    """The first texts of a JSONL file that are wanted; lines end in `\\n` only."""
    found: list[str] = []
    with gzip.open(DATA / name, "rb") as file:
        for line in file.read().split(b"\n"):
            if line.strip() and wanted(record := json.loads(line)) and record["text"].strip():
                found.append(record["text"])
            if len(found) == limit:
                break
    return found


def kept_share(root: Path, texts: list[str], language: str, kind: str) -> tuple[float, float]:
    """(documents kept, bytes of the kept ones left after edits) as shares of the texts as readers see them.

    Link definitions are no part of the text (CommonMark 0.31 section 4.7), and a rule removes them.
    """
    texts = [LINK_DEFINITION.sub("", text) for text in texts]
    rows = [{"text": text, "language": language, "source": "set"} for text in texts]
    made = run_step(
        "filter",
        config={"source_kinds": {"set": kind}},
        inputs={"corpus": make_corpus(root, [rows]).ref},
        root=f"file://{root}",
        runtime=Runtime(workers=1),
    ).counts.total
    return made.kept.documents / made.input.documents, made.written.bytes / made.kept.bytes


@pytest.mark.parametrize(
    ("name", "field", "language", "kind"),
    [
        ("lctt_opensource/lctt_opensource_zh_en.jsonl.gz", "zh", "zh", "web"),
        ("lctt_opensource/lctt_opensource_zh_en.jsonl.gz", "en", "en", "web"),
        ("wiki_zh/train.jsonl.gz", "", "zh", "reference"),
        ("wiki_en/train.jsonl.gz", "", "en", "reference"),
        ("laws_zh/laws.jsonl.gz", "", "zh", "law"),
        ("oi_wiki_zh/docs.jsonl.gz", "", "zh", "code"),
    ],
)
def test_at_least_97_percent_of_clean_documents_survive(
    tmp_path: Path, name: str, field: str, language: str, kind: str
) -> None:
    texts = read(name, lambda record: not field or record["lang"] == field)
    documents, size = kept_share(tmp_path, texts, language, kind)
    assert documents >= 0.97
    assert size >= 0.98


def test_noisy_web_answers_lose_a_fifth_or_more(tmp_path: Path) -> None:
    documents, _ = kept_share(tmp_path, read("dureader_web_zh/docs.jsonl.gz"), "zh", "web")
    assert 0.4 <= documents <= 0.8
