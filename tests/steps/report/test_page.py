"""Report pages show counts, reasons, plots and samples of a run, the same bytes each time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from steps.core.config import Runtime
from steps.core.corpus import Corpus
from steps.core.counts import Counts
from steps.core.errors import DataError
from steps.core.step import Outcome, StepContext, run_step
from steps.report.blocks import Bar, Bars, Line, Lines, Mark, Point, SampleGroup, Samples, Section
from steps.report.page import REMOVED, group_rows, overview, reason_sections, stage_report
from steps.report.render import Page, render
from tests.steps.core.toy import DROP, MAKE

ONE = Runtime(workers=1)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = f"file://{tmp_path_factory.mktemp('base')}"
    return run_step(MAKE, config={"max_quarantine_share": 1.0}, inputs={}, root=root, runtime=ONE)


def run_drop(base: Outcome, folder: Path, report: Callable[[StepContext, Counts], bytes] | None) -> Outcome:
    step = dataclasses.replace(DROP, report=report)
    return run_step(step, config={}, inputs={"corpus": base.ref}, root=f"file://{folder}", runtime=ONE)


def page_of(outcome: Outcome) -> str:
    (view,) = outcome.artifact.manifest.views
    return outcome.artifact.read_bytes(view).decode()


def test_a_report_does_not_change_the_artifact(base: Outcome, tmp_path: Path) -> None:
    plain, told = (run_drop(base, tmp_path / str(r), r) for r in (None, stage_report))
    assert told.digest == plain.digest and not plain.artifact.manifest.views


def test_a_report_shows_counts_reasons_lengths_and_samples(base: Outcome, tmp_path: Path) -> None:
    told = run_drop(base, tmp_path, stage_report)
    page, total = page_of(told), told.counts.total
    assert f"<b>{total.input.documents}</b>" in page and f"<b>{total.removed.documents}</b>" in page
    assert "every_nth" in page
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings == ["What became of the documents", "Reasons", "Document lengths", "Removed", "Kept"]
    removed = page[page.index("<h2>Removed") : page.index("<h2>Kept")]
    samples = re.findall(r'<div class="text" dir="auto">(shard \d+ row \d+ )', removed)
    shards = Corpus.open(told.artifact.input("corpus")).shard_by_sha()
    ledger = [row for e in told.artifact.files("ledger") for row in told.artifact.read_table(e).to_pylist()]
    gone = {shards[row["shard"]].read(["text"], kept=False)["text"][row["row"]].as_py() for row in ledger}
    starts = {" ".join(text.split()[:4]) + " " for text in gone}
    assert len(samples) == 3 and set(samples) <= starts
    kept = re.findall(r'<div class="text" dir="auto">(shard \d+ row \d+ )', page[page.index("<h2>Kept") :])
    assert len(kept) == 6 and not set(kept) & starts


def test_a_report_has_the_same_bytes_wherever_it_is_made(base: Outcome, tmp_path: Path) -> None:
    one, two = (page_of(run_drop(base, tmp_path / name, stage_report)) for name in ("one", "two"))
    assert one == two and str(tmp_path) not in one


def test_a_step_adds_sections_and_may_replace_a_common_one(base: Outcome, tmp_path: Path) -> None:
    def report(ctx: StepContext, counts: Counts) -> bytes:
        own = [
            Section("Own", [Bars("", [Bar("a", {"kept": 3.0})])]),
            Section(REMOVED, [Samples("", [SampleGroup("mine", [])])]),
        ]
        return stage_report(ctx, counts, own)

    page = page_of(run_drop(base, tmp_path, report))
    assert re.findall(r"<h2>(.*?)</h2>", page).count("Removed") == 1
    assert "<h2>Own</h2>" in page and "mine" in page and "every_nth</h3>" not in page


def test_a_page_that_cannot_be_drawn_costs_the_page_and_not_the_work(
    base: Outcome, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(ctx: StepContext, counts: Counts) -> bytes:
        raise ZeroDivisionError("in a figure")

    def damaged(ctx: StepContext, counts: Counts) -> bytes:
        raise DataError("a shard is corrupt")

    made = run_drop(base, tmp_path / "one", broken)
    assert made.counts.total.removed.documents > 0 and not made.artifact.manifest.views
    assert "report.html could not be drawn" in caplog.text and "in a figure" in caplog.text
    with pytest.raises(DataError, match="corrupt"):
        run_drop(base, tmp_path / "two", damaged)


def counted(groups: dict[str, int]) -> Counts:
    counts = Counts()
    for name, documents in groups.items():
        source, _, language = name.partition("|")
        counts.add_input(source, language, documents, 10 * documents)
        counts.add_kept(source, language, documents - 1, 10 * documents - 10)
        counts.add_removed("reason", source, language, 1, 10)
    return counts


def test_small_languages_of_a_source_are_added_up_and_none_is_lost() -> None:
    counts = counted({"web|en": 90, **{f"web|x{i}": 10 - i for i in range(6)}, "laws|zh": 20})
    rows = group_rows(counts.groups)
    assert [row.name for row in rows] == ["web", "en", "x0", "x1", "x2", "3 more: x3, x4, x5", "laws · zh"]
    children = rows[1:6]
    assert sum(sum(row.documents.segments.values()) for row in children) == rows[0].documents.most
    assert rows[0].documents.most + rows[6].documents.most == counts.total.input.documents


def test_the_bars_of_a_funnel_add_up_to_what_came_in() -> None:
    counts = counted({"web|en": 40})
    counts.add_input("web", "en", 2, 30)
    counts.add_quarantined("poison", "web", "en", 2, 30)
    _, funnel = overview(counts)
    for row in funnel.rows:  # type: ignore[union-attr]
        assert row.documents.segments == {"kept": 39.0, "removed": 1.0, "quarantined": 2.0}
        assert sum(row.bytes.segments.values()) == row.bytes.most == 430
    (section,) = reason_sections(counts)
    (reasons,) = section.blocks
    assert [(row.name, *row.documents.segments) for row in reasons.rows] == [  # type: ignore[union-attr]
        ("poison", "quarantined"),
        ("reason", "removed"),
    ]


@pytest.mark.parametrize("count", [3, 15, 16, 40])
def test_long_lists_of_bars_are_folded_but_whole(count: int) -> None:
    bars = [Bar(f"bar-{i}", {"plain": float(i)}) for i in range(count)]
    page = render(Page("t", [Section("s", [Bars("", bars)])])).decode()
    assert all(f"bar-{i}<" in page for i in range(count))
    assert (f"<summary>{count - 15} more</summary>" in page) == (count > 15)


def test_a_line_goes_through_its_points_in_order_and_shows_their_intervals() -> None:
    line = Line("score", [Point(0, 0.0), Point(50, 1.0, 0.5, 1.5), Point(100, 0.5)], "kept")
    page = render(
        Page("t", [Section("s", [Lines("plot", [line], [Mark(0.75, "champion")], "tokens")])])
    ).decode()
    dots = [
        (float(x), float(y)) for x, y in re.findall(r'<circle class="kept" cx="([\d.]+)" cy="([\d.]+)"', page)
    ]
    assert len(dots) == 3 and "score" in page and "champion" in page
    assert dots[1][0] - dots[0][0] == pytest.approx(dots[2][0] - dots[1][0], abs=0.2)
    assert (
        dots[0][1] - dots[2][1] == pytest.approx(dots[2][1] - dots[1][1], abs=0.2) and dots[1][1] < dots[0][1]
    )
    (whisker,) = re.findall(
        r'<line class="line kept" x1="([\d.]+)" y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)"', page
    )
    assert float(whisker[0]) == dots[1][0]
    assert sorted(map(float, whisker[1:]))[0] < dots[1][1] < max(map(float, whisker[1:]))


def test_names_of_lines_that_end_at_one_place_stand_together_and_never_on_one_another() -> None:
    """Of a search's cells many end at nearly one loss."""
    losses = {"0": 4.0, "1": 4.005, "2": 3.998, "3": 2.0, "4": 0.0}
    ends = [Line(name, [Point(0, 9.0), Point(100, loss)]) for name, loss in losses.items()]
    page = render(Page("t", [Section("s", [Lines("plot", ends)])])).decode()
    names = re.findall(r'<text class="label" x="[\d.]+" y="([\d.]+)">([^<]*)</text>', page)
    assert [name for _, name in names] == ["1, 0, 2", "3", "4"]
    places = [float(y) for y, _ in names]
    assert all(below - above >= 9 for above, below in pairwise(places))
