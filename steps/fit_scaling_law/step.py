"""fit_scaling_law: measured losses → a law's parameters with their confidence, and what it predicts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from steps.core.errors import DataError
from steps.core.source import SourceListing, fetch_object
from steps.core.step import Input, PartWriter, Step, StepContext
from steps.fit_scaling_law.config import INPUTS, Config
from steps.fit_scaling_law.critical_ratio import critical_law, judge_ratios
from steps.fit_scaling_law.fit import Fit, fit_law, left_out
from steps.fit_scaling_law.laws import DATA_CENTRIC, RATIO, RATIO_RATE
from steps.fit_scaling_law.measurements import (
    Measurement,
    by_rate,
    curves,
    final_losses,
    read_measurements,
)
from steps.fit_scaling_law.report import report

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
    measurements = []
    made = part.inputs["measurements"]
    for entry in made.files("measurements"):  # of a search
        measurements += read_measurements(made.read_bytes(entry), entry.key, config.law)
    for item in [] if measurements else SourceListing.of(made).objects:
        if item.bytes > MOST_BYTES:
            raise DataError(
                f"{item.key}: {item.bytes:,} bytes; a file of measurements has at most {MOST_BYTES:,}"
            )
        data = fetch_object(item, part.locations, part.scratch).read_bytes()
        measurements += read_measurements(data, item.key, config.law)
    fitters = {
        "ratio": fit_ratio,
        "ratio_rate": fit_ratio_rate,
        "critical_ratio": fit_critical_ratio,
        "data_centric": fit_data_centric,
    }
    facts, plots = fitters[config.law](config, measurements)
    part.put_bytes("fit.json", json.dumps({**facts, "plots": plots}, sort_keys=True).encode(), "fit")
    return facts


Found = tuple[dict[str, Any], list[dict[str, Any]]]


def fit_ratio(config: Config, measurements: list[Measurement]) -> Found:
    """L(R) for every validation set."""
    fits, plots = {}, []
    for name, (x, losses) in final_losses(by_rate(measurements), INPUTS["ratio"]).items():
        ratios = x[:, 0]
        kept = ~np.isin(ratios, config.held_out)
        fit = fit_law(RATIO, ratios[kept, None], losses[kept], draws=config.draws, seed=config.seed)
        held_out = [
            {"ratio": r, "loss": y, "predicted": p, "relative_error": abs(p / y - 1)}
            for r, y, p in zip(
                ratios[~kept].tolist(),
                losses[~kept].tolist(),
                # a left-out ratio at the end of the grid is a test of extrapolation, and meant as one
                fit.predict(ratios[~kept, None], extrapolate=True).tolist(),
                strict=True,
            )
        ]
        fits[name] = {
            **describe(fit),
            "held_out": held_out,
            "left_out": left_out(RATIO, x[kept], losses[kept]),
            "predictions": predictions(config, fit),
        }
        plots.append(line(f"loss on {name}", fit, ratios, losses))
    return {"fits": fits}, plots


def fit_ratio_rate(config: Config, measurements: list[Measurement]) -> Found:
    """L(R, learning rate) for every validation set, drawn as measured by predicted loss."""
    fits, plots = {}, []
    for name, (x, losses) in final_losses(measurements, INPUTS["ratio_rate"]).items():
        fit = fit_law(RATIO_RATE, x, losses, draws=config.draws, seed=config.seed)
        left = left_out(RATIO_RATE, x, losses)
        fits[name] = {**describe(fit), "left_out": left, "predictions": predictions(config, fit)}
        plots.append(agreement(f"loss on {name}: measured by predicted", fit.predict(x), losses))
    return {"fits": fits}, plots


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
    fit = fit_law(DATA_CENTRIC, x, y, draws=config.draws, seed=config.seed)
    plot = agreement("measured by predicted loss", fit.predict(x), y)
    return {"fits": {"loss": {**describe(fit), "predictions": predictions(config, fit)}}}, [plot]


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
        value = float(fit.predict(x, extrapolate=config.extrapolate)[0])
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
    version=2,
    config=Config,
    run=run,
    inputs=(Input("measurements"),),
    libraries=("numpy", "scipy"),
    report=report,
)
