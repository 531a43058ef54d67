"""What the demo says about the defects that its sample was planted with."""

from __future__ import annotations

from typing import Any

from demo.sample import removals

STAGES = ("ingest", "preprocess", "score", "filter", "deduplicate")


def record(url: str, stage: str, copy_of: str = "") -> dict[str, Any]:
    return {"url": url, "stage": stage, "copy_of": copy_of, "kind": stage}


def left(*urls_by_stage: str) -> dict[str, dict[str, list[str]]]:
    """Texts by URL after each stage, from one string of one-letter URLs per stage."""
    return {
        stage: {url: ["text"] * urls.count(url) for url in urls}
        for stage, urls in zip(STAGES, urls_by_stage, strict=True)
    }


def fates(records: list[dict[str, Any]], kept: dict[str, dict[str, list[str]]]) -> dict[tuple[str, str], str]:
    return {(item["url"], item["stage"]): fate for item, fate in removals(records, kept)}


def test_a_record_is_gone_from_the_stage_that_dropped_it() -> None:
    records = [record("a", "keep"), record("b", "filter"), record("c", "ingest")]
    assert fates(records, left("ab", "ab", "ab", "a", "a")) == {
        ("a", "keep"): "",
        ("b", "filter"): "filter",
        ("c", "ingest"): "ingest",
    }


def test_of_two_records_with_one_url_the_one_to_be_kept_stays() -> None:
    records = [record("a", "keep"), record("a", "deduplicate", copy_of="a")]
    assert fates(records, left("aa", "aa", "aa", "aa", "a")) == {
        ("a", "keep"): "",
        ("a", "deduplicate"): "deduplicate",
    }


def test_a_pair_counts_once_whichever_of_the_two_stayed() -> None:
    records = [record("a", "keep"), record("b", "deduplicate", copy_of="a")]
    expected = {("a", "keep"): "", ("b", "deduplicate"): "deduplicate"}
    assert fates(records, left("ab", "ab", "ab", "ab", "a")) == expected
    assert fates(records, left("ab", "ab", "ab", "ab", "b")) == expected
    assert fates(records, left("ab", "ab", "ab", "ab", "ab"))[("b", "deduplicate")] == "", (
        "both stayed: not found"
    )
