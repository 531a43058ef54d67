"""fit_scaling_law: measured losses → a law's parameters with their confidence, and what it predicts."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from steps.core.errors import ConfigError, DataError
from steps.core.source import SourceListing, fetch_object
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.fit_scaling_law.config import INPUTS, Config
from steps.fit_scaling_law.critical_ratio import critical_law, judge_ratios
from steps.fit_scaling_law.fit import Fit, compare, fit_law, left_out
from steps.fit_scaling_law.laws import DATA_CENTRIC, RATIO, RATIO_RATE
from steps.fit_scaling_law.measurements import (
    Measurement,
    apart,
    curves,
    final_losses,
    read_measurements,
)
from steps.fit_scaling_law.report import report
from steps.fit_scaling_law.surface import TooFew

MOST_BYTES = (
    64 << 20
)  # of a file of measurements; the largest study of the papers has some thousands of lines


def run(ctx: StepContext) -> None:
    """Read the measurements, fit, predict; everything goes into fit.json and, but for the points, into the facts."""
    found = ctx.part("fit", fit_measurements).result
    ctx.set("law", ctx.config.law)
    for name, value in found.items():
        ctx.set(name, value)


def fit_measurements(task: dict[str, Any], part: PartWriter) -> dict[str, Any]:
    """fit.json: what the facts say, and the measured points and the fitted lines for the report."""
    config: Config = part.config
    made = part.inputs["measurements"]
    if made.step == "search_mixture":
        entry = made.file("measurements.csv")
        measurements = read_measurements(made.read_bytes(entry), entry.key, config.law)
    else:
        measurements = []
        for item in SourceListing.of(made).objects:
            if item.bytes > MOST_BYTES:
                raise DataError(
                    f"{item.key}: {item.bytes:,} bytes; a file of measurements has at most {MOST_BYTES:,}"
                )
            data = fetch_object(item, part.locations, part.scratch).read_bytes()
            measurements += read_measurements(data, item.key, config.law)
    fitters = {
        "ratio": fit_losses,
        "ratio_rate": fit_losses,
        "critical_ratio": fit_critical_ratio,
        "data_centric": fit_data_centric,
    }
    facts, plots = fitters[config.law](config, measurements)
    part.put_bytes("fit.json", json.dumps({**facts, "plots": plots}, sort_keys=True).encode(), "fit")
    return facts


Found = tuple[dict[str, Any], list[dict[str, Any]]]


def fit_losses(config: Config, measurements: list[Measurement]) -> Found:
    """L(R), or L(R, learning rate), for every validation set, and what it says of points that it has not seen."""
    law = RATIO if config.law == "ratio" else RATIO_RATE
    sets = final_losses(apart(measurements, law.inputs), law.inputs)
    known = sorted({ratio for x, _ in sets.values() for ratio in x[:, 0].tolist()})
    if unknown := [ratio for ratio in config.held_out if ratio not in known]:
        raise ConfigError(
            f"held_out: nothing is measured at {', '.join(map(str, unknown))}; ratios are {', '.join(map(str, known))}"
        )
    fits: dict[str, Any] = {}
    plots: list[dict[str, Any]] = []
    not_fitted: dict[str, str] = {}
    for name, (x, losses) in sets.items():
        kept = ~np.isin(x[:, 0], config.held_out)
        try:
            fit = fit_law(law, x[kept], losses[kept], draws=config.draws, seed=config.seed)
        except TooFew as error:  # most cells of one learning rate ended early, say
            not_fitted[name] = str(error)
            continue
        fits[name] = {
            **describe(fit),
            "held_out": compare(fit, x[~kept], losses[~kept]),
            "left_out": left_out(law, x[kept], losses[kept]),
            "predictions": predictions(config, fit),
        }
        if law is RATIO:
            plots.append(line(f"loss on {name}", fit, x[:, 0], losses))
        else:
            predicted = law.predict(fit.parameters, x)
            plots.append(agreement(f"loss on {name}: measured by predicted", predicted, losses))
    if not fits:
        raise DataError("\n".join(f"{name}: {why}" for name, why in not_fitted.items()))
    return {"fits": fits, "not_fitted": not_fitted}, plots


def fit_critical_ratio(config: Config, measurements: list[Measurement]) -> Found:
    """Both laws of every ratio, which of them are feasible, and the critical ratio over tokens."""
    results = judge_ratios(
        curves(measurements, config.domain_set, config.general_set),
        multiplier=config.multiplier,
        epsilon=config.epsilon,
        draws=config.draws,
        seed=config.seed,
    )
    ratios = [
        {
            "ratio": ratio,
            "domain": describe(r.domain),
            "general": describe(r.general),
            "turning_point": r.turning,
            "within_epsilon": r.within_epsilon,
            "feasible": r.feasible,
        }
        for ratio, r in results.items()
    ]
    law = critical_law(results, draws=config.draws, seed=config.seed)
    feasible = [ratio for ratio, r in results.items() if r.feasible]
    turned = np.array([(r.turning, ratio) for ratio, r in results.items() if r.turning is not None])
    facts = {
        "ratios": ratios,
        "largest_feasible": max(feasible, default=None),
        "fits": {"critical ratio": {**describe(law), "predictions": predictions(config, law)}},
    }
    return facts, [line("critical ratio over tokens", law, turned[:, 0], turned[:, 1])]


def fit_data_centric(config: Config, measurements: list[Measurement]) -> Found:
    """Ziya2's law."""
    x = np.array([[m.values[name] for name in INPUTS["data_centric"]] for m in measurements])
    y = np.array([m.values["loss"] for m in measurements])
    check_predict(config, x)
    fit = fit_law(DATA_CENTRIC, x, y, draws=config.draws, seed=config.seed)
    plot = agreement("measured by predicted loss", fit.predict(x), y)
    described = {**describe(fit), "notes": undetermined(x), "predictions": predictions(config, fit)}
    return {"fits": {"loss": described}}, [plot]


