"""Measured losses as a CSV file: one line per run, validation set and number of training tokens."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from steps.core.errors import DataError
from steps.fit_scaling_law.config import LawName
from steps.fit_scaling_law.critical_ratio import Curve

COLUMNS: dict[LawName, tuple[str, ...]] = {
    "ratio": ("ratio", "set", "tokens", "loss"),
    "ratio_rate": ("ratio", "learning_rate", "set", "tokens", "loss"),
    "critical_ratio": ("ratio", "set", "tokens", "loss"),
    "data_centric": ("coherence", "readability", "similarity", "tokens", "loss"),
}
OPTIONAL = ("learning_rate", "replay", "stage_order", "stopped")  # read where they are there
SHARES = ("ratio", "coherence", "readability", "similarity")
ERRORS_SHOWN = 10
LEAST = 1e-30  # squares of what is far below are 0 in floating point, and no law can be fitted to them
MOST_LOSS = 1000  # nats per token, far above a guess among all tokens: ln of a million is 13.8
SAME_START = 1e-4  # relative: one model measured on two machines (own choice)


@dataclass(frozen=True)
class Measurement:
    """One line: its numbers by column, and what else its run differs in (learning rate, replay, order) as text."""

    line: int
    set: str
    values: Mapping[str, float]
    knobs: Mapping[str, str]


def read_measurements(data: bytes, name: str, law: LawName) -> list[Measurement]:
    """The lines of a CSV file with a header, without those of runs that ended early (`stopped` is 1).

    Raises DataError with the lines and columns that are wrong, all at once, and where no line is left.
    """
    wanted = COLUMNS[law]
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        header = rows.fieldnames or ()
        missing = [column for column in wanted if column not in header]
        if missing:
            raise DataError(
                f"{name}: no column {', '.join(missing)}; the law {law} needs {', '.join(wanted)}"
            )
        read = [column for column in dict.fromkeys((*wanted, *OPTIONAL)) if column in header]
        if twice := [column for column in read if header.count(column) > 1]:
            raise DataError(f"{name}: column {', '.join(twice)} is there twice; leave one of each")
        lines = [(rows.line_num, row) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is no CSV file in UTF-8: {error}") from None
    errors, found = [], []
    for number, row in lines:
        given = {column: (row[column] or "").strip() for column in read}
        errors += [
            f"{name} line {number}: {column} {given[column]!r} {problem}"
            for column in given
            if (problem := _problem(column, given[column]))
        ]
        if not errors and given.get("stopped") != "1":
            found.append(_measurement(number, given))
    if errors:
        more = f"\nand {len(errors) - ERRORS_SHOWN} more" if len(errors) > ERRORS_SHOWN else ""
        raise DataError("\n".join(errors[:ERRORS_SHOWN]) + more)
    if not found:
        raise DataError(f"{name}: no line of a run that went to its end; there is nothing to fit")
    return found


def _measurement(line: int, given: Mapping[str, str]) -> Measurement:
    texts = ("set", "replay", "stage_order", "stopped")
    values = {column: float(text) for column, text in given.items() if column not in texts}
    knobs = {column: given[column] for column in ("replay", "stage_order") if given.get(column)}
    if "learning_rate" in values:
        knobs["learning_rate"] = f"{values['learning_rate']:g}"
    return Measurement(line, given.get("set", ""), values, knobs)


def _problem(column: str, text: str) -> str:
    """What is wrong with a field, or nothing."""
    if column in ("replay", "stage_order"):
        return ""
    if column == "set":
        return "" if text and text.isprintable() else "is no name of a validation set"
    if column == "stopped":
        return "" if text in ("0", "1") else "is neither 0 nor 1"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        return "is not a number of at least 0"
    if value and not LEAST <= value <= 1 / LEAST:
        return "is too near to 0, or too large, to have been measured"
    if column in SHARES and value > 1:
        return "is above 1; it is a share, not a percentage"
    if column == "loss" and not 0 < value <= MOST_LOSS:
        return "is no loss in nats per token"
    return ""


def apart(measurements: list[Measurement], inputs: tuple[str, ...]) -> list[Measurement]:
    """The same with what the runs differ in besides ``inputs`` in the set's name: L(R) holds for one value of each."""
    names = [name for name in ("learning_rate", "replay", "stage_order") if name not in inputs]
    names = [name for name in names if len({m.knobs.get(name) for m in measurements}) > 1]
    return [
        replace(
            m,
            set=", ".join(
                [m.set, *(f"{name.replace('_', ' ')} {m.knobs[name]}" for name in names if name in m.knobs)]
            ),
        )
        for m in measurements
    ]


