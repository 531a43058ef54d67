"""Report pages show counts, reasons and samples, and never crawled markup."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from steps.core.step import run_step
from steps.report.page import stage_report
from tests.steps.core.toy import DROP, MAKE


def test_a_report_shows_reasons_and_samples_and_does_not_change_the_artifact(tmp_path: Path) -> None:
    root = f"file://{tmp_path}"
    base = run_step(MAKE, config={"max_quarantine_share": 1.0}, inputs={}, root=root)
    plain = run_step(DROP, config={}, inputs={"corpus": base.ref}, root=f"file://{tmp_path}/plain")
    told = run_step(
        dataclasses.replace(DROP, report=stage_report), config={}, inputs={"corpus": base.ref}, root=root
    )
    assert told.digest == plain.digest
    (view,) = told.artifact.manifest.views
    page = told.artifact.read_bytes(view).decode()
    removed = told.counts.total.removed.documents
    assert f"removed {removed}" in page and "every_nth" in page
    assert "shard 0 row 0 " in page, "the first removed text is shown"


def test_crawled_markup_is_escaped(tmp_path: Path) -> None:
    from steps.core.counts import Counts
    from steps.report.page import _environment

    counts = Counts()
    page = (
        _environment()
        .get_template("page.html.j2")
        .render(
            title="t",
            subtitle="s",
            total=counts.total,
            groups=[],
            reasons=[],
            most=1,
            samples=[("rule", ["<script>alert(1)</script>"])],
            facts=[],
        )
    )
    assert "<script>" not in page and "&lt;script&gt;" in page
