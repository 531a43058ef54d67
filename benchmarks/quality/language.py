"""How often a sentence is given its language: ours beside lid.176 and CLD2 alone, and other identifiers.

    python -m benchmarks.quality.language [sentences per set, default 1000]

Sentences are somebody else's (shared data), spread evenly over each set. Of the sets in other languages a share is
English or Chinese in truth (menus, quotations), so their last column has a floor above zero.
"""

from __future__ import annotations

import gzip
import html
import re
import sys
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastwarc.warc import ArchiveIterator

from benchmarks.peers import run_peer
from benchmarks.quality.chain import markdown, read_csv, read_jsonl, shared
from steps.text.language import CHINESE, _model, _second, identify

BARS = {"zh": 0.97, "en": 0.99}
MIN_LETTERS = {"zh": 4, "ja": 8, "ko": 8}
FOREIGN = ("de", "es", "fr", "it", "ja", "pl", "pt", "ru")  # languages of crawl_mix with a hundred sentences
WESTERN_SENTENCE = re.compile(r"(?<=[.!?]) +")
EASTERN_SENTENCE = re.compile(r"(?<=[。！？])")


def sentences(text: str, language: str) -> Iterator[str]:
    """Sentences of prose: with enough letters, and for Chinese at least half of them Han."""
    pattern = EASTERN_SENTENCE if language in ("zh", "ja") else WESTERN_SENTENCE
    for line in text.split("\n"):
        for sentence in map(str.strip, pattern.split(line)):
            letters = sum(c.isalpha() for c in sentence)
            han = sum("\u4e00" <= c <= "\u9fff" for c in sentence)
            if letters >= MIN_LETTERS.get(language, 20) and (language != "zh" or 2 * han >= letters):
                yield sentence


def debian() -> dict[str, list[str]]:
    """Paragraph sentences of the installation guide's translations."""
    found: dict[str, list[str]] = defaultdict(list)
    with tarfile.open(shared("html_debian_docs/installation-guide.tar.xz")) as archive:
        for member in archive:
            language = re.search(r"/(en|ja|ko|zh)(?:_CN)?/", member.name)
            file = archive.extractfile(member) if member.isfile() else None
            if language is None or file is None:
                continue
            for paragraph in re.findall(r"<p>(.*?)</p>", file.read().decode(), re.S):
                text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", paragraph)))
                found[language[1]] += sentences(text, language[1])
    return found


def crawl() -> dict[str, list[str]]:
    """Sentences of the crawled pages whose language is beyond doubt for lid.176, by language."""
    import json

    told = {}
    for line in shared("crawl_mix/manifest.jsonl").read_text(encoding="utf-8").split("\n"):
        if line and (row := json.loads(line))["lang_score"] >= 0.6:
            told[row["record"]] = row["lang_fasttext"]
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(shared("crawl_mix").glob("*.wet.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file):
                language = told.get(record.headers.get("WARC-Refers-To"))
                if language in FOREIGN:
                    found[language] += sentences(record.reader.read().decode("utf-8", "replace"), language)
    return found


def sets(limit: int) -> dict[str, tuple[str, list[str]]]:
    """Name: (language, sentences)."""
    with gzip.open(shared("mt_pairs/cmn.txt.gz"), "rt", encoding="utf-8", newline="\n") as file:
        english, chinese = zip(*(line.split("\t")[:2] for line in file), strict=True)
    articles = list(read_jsonl(shared("lctt_opensource/lctt_opensource_zh_en.jsonl.gz")))
    found = {
        "mt_pairs zh": ("zh", list(chinese)),
        "mt_pairs en": ("en", list(english)),
        "tox_cold zh": ("zh", [row["TEXT"] for row in read_csv(shared("tox_cold_zh/train.csv.gz"))]),
    }
    prose = re.compile(r"[A-Z][a-z]+ [a-z]+ .*[.!?]$")  # articles hold program text, too
    for language in ("zh", "en"):
        texts = (row["text"] for row in articles if row["lang"] == language)
        split = [s for text in texts for s in sentences(text, language)]
        found[f"lctt {language}"] = (language, [s for s in split if language == "zh" or prose.match(s)])
        wiki = list(read_jsonl(shared(f"wiki_{language}/train.jsonl.gz")))[::7]
        found[f"wiki {language}"] = (language, [s for row in wiki for s in sentences(row["text"], language)])
    found |= {f"debian {language}": (language, texts) for language, texts in debian().items()}
    found |= {f"crawl {language}": (language, texts) for language, texts in sorted(crawl().items())}
    return {
        name: (language, texts[:: max(1, len(texts) // limit)][:limit])
        for name, (language, texts) in found.items()
    }


def bare_fasttext(texts: Sequence[str]) -> list[str]:
    predict = _model().f.predict
    answers = [predict(text.replace("\n", " ") + "\n", 1, 0.0, "replace") for text in texts]
    return [answer[0][1].removeprefix("__label__") if answer else "und" for answer in answers]


def bare_cld2(texts: Sequence[str]) -> list[str]:
    return [_cld2_label(text) for text in texts]


def _cld2_label(text: str) -> str:
    try:
        label = _second().detect(text, isPlainText=True, bestEffort=True)[2][0][1]
    except _second().error:  # control characters
        return "und"
    return "zh" if label in CHINESE else label


def ours(texts: Sequence[str]) -> list[str]:
    return [guess.language for guess in identify(texts)]


def main(limit: int = 1000) -> None:
    """Print the table."""
    data = sets(limit)
    texts = {name: found for name, (_, found) in data.items()}
    size = sum(len(text.encode()) for found in texts.values() for text in found) / 1e6
    ways: dict[str, Callable[[Sequence[str]], list[str]]] = {
        "ours": ours,
        "lid.176.ftz": bare_fasttext,
        "CLD2": bare_cld2,
    }
    guesses: dict[str, dict[str, list[str]]] = {}
    speed: dict[str, float] = {}
    for way, function in ways.items():
        function(["It loads its tables.", "这里装表。"])
        began = time.process_time()
        guesses[way] = {name: function(found) for name, found in texts.items()}
        speed[way] = size / (time.process_time() - began)
    for way, answer in run_peer("language", Path(__file__).parent / "language_peers.py", texts).items():
        guesses[way], speed[way] = answer["guesses"], size / answer["seconds"]
    rows = []
    for name, (language, found) in data.items():
        shares = [sum(guess == language for guess in guesses[way][name]) / len(found) for way in guesses]
        foreign = language not in BARS
        wrong = sum(guess in BARS for guess in guesses["ours"][name]) / len(found)
        row = [name, len(found), *(f"{share:.4f}" for share in shares)]
        rows.append([*row, BARS.get(language, "-"), f"{wrong:.4f}" if foreign else "-"])
    rows.append(["MB/s per core", "", *(f"{rate:.2f}" for rate in speed.values()), "-", "-"])
    print(markdown(["set", "sentences", *guesses, "bar", "ours as en or zh"], rows))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
