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
RATE, STOPPED = "learning_rate", "stopped"
OPTIONAL = (
    RATE,
    STOPPED,
)  # columns that are read where they are there; stopped: 1 for a run that ended early
ERRORS_SHOWN = 10


@dataclass(frozen=True)
class Measurement:
    """One line; ``values`` are its numbers by column."""

    line: int
    set: str
    values: Mapping[str, float]


def read_measurements(data: bytes, name: str, law: LawName) -> list[Measurement]:
    """The lines of a CSV file with a header. Raises DataError with the lines and columns that are wrong, at once."""
    wanted = COLUMNS[law]
    try:
        rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        missing = [column for column in wanted if column not in (rows.fieldnames or ())]
        if missing:
            raise DataError(
                f"{name}: no column {', '.join(missing)}; the law {law} needs {', '.join(wanted)}"
            )
        lines = [(rows.line_num, row) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is no CSV file in UTF-8: {error}") from None
    errors, found = [], []
    for number, row in lines:
        values = {}
        for column in (*wanted, *(name for name in OPTIONAL if name in row and name not in wanted)):
            if column == "set":
                continue
            value = _number(row[column])
            if value is None or value < 0:
                errors.append(f"{name} line {number}: {column} {row[column]!r} is not a number of at least 0")
            else:
                values[column] = value
        found.append(Measurement(number, (row.get("set") or "").strip(), values))
    if errors:
        more = f"\nand {len(errors) - ERRORS_SHOWN} more" if len(errors) > ERRORS_SHOWN else ""
        raise DataError("\n".join(errors[:ERRORS_SHOWN]) + more)
    return found


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def by_rate(measurements: list[Measurement]) -> list[Measurement]:
    """The same with the learning rate in the set's name, where there are several: L(R) holds for one of them."""
    rates = {m.values.get(RATE) for m in measurements}
    if len(rates) == 1:
        return measurements
    return [replace(m, set=f"{m.set}, learning rate {m.values.get(RATE, 0):g}") for m in measurements]


def final_losses(
    measurements: list[Measurement], inputs: tuple[str, ...]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(x float64[n, inputs], losses float64[n]) per validation set, at the last tokens, which all runs must share.

    Raises DataError where runs end at different tokens: L(R) holds for one length of training. Runs that are marked as
    stopped early are left out.
    """
    last: dict[tuple[str, tuple[float, ...]], tuple[float, float, int]] = {}
    for m in measurements:
        if m.values.get(STOPPED):
            continue
        key = (m.set, tuple(m.values[name] for name in inputs))
        if key not in last or m.values["tokens"] > last[key][0]:
            last[key] = (m.values["tokens"], m.values["loss"], m.line)
    ends = {tokens for tokens, _, _ in last.values()}
    if len(ends) > 1:
        most = max(ends)
        (name, (ratio, *_)), (tokens, _, line) = next((k, v) for k, v in last.items() if v[0] < most)
        raise DataError(
            f"line {line}: ratio {ratio:g} of {name} ends at {tokens:g} tokens and others at {most:g}; L(R) holds for "
            "runs of one length: leave the shorter run out, or the later lines of the others"
        )
    sets: dict[str, list[tuple[float, ...]]] = {}
    for (name, point), (_, loss, _) in last.items():
        sets.setdefault(name, []).append((*point, loss))
    tables = {name: np.array(sorted(points)) for name, points in sorted(sets.items())}
    return {name: (table[:, :-1], table[:, -1]) for name, table in tables.items()}


def curves(measurements: list[Measurement], domain_set: str, general_set: str) -> dict[float, Curve]:
    """One `Curve` per ratio. Raises DataError where a set has no loss at 0 tokens, or the sets' tokens differ."""
    base, points = {}, dict[float, dict[str, dict[float, float]]]()
    for m in measurements:
        if m.set not in (domain_set, general_set):
            continue
        if m.values["tokens"] == 0:
            base[m.set] = m.values["loss"]
        else:
            runs = points.setdefault(m.values["ratio"], {domain_set: {}, general_set: {}})
            runs[m.set][m.values["tokens"]] = m.values["loss"]
    missing = [name for name in (domain_set, general_set) if name not in base]
    if missing:
        raise DataError(f"no line with tokens 0 for {', '.join(missing)}: the loss before training is needed")
    found = {}
    for ratio, runs in sorted(points.items()):
        tokens = sorted(runs[general_set])
        if tokens != sorted(runs[domain_set]):
            raise DataError(
                f"ratio {ratio:g}: {domain_set} and {general_set} were not measured at the same tokens"
            )
        found[ratio] = Curve(
            np.array(tokens),
            np.array([runs[domain_set][t] - base[domain_set] for t in tokens]),
            np.array([runs[general_set][t] - base[general_set] for t in tokens]),
        )
    return found
