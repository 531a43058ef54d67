"""The page of a training stage, from its record and from what its ranks reported."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from steps.report.blocks import Line, Lines, Mark, Point, Section, Table, Text
from steps.report.charts import lines
from steps.report.render import Page, render
from steps.train.gang import PROGRESS
from steps.train.report import POINTS, head, heldout, losses, passed_over, rates, speed, thin

STEPS = 1000


def record() -> dict[str, Any]:
    """A run of `STEPS` steps of which two were passed over."""
    rng = np.random.default_rng(1)
    bad = {400: "spike", 720: "not_finite"}
    train = [
        {
            "step": step,
            "loss": 6 * step**-0.15 + 0.02 * float(rng.normal()),
            "learning_rate": 1e-4,
            "gradient_norm": 9.0 if step == 500 else 1 + 0.1 * float(rng.normal()),
            "tokens": 8000,
        }
        for step in range(1, STEPS + 1)
        if step not in bad
    ]
    measured = [
        {"step": step, "tokens": 8000 * step, "set": name, "loss": 4 - step / 1000, "set_tokens": 900}
        for step in range(0, STEPS + 1, 25)
        for name in ("en", "zh")
    ]
    events = [
        {
            "step": step,
            "found": found,
            "action": "roll_back",
            "back_to": 300,
            "loss": "nan",
            "gradient_norm": "9.0",
        }
        for step, found in bad.items()
    ]
    return {"step": STEPS, "train": train, "heldout": measured, "events": events}


def write_progress(folder: Path, first: int) -> Path:
    """What ranks report from step ``first`` on, with one stall and one straggler."""
    speeds = [
        {
            "kind": "train",
            "step": step,
            "tokens_per_second": 4e4,
            "tflops_per_rank": 512.5,
            "stall_share": 0.3 if step == 600 else 0.001,
            "straggler": 1.9 if step == 700 else 1.01,
            "memory_gib": 71.2,
        }
        for step in range(first, STEPS + 1)
    ]
    (folder / PROGRESS).write_text(
        "".join(json.dumps(line) + "\n" for line in [{"kind": "heldout"}, *speeds])
    )
    return folder / PROGRESS


def test_many_steps_become_few_points_that_keep_the_mean_or_the_largest_value() -> None:
    values = [(float(x), float(x % 7)) for x in range(1, 2001)]
    mean, most = thin(values), thin(values, largest=True)
    assert len(mean) == len(most) <= POINTS and mean[-1].x == most[-1].x == 2000
    np.testing.assert_allclose(
        [p.y for p in mean[:2]], [np.mean([y for _, y in values[i : i + 7]]) for i in (0, 7)]
    )
    assert {p.y for p in most[:-1]} == {6.0}
    few = [(1, 2.0), (2, math.nan), (3, 1.0)]
    assert thin(few) == [Point(1, 2.0), Point(3, 1.0)]


def test_the_page_has_every_curve_and_marks_the_steps_that_were_passed_over(tmp_path: Path) -> None:
    made = record()
    (loss,) = losses(made)
    assert isinstance(loss, Lines) and [(m.at, m.label) for m in loss.moments] == [
        (400, "passed over at"),
        (720, "passed over at"),
    ]
    english, chinese, table = heldout(made["heldout"])
    assert isinstance(english, Lines) and isinstance(chinese, Lines) and isinstance(table, Table)
    assert len(english.lines[0].points) == 41 and english.lines[0].points[-1] == Point(8.0, 3.0)
    assert english.unit == "million target tokens of this stage"
    assert table.rows[0] == [0, 0, "4.0000", "4.0000"] and table.rows[-1] == [
        1000,
        8_000_000,
        "3.0000",
        "3.0000",
    ]
    assert len(table.rows) == 11
    norm = rates(made)[1]
    assert isinstance(norm, Lines) and max(p.y for p in norm.lines[0].points) == 9.0
    drawn = {
        block.title: block for block in speed(write_progress(tmp_path, 1), STEPS) if isinstance(block, Lines)
    }
    for title, peak in (
        ("Time waiting for data, %", 30.0),
        ("Slowest rank's work, of the middle one's", 1.9),
    ):
        assert max(p.y for p in drawn[title].lines[0].points) == peak and drawn[title].marks
    assert passed_over(made["events"]).rows[0] == [400, "spike", "nan", "9.0", "roll back to step 300"]
    page = render(
        Page("train", sections=[Section("Losses", [loss]), Section("Held out", [english, chinese, table])])
    )
    assert page.count(b"passed over at 400") == 1 and page.count(b"<svg") == 3


def test_an_attempt_that_only_saw_the_end_says_so(tmp_path: Path) -> None:
    (note,) = speed(tmp_path / PROGRESS, STEPS)
    assert isinstance(note, Text) and "earlier attempt" in note.text
    resumed = speed(write_progress(tmp_path, 900), STEPS)[0]
    assert isinstance(resumed, Text) and "Of steps 900 to 1,000" in resumed.text


def test_a_stage_that_stopped_early_says_which_losses_ended_it() -> None:
    stopped = {"bounds": [{"set": "en"}, {"set": "zh"}]}
    facts = {"steps": 7, "tokens": 900, "heldout_loss": {}, "passed_over": [], "stopped_early": stopped}
    assert head(facts).items[0].detail == "stopped early after 7 steps: en, zh"


def test_moments_are_upright_lines_inside_the_plot_and_crowded_lines_have_no_dots() -> None:
    plot = Lines("", [Line("a", [Point(x, x) for x in range(30)])], moments=[Mark(15, "<b>")])
    drawn = str(lines(plot))
    assert drawn.count("<circle") == 30 and "&lt;b&gt; 15" in drawn and drawn.count('class="mark"') == 1
    assert "<circle" not in str(lines(Lines("", [Line("a", [Point(x, x) for x in range(300)])])))
