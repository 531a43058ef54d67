"""The page of a choice: the cell, what it costs, and whether the law can be trusted."""

from __future__ import annotations

from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Cell, Number, Numbers, Section, Table, Text
from steps.report.format import number
from steps.report.page import stage_report

RULE = (
    "The ratio is carried over to the large model as it is, the learning rates times {factor:g}: the ALMR paper "
    "(2409.06624) took the same ratio and a lower rate for 70B than for 8B. It is a rule of thumb; the paper's own "
    "optimum is not published, and nothing here was measured on the large model."
)


def report(ctx: StepContext, counts: Counts) -> bytes:
    """report.html."""
    cell, errors = ctx.facts["cell"], ctx.facts["left_out_errors"]
    figures = Numbers(
        [
            Number("ratio", number(cell["ratio"])),
            Number("learning rate of the proxy", number(cell["learning_rate"])),
            Number("loss on the additional language", number(cell["additional_loss"])),
            Number("largest rise of the original language", f"{cell['largest_original_rise']:+.4f}"),
            Number("cells within epsilon", str(len(cell["feasible"]))),
        ]
    )
    rows: list[list[Cell]] = [[name, f"{error:.3%}"] for name, error in sorted(errors.items())]
    table = Table("Largest error of a cell that the law had not seen", ["law", "error"], rows)
    rule = Text(RULE.format(factor=ctx.config.rate_factor))
    return stage_report(ctx, counts, [Section("The chosen mixture", [figures, table, rule])])
