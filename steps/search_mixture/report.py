"""The page of a search: every cell, its losses over ratio, rate and tokens, and the Pareto front."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

from steps.core.artifact import Files
from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Block, Cell, Contour, Line, Lines, Point, Section, Table
from steps.report.page import stage_report

SETS_SHOWN = 6  # pairs of more sets are too many pictures
NOTE = (
    "What the ALMR paper (2409.06624) found best is not published; this is what was searched here, on the proxy model. "
    "Losses are in nats per token of documents that no cell has seen."
)


def report(ctx: StepContext, counts: Counts) -> bytes:
    """report.html."""
    facts = ctx.facts
    entry = next(entry for part in ctx.parts for entry in part.files if entry.kind == "losses")
    losses = json.loads(Files(ctx.store, ctx.folder).read_bytes(entry))
    sets = facts["sets"][:SETS_SHOWN]
    ended = [cell for cell in facts["cells"] if not cell["stopped_early"]]
    plots: list[Block] = [contour(name, ended) for name in sets]
    front = [pareto(pair, ended, facts["pareto_front"]) for pair in combinations(sets, 2)]
    curves = [over_tokens(name, losses, facts) for name in sets]
    return stage_report(
        ctx,
        counts,
        [
            Section("The cells", [table(facts)], note=NOTE),
            Section("Loss by ratio and learning rate", plots),
            Section(
                "What one language costs the other", front, note="Green: no cell is better on every set."
            ),
            Section("Loss over tokens", curves, note="One line per cell; red ones were ended early."),
        ],
    )


def table(facts: dict[str, Any]) -> Table:
    """One row per cell."""
    sets = facts["sets"]
    columns = ["cell", "ratio", "learning rate", "replay", "order", "tokens"]
    columns += [*(f"loss on {name}" for name in sets), *(f"rise on {name}" for name in sets), ""]
    rows: list[list[Cell]] = []
    for cell in facts["cells"]:
        order = cell["stage_order"]
        said = "ended early" if cell["stopped_early"] else ""
        if cell["cell"] in facts["pareto_front"]:
            said = "on the front"
        rows.append(
            [
                cell["cell"], cell["ratio"], f"{cell['learning_rate']:g}", cell["replay"],
                "-".join(map(str, order)) if order else None, cell["tokens"],
                *(f"{cell['losses'][name]:.4f}" for name in sets),
                *(f"{cell['rises'][name]:+.4f}" for name in sets), said,
            ]
        )  # fmt: skip
    return Table("", columns, rows)


def contour(name: str, cells: list[dict[str, Any]]) -> Contour:
    """Cells that differ in something else lie on one another."""
    points = [(cell["ratio"], cell["learning_rate"], cell["losses"][name]) for cell in cells]
    return Contour(f"loss on {name}", points, "ratio of the additional language", "learning rate", log=True)


def pareto(pair: tuple[str, str], cells: list[dict[str, Any]], front: list[int]) -> Lines:
    """Every finished cell by its losses on two sets; the front as a line."""
    one, other = pair
    places = {cell["cell"]: Point(cell["losses"][one], cell["losses"][other]) for cell in cells}
    best = sorted((places[number] for number in front), key=lambda point: (point.x, point.y))
    rest = [Line("", [place], "other") for number, place in places.items() if number not in front]
    return Lines(
        f"loss on {other} by loss on {one}", [*rest, Line("front", best, "kept")], unit=f"loss on {one}"
    )


def over_tokens(name: str, losses: list[dict[str, Any]], facts: dict[str, Any]) -> Lines:
    """One line per cell."""
    stopped = set(facts["stopped"])
    lines = [
        Line(
            str(cell["cell"]),
            [Point(tokens, loss) for tokens, loss in cell["losses"][name]],
            "removed" if cell["cell"] in stopped else "plain",
        )
        for cell in losses
    ]
    return Lines(f"loss on {name}", lines, unit="tokens")
