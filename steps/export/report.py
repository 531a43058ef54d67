"""The page of the export stage: the proof that it is the trained model, its losses over the stages, and its data."""

from __future__ import annotations

from typing import Any

from steps.core.counts import Counts
from steps.core.progress import human_bytes
from steps.core.step import StepContext
from steps.export.card import training_chain
from steps.report.blocks import Block, Line, Lines, Number, Numbers, Point, Section, Table
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """``report.html`` of the stage."""
    size = sum(entry.bytes for marker in ctx.parts for entry in marker.files)
    check = ctx.facts["logit_check"]
    # a part that an earlier attempt finished has measured, and only it
    difference = next(m.result["difference"] for m in ctx.parts if m.phase == "folder")
    numbers = Numbers(
        [
            Number("weights", f"{ctx.facts['weights']:,}", human_bytes(size)),
            Number(
                "largest difference of logits",
                f"{difference:.1e}",
                f"standard deviations, of {check['tolerance']:.0e} allowed",
                "kept",
            ),
            Number("positions compared", f"{check['positions']:,}", "trainer against transformers"),
        ]
    )
    chain = [stage.facts for stage in training_chain(ctx.inputs["train"])]
    data = Table(
        "",
        ["stage", "data set", "documents", "tokens"],
        [[row["stage"], row["name"], row["documents"], row["tokens"]] for row in ctx.facts["data"]],
    )
    sections = [
        Section("The folder", [numbers]),
        Section(
            "Held-out loss over training", loss_plots(chain), note="At the start and the end of every stage."
        ),
        Section("Trained on", [data]),
    ]
    return stage_report(ctx, counts, sections)


def loss_plots(chain: list[dict[str, Any]]) -> list[Block]:
    """One plot per held-out set: the loss at each stage's ends, over target tokens."""
    ends, tokens = [], 0
    for facts in chain:
        ends.append((tokens, tokens + facts["tokens"]))
        tokens += facts["tokens"]
    plots: list[Block] = []
    for name in sorted({name for facts in chain for name in facts["heldout_loss"]}):
        points = []
        for (start, end), facts in zip(ends, chain, strict=True):
            if found := facts["heldout_loss"].get(name):
                points += [Point(start, found["first"]), Point(end, found["last"])]
        plots.append(Lines(name, [Line("loss", points)], unit="target tokens"))
    return plots
