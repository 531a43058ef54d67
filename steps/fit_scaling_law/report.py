"""The page of a fit: measured points, the law through them with its band, parameters, predictions."""

from __future__ import annotations

import json
from typing import Any

from steps.core.artifact import Files
from steps.core.counts import Counts
from steps.core.step import StepContext
from steps.report.blocks import Block, Cell, Line, Lines, Point, Section, Table
from steps.report.format import number
from steps.report.page import stage_report


def report(ctx: StepContext, counts: Counts) -> bytes:
    """report.html; it extrapolates nowhere but where the settings asked for it, and marks it there."""
    entry = next(entry for part in ctx.parts for entry in part.files if entry.kind == "fit")
    fit = json.loads(Files(ctx.store, ctx.folder).read_bytes(entry))
    plots = [plot(item) for item in fit["plots"]]
    tables = [table for name, item in fit["fits"].items() for table in tables_of(name, item)]
    sections = [
        Section("Measured and fitted", plots, note="Green is measured; upright strokes are 95 % intervals."),
        Section("The law", tables),
    ]
    if missing := fit.get("not_fitted"):
        rows: list[list[Cell]] = [[name, why] for name, why in missing.items()]
        sections.append(Section("Not fitted", [Table("too few points", ["set", "why"], rows)]))
    if "ratios" in fit:
        sections.append(Section("Per ratio", [ratio_table(fit["ratios"])]))
    return stage_report(ctx, counts, sections)


def plot(item: dict[str, Any]) -> Lines:
    fitted = [Point(x, y, low, high) for x, y, low, high in item["line"]]
    measured = [Point(x, y) for x, y in item["measured"]]
    return Lines(item["title"], [Line("law", fitted, "other"), Line("", measured, "kept")], unit=item["unit"])


def tables_of(name: str, fit: dict[str, Any]) -> list[Block]:
    """Parameters, what was left out, what was predicted."""
    quality = f"R² {fit['r_squared']:.5f}"
    if fit["largest_relative_error"] is not None:
        quality += f", largest error of a measured point {fit['largest_relative_error']:.3%}"
    ranges = ", ".join(
        f"{key} {number(low)} to {number(high)}" for key, (low, high) in fit["measured"].items()
    )
    rows: list[list[Cell]] = [
        [key, value["value"], value["low"], value["high"]] for key, value in fit["parameters"].items()
    ]
    note = "; ".join([fit["formula"], quality, f"measured: {ranges}", *fit.get("notes", ())])
    found: list[Block] = [Table(name, ["parameter", "value", "low", "high"], rows, note)]
    if held_out := fit.get("held_out"):
        found.append(unseen(f"{name}: left out of the fit", held_out))
    if left := fit.get("left_out"):
        note = "Each point as the law of all the others predicts it."
        found.append(unseen(f"{name}: left out one by one", left, note))
    if predicted := fit["predictions"]:
        rows = [
            [
                place(row["at"]), row["value"], row["low"], row["high"],
                "outside of what was measured" if row["extrapolated"] else "",
            ]
            for row in predicted
        ]  # fmt: skip
        found.append(Table(f"{name}: predicted", ["at", "value", "low", "high", ""], rows))
    return found


def unseen(title: str, points: list[dict[str, Any]], note: str = "") -> Table:
    """Points that a fit has not seen, measured and predicted."""
    rows: list[list[Cell]] = [
        [
            place(row["at"]),
            row["loss"],
            row["predicted"],
            f"{row['relative_error']:.3%}",
            "outside of the others" if row["extrapolated"] else "",
        ]
        for row in points
    ]
    return Table(title, ["at", "measured", "predicted", "error", ""], rows, note)


def place(at: dict[str, float]) -> str:
    """A point by the law's inputs."""
    return ", ".join(f"{key} {value:g}" for key, value in at.items())


def ratio_table(ratios: list[dict[str, Any]]) -> Table:
    rows: list[list[Cell]] = [
        [
            row["ratio"],
            row["turning_point"],
            "yes" if row["within_epsilon"] else "no",
            "yes" if row["feasible"] else "no",
        ]
        for row in ratios
    ]
    return Table(
        "Turning points",
        ["ratio", "tokens at which the general loss turns (T0)", "ends within epsilon", "feasible"],
        rows,
        "A dash: it had not turned by the end of the run.",
    )
