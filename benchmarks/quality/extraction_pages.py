"""The pages of crawl_mix with their human ground truth, and how an extracted text is judged by it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from fastwarc.warc import ArchiveIterator, WarcRecordType

from steps.ingest.html import decode

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "crawl_mix"
TOKEN = re.compile(r"[\u3400-\u9fff\u3040-\u30ff\uac00-\ud7af]|[^\W_]+")
SPACE = re.compile(r"\s+")
HAN = re.compile(r"[\u3400-\u9fff]")
KANA = re.compile(r"[\u3040-\u30ff]")
HAN_SHARE = 0.3  # of a ground truth's characters, from which on a page without kana counts as Chinese


class TruthPage(NamedTuple):
    """A page as crawled, and what people said of it; ``main`` is empty where only snippets were marked."""

    record: str
    url: str
    html: str
    bytes: int
    language: str
    main: str
    must: list[str]
    must_not: list[str]


class Score(NamedTuple):
    """Mean token F1 over the pages with a main text, and the snippets found or rightly absent."""

    f1: float
    pages: int
    must: int
    must_of: int
    must_not: int
    must_not_of: int


def load_pages(folder: Path = DATA) -> list[TruthPage]:
    """Every page of crawl_mix that has a ground truth. Raises FileNotFoundError naming the folder."""
    if not folder.is_dir():
        raise FileNotFoundError(f"the shared test data is not at {folder}")
    with gzip.open(folder / "ground_truth/shared.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
        truths = {row["record"]: row for row in map(json.loads, file)}
    with (folder / "manifest.jsonl").open(encoding="utf-8", newline="\n") as file:
        languages = {row["record"]: row["lang_fasttext"] for row in map(json.loads, file)}
    pages = []
    for identifier, payload, charset in _responses(folder):
        truth = truths.get(identifier)
        if truth is None:
            continue
        main = truth.get("main_content") or ""
        language = "zh" if _is_chinese(main) else languages.get(identifier, "")
        snippets = [[text for text in truth.get(name) or [] if text.strip()] for name in ("with_", "without")]
        html = decode(payload, charset).text
        pages.append(TruthPage(identifier, truth["url"], html, len(payload), language, main, *snippets))
    return pages


def _responses(folder: Path) -> Iterator[tuple[str, bytes, str | None]]:
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
                yield record.headers["WARC-Record-ID"], record.reader.read(), record.http_charset


def _is_chinese(text: str) -> bool:
    return len(HAN.findall(text)) > HAN_SHARE * len(text) and not KANA.search(text)


def site(url: str) -> str:
    """The domain that a page's publisher owns, roughly: pages of one site lie in one fold."""
    parts = (urlsplit(url).hostname or "").split(".")
    second = (
        len(parts) > 2
        and len(parts[-1]) == 2
        and parts[-2] in ("co", "com", "org", "net", "gov", "ac", "edu")
    )
    return ".".join(parts[-3 if second else -2 :])


def token_f1(found: str, wanted: str) -> float:
    """F1 of the multisets of words (of characters, in Chinese, Japanese and Korean), case folded."""
    ours, theirs = Counter(TOKEN.findall(found.lower())), Counter(TOKEN.findall(wanted.lower()))
    return 2 * sum((ours & theirs).values()) / max(sum(ours.values()) + sum(theirs.values()), 1)


def without_space(text: str) -> str:
    """Snippets are compared without white space: extractors differ in it."""
    return SPACE.sub("", text)


def judge(pages: Iterable[TruthPage], texts: Iterable[str]) -> Score:
    """The score of an extractor that gave ``texts`` for ``pages``."""
    f1: list[float] = []
    must = must_of = must_not = must_not_of = 0
    for page, text in zip(pages, texts, strict=True):
        if page.main:
            f1.append(token_f1(text, page.main))
        bare = without_space(text)
        must += sum(without_space(snippet) in bare for snippet in page.must)
        must_of += len(page.must)
        must_not += sum(without_space(snippet) not in bare for snippet in page.must_not)
        must_not_of += len(page.must_not)
    return Score(sum(f1) / max(len(f1), 1), len(f1), must, must_of, must_not, must_not_of)
