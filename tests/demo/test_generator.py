from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from demo.generator import Planted, write_dump
from steps.core.step import run_step
from tests.steps.ingest.objects import ONE, documents, ingest, ledger


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Planted]]:
    out = tmp_path_factory.mktemp("inbox")
    return out, write_dump(out, seed=1)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    dump: tuple[Path, list[Planted]], tmp_path: Path
) -> None:
    write_dump(tmp_path / "again", seed=1)
    write_dump(tmp_path / "other", seed=2)
    assert files(tmp_path / "again") == files(dump[0])
    name = "demo-2026-01/crawl-00000.warc.gz"
    assert files(tmp_path / "other")[name] != files(dump[0])[name]


def test_the_dump_is_complete_and_what_was_planted_lies_beside_it(dump: tuple[Path, list[Planted]]) -> None:
    out, planted = dump
    inside = sorted(p.name for p in (out / "demo-2026-01").iterdir())
    assert inside == ["_SUCCESS", "crawl-00000.warc.gz", "crawl-00001.warc.gz", "crawl-00002.warc.wet.gz"]
    told = json.loads((out / "planted" / "demo-2026-01.json").read_text(encoding="utf-8"))
    assert len(told["records"]) == len(planted) == sum(told["kinds"].values())
    wanted = {
        "traditional",
        "gb18030",
        "mojibake",
        "personal_data",
        "other_language",
        "spam_casino",
        "spam_clinic",
    }
    wanted |= {
        "spam_lending",
        "same_url",
        "same_text",
        "repost",
        "near_copy",
        "short",
        "lorem_ipsum",
        "html_residue",
    }
    wanted |= {
        "repeated_lines",
        "mojibake_lost",
        "http_status",
        "revisit",
        "broken_record",
        "boilerplate_line",
    }
    assert wanted <= set(told["kinds"])
    assert told["kinds"]["clean"] >= 80


def test_texts_for_the_language_models_are_not_in_the_crawl(dump: tuple[Path, list[Planted]]) -> None:
    out, planted = dump
    crawled = {text for p in planted for text in p.texts}
    for language in ("zh", "en"):
        lines = (out / "reference" / f"{language}.jsonl").read_text(encoding="utf-8").split("\n")
        held_out = {json.loads(line)["id"] for line in lines if line}
        assert len(held_out) == 44
        assert not held_out & crawled


def test_copies_name_the_page_that_they_repeat(dump: tuple[Path, list[Planted]]) -> None:
    pages = {p.url: p for p in dump[1] if p.kind == "clean"}
    copies = [p for p in dump[1] if p.stage == "deduplicate"]
    assert len(copies) == 34
    assert all(copy.texts == pages[copy.copy_of].texts for copy in copies)
    assert all((copy.url == copy.copy_of) == (copy.kind == "same_url") for copy in copies)


def test_ingest_and_preprocess_find_what_was_planted_for_them(
    dump: tuple[Path, list[Planted]], tmp_path: Path
) -> None:
    out, planted = dump
    raw = ingest(tmp_path, out / "demo-2026-01", licence="Apache-2.0")
    done = run_step(
        "preprocess", config={}, inputs={"corpus": raw.ref}, root=f"file://{tmp_path}", runtime=ONE
    )
    kinds = Counter(p.kind for p in planted)
    reasons = Counter(row["rule"] for row in [*ledger(raw), *ledger(raw, "quarantine")])
    by_ingest = ("http_status", "revisit", "content_type", "no_text", "broken_record")
    assert reasons == {kind: kinds[kind] for kind in by_ingest}
    found = {json.loads(d["metadata"])["record_id"]: d for d in documents(done)}
    texts = {}
    for language in ("zh", "en"):
        path = Path(__file__).parents[2] / "demo" / "texts" / f"{language}.jsonl"
        texts |= {
            row["id"]: row
            for row in map(json.loads, path.read_text(encoding="utf-8").strip("\n").split("\n"))
        }
    for record in planted:
        document = found.get(record.record_id)
        if record.stage in ("ingest", "preprocess"):
            assert document is None, record
        elif record.stage == "keep":
            assert document is not None, record
            original = texts[record.texts[0]]
            assert squeezed(document["text"]) == squeezed(original["title"] + original["text"]), record
        elif record.kind == "personal_data":
            assert document is not None and document["personal_data_spans"] == len(record.strings), record
            assert not [s for s in record.strings if s in document["text"]], record


def test_defects_are_planted_in_clean_pages_only(tmp_path: Path) -> None:
    planted = write_dump(tmp_path, seed=1, defects=12)
    defects = [p for p in planted if p.stage == "defect"]
    assert Counter(p.kind for p in defects)["cut_off"] == 2
    assert Counter(p.language for p in defects) == {"zh": 6, "en": 6}
    assert {p.kind for p in defects} == {"cut_off", "insult", "advertising"}
    assert len(defects) == 12
    assert all(p.strings or p.kind == "cut_off" for p in defects)
    raw = documents(ingest(tmp_path / "store", tmp_path / "demo-2026-01"))
    shown = {json.loads(d["metadata"])["record_id"]: d["text"] for d in raw}
    assert all(s in shown[p.record_id] for p in defects for s in p.strings)


def squeezed(text: str) -> str:
    return "".join(text.split())