def final_losses(
    measurements: list[Measurement], inputs: tuple[str, ...]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(x float64[n, inputs], losses float64[n]) per validation set, at the last tokens, which its runs must share.

    Raises DataError where runs end at different tokens (L(R) holds for one length of training), and where two lines
    measure the same.
    """
    last: dict[tuple[str, tuple[float, ...]], Measurement] = {}
    for m in measurements:
        key = (m.set, tuple(m.values[name] for name in inputs))
        before = last.get(key)
        if before and m.values["tokens"] == before.values["tokens"]:
            raise DataError(
                f"lines {before.line} and {m.line} measure {m.set} at the same place; leave their mean, or name the "
                "sets differently"
            )
        if not before or m.values["tokens"] > before.values["tokens"]:
            last[key] = m
    sets: dict[str, list[Measurement]] = {}
    for m in last.values():
        sets.setdefault(m.set, []).append(m)
    found = {}
    for name, runs in sorted(sets.items()):
        most = max(m.values["tokens"] for m in runs)
        for m in runs:
            if m.values["tokens"] < most:
                raise DataError(
                    f"line {m.line}: ratio {m.values['ratio']:g} of {name} ends at {m.values['tokens']:g} tokens and "
                    f"others at {most:g}; L(R) holds for runs of one length: leave the shorter run out, or the later "
                    "lines of the others"
                )
        table = np.array(sorted([*(m.values[column] for column in inputs), m.values["loss"]] for m in runs))
        found[name] = table[:, :-1], table[:, -1]
    return found


def curves(measurements: list[Measurement], domain_set: str, general_set: str) -> dict[float, Curve]:
    """One `Curve` per ratio.

    Raises DataError where a set has no loss at 0 tokens or two, where the sets' tokens differ, and where runs differ
    in more than the ratio.
    """
    names = (domain_set, general_set)
    measurements = [m for m in measurements if m.set in names]
    if several := sorted({m.set for m in apart(measurements, ())} - set(names)):
        raise DataError(
            f"runs differ in more than the ratio ({'; '.join(several[:ERRORS_SHOWN])}); leave the lines of one study"
        )
    base: dict[str, float] = {}
    points: dict[float, dict[str, dict[float, float]]] = {}
    for m in measurements:
        loss, tokens = m.values["loss"], m.values["tokens"]
        if tokens == 0:
            if not math.isclose(base.setdefault(m.set, loss), loss, rel_tol=SAME_START):
                raise DataError(
                    f"line {m.line}: {m.set} starts at a loss of {loss:g}, other runs at {base[m.set]:g}; the law is "
                    "for runs from one model"
                )
            continue
        run = points.setdefault(m.values["ratio"], {name: {} for name in names})[m.set]
        if tokens in run:
            raise DataError(f"line {m.line}: {m.set} is measured twice at {tokens:g} tokens; leave one line")
        run[tokens] = loss
    missing = [name for name in names if name not in base]
    if missing:
        raise DataError(f"no line with tokens 0 for {', '.join(missing)}: the loss before training is needed")
    found = {}
    for ratio, runs in sorted(points.items()):
        places = sorted(runs[general_set])
        if places != sorted(runs[domain_set]):
            raise DataError(
                f"ratio {ratio:g}: {domain_set} and {general_set} were not measured at the same tokens"
            )
        found[ratio] = Curve(
            np.array(places),
            *(np.array([runs[name][t] - base[name] for t in places]) for name in names),
        )
    return found
