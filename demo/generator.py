"""Lays the demo's own texts out as a small crawl dump with what crawls have, and says what it planted.

    python -m demo.generator OUT --seed 1 [--dump demo-2026-01] [--defects 0]

OUT becomes an inbox: ``OUT/<dump>/*.warc.gz`` and ``*.warc.wet.gz`` with ``_SUCCESS``,
``OUT/reference/{zh,en}.jsonl`` (clean texts that are not in the crawl, for the language models),
``OUT/supervised/demo.jsonl``, and, beside the dump, ``OUT/planted/<dump>.json``: for every record its kind,
its texts and the stage that should deal with it. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from demo.archives import Capture, damage_member, write_archive
from demo.pages import page
from demo.planting import (
    FRAGMENTS,
    JUNK,
    PERSONAL_DATA,
    cut_off,
    decorate,
    insert_sentence,
    near_copy,
    traditional,
)

TEXTS = Path(__file__).parent / "texts"
REFERENCE_SHARE = 0.4  # of the clean texts; the rest is in the crawl
SHARDS = 2  # WARC files; a third of the plain captures goes into one WET file
WET_EVERY = 5
MIRRORS = 6
REPOSTS = 10
NEAR_COPIES = 12
LANGUAGES = ("zh", "en")


@dataclass
class Planted:
    """What one record of the dump is.

    ``stage`` is the one by which it should be gone ("ingest", "preprocess", "filter", "deduplicate"), "keep"
    where it should come through (only low quality may remove it), "edit" where it should come through without
    the ``strings``, and
    "defect" where the rules will miss what is wrong with it.
    """

    kind: str
    stage: str
    language: str
    texts: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    copy_of: str = ""  # URL of the record that this one repeats
    url: str = ""
    record_id: str = ""
    file: str = ""


@dataclass
class Item:
    """One page to be laid out."""

    planted: Planted
    title: str
    text: str
    charset: str = "utf-8"
    extra: str = ""
    raw: bytes | None = None
    url: str = ""
    capture: dict[str, Any] = field(default_factory=dict)
    wet: bool = False


def read_texts(name: str) -> list[dict[str, Any]]:
    """Records of ``demo/texts/<name>.jsonl``."""
    lines = (TEXTS / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


class Generator:
    """One dump in the making."""

    def __init__(self, seed: int, dump: str, defects: int) -> None:
        self.draw = Random(f"{seed}/{dump}")
        self.dump, self.defects = dump, defects
        # which texts are held out does not depend on the dump: no dump may hold a language model's text
        held_out = Random(f"held out/{seed}")
        self.reference: dict[str, list[dict[str, Any]]] = {}
        self.crawled: dict[str, list[dict[str, Any]]] = {}
        for language in LANGUAGES:
            texts = shuffled(read_texts(language), held_out)
            cut = round(len(texts) * REFERENCE_SHARE)
            self.reference[language], self.crawled[language] = texts[:cut], texts[cut:]
        self.items: list[Item] = []
        self.addresses = 0

    def build(self) -> list[Item]:
        """All items of the dump in the order in which they were crawled."""
        self.clean_pages()
        self.plant_defects()
        self.other_languages()
        self.spam()
        self.copies()
        self.junk()
        self.not_documents()
        for item in self.items:
            item.url = item.url or self.url(item)
        self.items = shuffled(self.items, self.draw)
        self.choose_wet()
        return self.items

    def add(self, item: Item) -> Item:
        self.items.append(item)
        return item

    def url(self, item: Item) -> str:
        """An address that no other page has, and that says nothing about the page."""
        self.addresses += 1
        number = self.addresses * 7919 % 100_003  # a prime step: no order to be seen
        return f"https://site{int(self.draw.random() * 9)}.example.org/2026/{number:06d}.html"

    def clean_pages(self) -> None:
        """Each crawled text once: most as they are, some Traditional, in old encodings, damaged, with
        personal data.
        """
        kinds = {
            "zh": ["traditional"] * 8
            + ["gb18030"] * 5
            + ["big5"] * 2
            + ["personal_data"] * 5
            + ["mojibake"] * 3,
            "en": ["windows_1252"] * 3 + ["personal_data"] * 5 + ["mojibake"] * 3 + ["boilerplate_line"] * 3,
        }
        for language in LANGUAGES:
            texts = self.crawled[language]
            planned = [*kinds[language], *["clean"] * len(texts)]
            for kind, text in zip(planned, texts, strict=False):
                self.add(self.clean_page(kind, text, language))

    def clean_page(self, kind: str, text: dict[str, Any], language: str) -> Item:
        planted = Planted(kind, "keep", language, [text["id"]])
        item = Item(planted, text["title"], text["text"])
        if kind in ("traditional", "big5"):
            item.title, item.text = traditional(item.title), traditional(item.text)
        if kind in ("gb18030", "big5", "windows_1252"):
            item.charset = kind.replace("_", "-")
        elif kind == "personal_data":
            sentence, strings = PERSONAL_DATA[language][len(self.items) % len(PERSONAL_DATA[language])]
            planted.stage, planted.strings = "edit", strings
            item.text = insert_sentence(item.text, sentence, language, self.draw)
        elif kind == "mojibake":  # UTF-8 taken for Windows-1252 somewhere on the way: can be undone
            item.title, item.text = (s.encode().decode("latin-1") for s in (item.title, item.text))
        elif kind == "boilerplate_line":
            planted.stage, planted.strings = "edit", [FRAGMENTS[language]]
            item.extra = f"<p>{FRAGMENTS[language]}</p>"
        return item

    def plant_defects(self) -> None:
        """Turn ``defects`` clean pages into ones whose fault no rule knows: only a reader or a detector sees
        it.
        """
        sentences = read_texts("defects")
        clean = [
            [i for i in self.items if (i.planted.kind, i.planted.language) == ("clean", code)]
            for code in LANGUAGES
        ]
        turns = [item for pair in zip(*clean, strict=False) for item in pair]
        for number, item in enumerate(turns[: self.defects]):
            language = item.planted.language
            item.planted.stage = "defect"
            if number % 5 == 4:
                item.planted.kind = "cut_off"
                item.text = cut_off(item.text, self.draw)
                continue
            fitting = [s for s in sentences if s["language"] == language]
            chosen = fitting[number // len(LANGUAGES) * 3 % len(fitting)]  # insults and advertising by turns
            item.planted.kind, item.planted.strings = chosen["kind"], [chosen["text"]]
            item.text = insert_sentence(item.text, chosen["text"], language, self.draw)

    def other_languages(self) -> None:
        for text in read_texts("other"):
            planted = Planted("other_language", "preprocess", text["language"], [text["id"]])
            self.add(Item(planted, text["title"], text["text"]))

    def spam(self) -> None:
        for text in read_texts("spam"):
            planted = Planted(f"spam_{text['topic']}", "filter", text["language"], [text["id"]])
            self.add(Item(planted, text["text"].split("\n")[0][:30], text["text"]))

    def copies(self) -> None:
        """Mirrors (same URL, or same text elsewhere), re-posts with other punctuation or emoji, near
        copies.
        """
        originals = [i for i in self.items if i.planted.kind == "clean"]
        for item in originals:
            item.url = self.url(item)
        pool = shuffled(originals, self.draw)
        plan = (
            ["same_url"] * MIRRORS
            + ["same_text"] * MIRRORS
            + ["repost"] * REPOSTS
            + ["near_copy"] * NEAR_COPIES
        )
        for kind, original in zip(plan, pool, strict=False):
            language = original.planted.language
            planted = Planted(kind, "deduplicate", language, original.planted.texts, copy_of=original.url)
            copy = Item(
                planted, original.title, original.text, url=original.url if kind == "same_url" else ""
            )
            if kind == "repost":
                copy.text = decorate(copy.text, language, self.draw)
            elif kind == "near_copy":
                copy.text = near_copy(copy.text, language, self.draw, 0.01 + 0.02 * self.draw.random())
            self.add(copy)

    def junk(self) -> None:
        """Pages that are documents in form only: too short, lorem ipsum, repeated lines, markup left over,
        lost text.
        """
        for entry in JUNK:
            self.add(Item(Planted(entry.kind, "filter", entry.language), entry.title, entry.text))
        for language in LANGUAGES:  # text that was decoded wrongly and lost bytes: nothing can bring it back
            for text in self.crawled[language][:3] if language == "zh" else []:
                lost = text["text"].encode().decode("gb18030", "replace").replace("\ufffd", "?")
                self.add(
                    Item(Planted("mojibake_lost", "preprocess", language, [text["id"]]), text["title"], lost)
                )

    def not_documents(self) -> None:
        """Redirects, errors, revisits, pictures, empty pages and one record that a disk destroyed."""
        text = self.crawled["en"][0]
        statuses = (
            "301 Moved Permanently",
            "302 Found",
            "404 Not Found",
            "403 Forbidden",
            "500 Server Error",
        )
        for status in statuses:
            planted = Planted("http_status", "ingest", "en")
            self.add(Item(planted, status, "The page is not here.", capture={"status": status}))
        for number in range(4):
            planted = Planted("revisit", "ingest", "en")
            raw = b"" if number % 2 else b" "
            self.add(Item(planted, "", "", raw=raw, capture={"record_type": "revisit"}))
        for media in ("image/png", "application/pdf"):
            planted = Planted("content_type", "ingest", "en")
            self.add(Item(planted, "", "", raw=b"\x89PNG\r\n" + media.encode(), capture={"media": media}))
        self.add(
            Item(Planted("no_text", "ingest", "en"), "", "", raw=b"<html><body><img src=a.png></body></html>")
        )
        self.add(Item(Planted("broken_record", "ingest", "en"), text["title"], text["text"]))

    def choose_wet(self) -> None:
        """Every fifth plain page is delivered as extracted text only."""
        plain = [
            i for i in self.items if i.planted.kind in ("clean", "same_text", "near_copy", "other_language")
        ]
        for item in plain[::WET_EVERY]:
            item.wet = True

    def captures(self) -> list[Capture]:
        """The items as archive records, in order."""
        return [self.capture(number, item) for number, item in enumerate(self.items)]

    def capture(self, number: int, item: Item) -> Capture:
        seconds = number * 37
        date = f"2026-01-05T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}Z"
        if item.wet:
            return Capture(item.url, date, f"{item.title}\n{item.text}\n".encode(), record_type="conversion")
        if item.raw is not None:
            return Capture(item.url, date, item.raw, **item.capture)
        language = item.planted.language
        markup = page(item.title, item.text, language, self.draw, charset=item.charset, extra=item.extra)
        media = f"text/html; charset={item.charset}" if self.draw.random() < 0.5 else "text/html"
        body = markup.encode(item.charset, "xmlcharrefreplace")
        return Capture(item.url, date, body, **{"media": media, **item.capture})


def shuffled(values: list[Any], draw: Random) -> list[Any]:
    """A copy in random order that depends on ``draw.random()`` only, which never changes between Pythons."""
    return [values[i] for _, i in sorted((draw.random(), i) for i in range(len(values)))]


def write_dump(out: Path, seed: int = 1, dump: str = "demo-2026-01", defects: int = 0) -> list[Planted]:
    """Write the dump, reference texts, supervised records and what was planted below ``out``.

    An existing folder of that dump is replaced. Gives what was planted, record by record.
    """
    generator = Generator(seed, dump, defects)
    items = generator.build()
    captures = generator.captures()
    folder = out / dump
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    pages = [(i, c) for i, c in zip(items, captures, strict=True) if not i.wet]
    size = -(-len(pages) // SHARDS)
    shards = [(f"crawl-{n:05d}.warc.gz", pages[n * size : (n + 1) * size], False) for n in range(SHARDS)]
    texts = [(i, c) for i, c in zip(items, captures, strict=True) if i.wet]
    shards.append((f"crawl-{SHARDS:05d}.warc.wet.gz", texts, True))
    planted = []
    for name, pairs, wet in shards:
        write_archive(folder / name, [capture for _, capture in pairs], wet=wet)
        for item, capture in pairs:
            item.planted.url, item.planted.record_id, item.planted.file = item.url, capture.record_id, name
            planted.append(item.planted)
            if item.planted.kind == "broken_record":
                damage_member(folder / name, capture.record_id)
    write_side_files(out, generator, dump, planted, {"seed": seed, "defects": defects})
    (folder / "_SUCCESS").write_bytes(b"")
    return planted


def write_side_files(
    out: Path, generator: Generator, dump: str, planted: list[Planted], settings: dict[str, int]
) -> None:
    """Reference and supervised JSONL, and planted/<dump>.json."""
    for language in LANGUAGES:
        rows = [
            {"url": f"https://reference.example.org/{text['id']}", "language": language, **text}
            for text in sorted(generator.reference[language], key=lambda text: text["id"])
        ]
        write_jsonl(out / "reference" / f"{language}.jsonl", rows)
    write_jsonl(out / "supervised" / "demo.jsonl", read_texts("supervised"))
    content = {
        "dump": dump,
        **settings,
        "kinds": dict(sorted(Counter(p.kind for p in planted).items())),
        "records": [asdict(p) for p in planted],
    }
    path = out / "planted" / f"{dump}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
    path.write_bytes("".join(lines).encode())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m demo.generator", description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder that becomes an inbox")
    parser.add_argument("--seed", type=int, default=1, help="another seed gives another dump (default 1)")
    parser.add_argument("--dump", default="demo-2026-01", help="name of the dump (default demo-2026-01)")
    parser.add_argument(
        "--defects",
        type=int,
        default=0,
        help="clean pages with a fault that survives the filters (default 0)",
    )
    arguments = parser.parse_args()
    planted = write_dump(arguments.out, arguments.seed, arguments.dump, arguments.defects)
    print(f"{arguments.out / arguments.dump}: {len(planted)} records")
    for kind, count in sorted(Counter(p.kind for p in planted).items()):
        print(f"  {count:4d} {kind}")


if __name__ == "__main__":
    main()
