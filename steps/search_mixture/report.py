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
from steps.search_mixture.losses import dominates

SETS_SHOWN = 6  # pairs of more sets are too many pictures
NOTE = (
    "What the ALMR paper (2409.06624) found best is not published; this is what was searched here, on the proxy model. "
    "Losses are in nats per token of documents that no cell has seen, with how far they rose since the start."
)


def report(ctx: StepContext, counts: Counts) -> bytes:
    """report.html."""
    facts = ctx.facts
    entry = next(entry for part in ctx.parts for entry in part.files if entry.kind == "losses")
    losses = json.loads(Files(ctx.store, ctx.folder).read_bytes(entry))
    sets = facts["sets"][:SETS_SHOWN]
    ended = [cell for cell in facts["cells"] if not cell["stopped_early"]]
    plots: list[Block] = [by_ratio(name, ended) for name in sets]
    front = [pareto(pair, ended) for pair in combinations(sets, 2)]
    curves = [over_tokens(name, losses, facts) for name in sets]
    return stage_report(
        ctx,
        counts,
        [
            Section("The cells", [table(facts)], note=NOTE),
            Section("Loss by ratio and learning rate", plots),
            Section(
                "What one language costs the other", front, note="Green: no cell is better on both sets."
            ),
            Section("Loss over tokens", curves, note="One line per cell; orange ones were ended early."),
        ],
    )


def table(facts: dict[str, Any]) -> Table:
    """One row per cell; what was not searched has no column."""
    sets = facts["sets"]
    varied = [name for name in ("replay", "stage_order") if facts["cells"][0][name] is not None]
    columns = [
        "cell",
        "",
        "ratio",
        "learning rate",
        *(name.replace("_", " ") for name in varied),
        "tokens",
        *sets,
    ]
    rows: list[list[Cell]] = []
    for cell in facts["cells"]:
        said = "ended early" if cell["stopped_early"] else ""
        if cell["cell"] in facts["pareto_front"]:
            said = "on the front"
        place = [cell["ratio"], f"{cell['learning_rate']:g}", *(written(cell[name]) for name in varied)]
        losses = [f"{cell['losses'][name]:.4f} ({cell['rises'][name]:+.4f})" for name in sets]
        rows.append([cell["cell"], said, *place, cell["tokens"], *losses])
    return Table("", columns, rows)


def written(value: float | list[int]) -> Cell:
    """A replay share, or an order of stages."""
    return "-".join(map(str, value)) if isinstance(value, list) else value


def by_ratio(name: str, cells: list[dict[str, Any]]) -> Block:
    """Loss over both knobs, or over the ratio where one rate is left. Cells that differ in more lie on one another."""
    unit, title = "ratio of the additional language", f"loss on {name}"
    places = [(cell["ratio"], cell["learning_rate"], cell["losses"][name]) for cell in cells]
    if len({rate for _, rate, _ in places}) > 1:
        return Contour(title, places, unit, "learning rate", log=True)
    line = [Point(ratio, loss) for ratio, _, loss in sorted(places)]
    return Lines(title, [Line(f"rate {rate:g}", line) for _, rate, _ in places[:1]], unit=unit)


def pareto(pair: tuple[str, str], cells: list[dict[str, Any]]) -> Lines:
    """Every finished cell by its losses on two sets; those that no other beats on both as a line."""
    one, other = pair
    losses = [{name: cell["losses"][name] for name in pair} for cell in cells]
    best = [found for found in losses if not any(dominates(rival, found) for rival in losses)]
    rest = [found for found in losses if found not in best]
    front = sorted((Point(found[one], found[other]) for found in best), key=lambda point: (point.x, point.y))
    others = [Line("", [Point(found[one], found[other])], "other") for found in rest]
    return Lines(
        f"loss on {other} by loss on {one}", [*others, Line("front", front, "kept")], unit=f"loss on {one}"
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