def unchanging(x: np.ndarray) -> dict[str, float]:
    """Inputs of the data-centric law that have one value in x float64[n, inputs], which says nothing of any other."""
    columns = zip(INPUTS["data_centric"], x.T, strict=True)
    return {name: float(column[0]) for name, column in columns if np.ptp(column) <= 1e-9 * abs(column[0])}


def check_predict(config: Config, x: np.ndarray) -> None:
    """Raise ConfigError for a point with another value of what never changed in x: no law knows what that does."""
    for name, measured in unchanging(x).items():
        for number, point in enumerate(config.predict):
            if not math.isclose(point[name], measured, rel_tol=1e-9):
                raise ConfigError(
                    f"predict[{number}]: {name} {point[name]:g}: it is {measured:g} in all that was measured, so that "
                    f"nothing is known of another value, extrapolated or not; predict at {measured:g}, or measure "
                    "runs that differ in it"
                )


def undetermined(x: np.ndarray) -> list[str]:
    """One sentence for each thing that x float64[n, inputs] says nothing of, in words for the report."""
    letters = dict(zip(INPUTS["data_centric"], ("A", "B", "C", "alpha"), strict=True))
    notes = [
        f"{name} is {value:g} in all that was measured: {letters[name]} is no more than what the law's form makes of "
        "that, and nothing is predicted at another value"
        for name, value in unchanging(x).items()
    ]
    terms = np.column_stack([x[:, :3] * x[:, 3:], np.ones(len(x))])
    if np.linalg.matrix_rank(terms / np.abs(terms).max(axis=0).clip(min=1e-300), tol=1e-9) < terms.shape[1]:
        notes.append(
            "coherence, readability and similarity did not move apart: A, B, C and F are one of many answers that fit "
            "as well, and only predictions where they move together as here mean anything"
        )
    return notes


def agreement(title: str, predicted: np.ndarray, measured: np.ndarray) -> dict[str, Any]:
    """Measured over predicted losses, float64[n] each, and the line on which they are equal."""
    order = np.argsort(predicted, kind="stable")
    return {
        "title": title,
        "unit": "predicted loss",
        "measured": list(zip(predicted[order].tolist(), measured[order].tolist(), strict=True)),
        "line": [(v, v, v, v) for v in (float(predicted.min()), float(predicted.max()))],
    }


def describe(fit: Fit) -> dict[str, Any]:
    """Parameters with their intervals, and how well the law follows what was measured."""
    parameters = {}
    for name in fit.law.parameters:
        low, high = fit.interval(name)
        parameters[name] = {"value": fit.value(name), "low": low, "high": high}
    error = fit.largest_error
    return {
        "formula": fit.law.formula,
        "parameters": parameters,
        "r_squared": fit.r_squared,
        "largest_relative_error": None if np.isnan(error) else error,
        "measured": {
            name: [float(low), float(high)]
            for name, low, high in zip(fit.law.inputs, fit.low, fit.high, strict=True)
        },
    }


def predictions(config: Config, fit: Fit) -> list[dict[str, Any]]:
    """The points to predict, with the band, and whether they lie outside of what was measured."""
    found = []
    for point in config.predict:
        x = np.array([[point[name] for name in fit.law.inputs]])
        with np.errstate(all="ignore"):  # what has no value is refused by name
            value = float(fit.predict(x, extrapolate=config.extrapolate)[0])
        if not math.isfinite(value):
            raise ConfigError(f"predict: {fit.law.formula} has no value at {point}")
        low, high = fit.band(x)
        found.append(
            {
                "at": point,
                "value": value,
                "low": float(low[0]),
                "high": float(high[0]),
                "extrapolated": bool(fit.outside(x)),
            }
        )
    return found


def line(title: str, fit: Fit, x: np.ndarray, y: np.ndarray, points: int = 40) -> dict[str, Any]:
    """What the report draws: measured points, and the law with its band over the measured range."""
    grid = np.linspace(fit.low[0], fit.high[0], points)[:, None]
    low, high = fit.band(grid)
    values = zip(grid[:, 0].tolist(), fit.predict(grid).tolist(), low.tolist(), high.tolist(), strict=True)
    return {
        "title": title,
        "unit": fit.law.inputs[0],
        "measured": list(zip(x.tolist(), y.tolist(), strict=True)),
        "line": list(values),
    }


STEP = Step(
    name="fit_scaling_law",
    version=4,
    config=Config,
    run=run,
    inputs=(Input("measurements"),),
    libraries=("numpy", "scipy"),
    report=report,
)
