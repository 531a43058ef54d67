"""Texts that are worth keeping and texts that are not, without anybody labelling them: for quality_score.

Good: human main text, reference works, manuals, articles. Bad: what is left of a crawled page when its main text is
taken away (menus, footers, cookie notices, link lists), and good text that was spoilt (words shuffled, torn into
keywords, a line repeated, characters replaced, sentences cut off). Every text is a window of random size, so that
length says nothing about the label.

The curves of configs/quality are fitted to TRAIN sources and measured on HELD_OUT ones: other sites, other authors,
other extractors.
"""

from __future__ import annotations

import json
import random
import re
import tarfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding

from benchmarks.quality.chain import read_jsonl, shared

LANGUAGES = ("zh", "en")
TRAIN_SITES = ("wcxb", "magic-html")  # their main text is marked by hand; the other pages' by resiliparse
SHORTEST = 80  # characters of a text
MANUAL_PAGES = 150  # per manual and language
SPOILT_SHARE = 0.5  # of good windows, that come once more spoilt


class Text(NamedTuple):
    """One text: where it is from, its language, whether it is good, whether the curves may be fitted to it."""

    name: str
    language: str
    good: bool
    train: bool
    text: str


def texts(held_out_articles: dict[str, list[str]]) -> list[Text]:
    """Windows of all sources and their spoilt copies. `held_out_articles`: wiki articles that no model has seen."""
    found = []
    for whole in _sources(held_out_articles):
        for number in range(3 if whole.train else 1):
            pick = random.Random(f"{whole.name}:{len(whole.text)}:{whole.text[:200]}:{number}")
            window = whole._replace(text=_window(whole.text, pick))
            if len(window.text) < SHORTEST:
                continue
            found.append(window)
            if whole.good and pick.random() < SPOILT_SHARE:
                kind = pick.choice(sorted(SPOIL))
                bad = SPOIL[kind](window.text, window.language, pick)
                found.append(window._replace(name=f"spoilt: {kind}", good=False, text=bad))
    return [text for text in found if len(text.text) >= SHORTEST]


def _sources(articles: dict[str, list[str]]) -> Iterator[Text]:
    yield from _pages()
    yield from _manuals()
    for language, list_ in articles.items():
        yield from (Text("wiki", language, True, True, text) for text in list_)
    lines = {
        "oi_wiki": ("oi_wiki_zh/docs.jsonl.gz", "zh", True),
        "laws": ("laws_zh/laws.jsonl.gz", "zh", False),
        "c4": ("cc_en_samples/c4_demo.jsonl.gz", "en", False),
    }
    for name, (file, language, train) in lines.items():
        rows = list(read_jsonl(shared(file)))[:300]
        yield from (Text(name, language, True, train, row["text"]) for row in rows)
    for row in read_jsonl(shared("lctt_opensource/lctt_opensource_zh_en.jsonl.gz")):
        yield Text("lctt", row["lang"], True, False, row["text"])
    plain = [*shared("cc_en_samples/dolma_ccnet").glob("*.jsonl")]
    plain += shared("cc_en_samples/data-juicer").glob("*-refined.jsonl")
    for path in sorted(plain):
        if "stackexchange" not in path.name:
            for line in path.read_bytes().split(b"\n"):
                if line.strip():
                    yield Text("public samples", "en", True, False, json.loads(line)["text"])


def _pages() -> Iterator[Text]:
    """Main text and the rest of every page of crawl_mix in both languages."""
    folder = shared("crawl_mix")
    with (folder / "manifest.jsonl").open("rb") as file:
        pages = {row["record"]: row for row in map(json.loads, file)}
    truth = {row["record"]: row for row in read_jsonl(folder / "ground_truth" / "shared.jsonl.gz")}
    for path in sorted(folder.glob("*.warc.gz")):
        if path.name.endswith(".wet.gz"):
            continue
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response):
                page = pages.get(record.record_id)
                if page is not None and page["lang_fasttext"] in LANGUAGES:
                    yield from _parts(page, truth.get(record.record_id, {}), record.reader.read())


def _parts(page: dict[str, Any], truth: dict[str, Any], body: bytes) -> Iterator[Text]:
    site, language = page["source_path"].split("/")[0], page["lang_fasttext"]
    html = bytes_to_str(body, page["declared_encoding"] or detect_encoding(body) or "utf-8")
    train = site in TRAIN_SITES
    main = truth.get("main_content") or ""
    if not main and train:
        return
    main = main or extract_plain_text(html, main_content=True, alt_texts=False)
    inside = _letters(main)
    whole = extract_plain_text(html, alt_texts=False).split("\n")
    rest = "\n".join(line for line in whole if line.strip() and _letters(line) not in inside)
    yield Text(f"{site} main text", language, True, train, main)
    yield Text(f"{site} page rest", language, False, train, rest)


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()


def _manuals() -> Iterator[Text]:
    for name in ("libreoffice-help", "debian-reference", "installation-guide"):
        left = dict.fromkeys(LANGUAGES, MANUAL_PAGES)
        with tarfile.open(shared(f"html_debian_docs/{name}.tar.xz")) as archive:
            for member in archive:
                chinese = re.search(r"zh[-_]cn|/zh/", member.name, re.I)
                language = "zh" if chinese else "en" if re.search(r"/en[-/]|\.en\.", member.name) else ""
                file = archive.extractfile(member) if left.get(language) and ".htm" in member.name else None
                if file is None:
                    continue
                html = file.read().decode("utf-8", "replace")
                text = extract_plain_text(html, main_content=True, alt_texts=False)
                if len(text) >= 300:
                    left[language] -= 1
                    yield Text("manual", language, True, True, text)


def _window(text: str, pick: random.Random) -> str:
    """A run of lines of 200 to 6,000 characters, or the whole of a shorter text."""
    wanted, lines = int(10 ** pick.uniform(2.3, 3.8)), text.strip().split("\n")
    first = pick.randrange(len(lines)) if len(text) > wanted else 0
    taken, size = [], 0
    for line in lines[first:]:
        taken.append(line[: 2 * wanted])
        size += len(line) + 1
        if size >= wanted:
            break
    return "\n".join(taken).strip()


def _tokens(text: str, language: str) -> tuple[list[str], str]:
    return (list(text.replace("\n", "")), "") if language == "zh" else (text.split(), " ")


def _shuffled(text: str, language: str, pick: random.Random) -> str:
    tokens, space = _tokens(text, language)
    pick.shuffle(tokens)
    return space.join(tokens)


def _keywords(text: str, language: str, pick: random.Random) -> str:
    tokens, space = _tokens(text, language)
    places = [pick.randrange(max(1, len(tokens) - 4)) for _ in range(pick.randint(30, 200))]
    return pick.choice(["\n", " | ", ", ", " ", "、"]).join(
        space.join(tokens[at : at + pick.randint(1, 4)]) for at in places
    )


def _repeated(text: str, language: str, pick: random.Random) -> str:
    lines = text.split("\n")
    if pick.random() < 0.5:
        return "\n".join([pick.choice(lines)[:200]] * pick.randint(5, 30))
    return "\n".join(line[:200] for line in lines[:5] for _ in range(4))


def _replaced(text: str, language: str, pick: random.Random) -> str:
    foreign = ((33, 126), (0xC0, 0x24F), (0x4E00, 0x9FA5))
    return "".join(
        chr(pick.randint(*pick.choice(foreign))) if pick.random() < 0.15 else char for char in text
    )


def _cut_off(text: str, language: str, pick: random.Random) -> str:
    lines = [line for line in re.sub(r"(?<=[.。])\s*", "\n", text).split("\n") if line.strip()]
    return "\n".join(line[: pick.randint(10, 45)] + pick.choice(["...", "…", ""]) for line in lines)


SPOIL = {
    "words shuffled": _shuffled,
    "torn into keywords": _keywords,
    "lines repeated": _repeated,
    "characters replaced": _replaced,
    "sentences cut off": _cut_off,
}
