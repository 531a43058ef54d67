"""Published laws are found again in points made from them."""

from __future__ import annotations

import numpy as np
import pytest

from steps.core.errors import DataError
from steps.fit_scaling_law.critical_ratio import Curve, critical_law, judge_ratios, turning_point
from steps.fit_scaling_law.fit import fit_law, left_out
from steps.fit_scaling_law.laws import (
    CRITICAL,
    DATA_CENTRIC,
    DOMAIN,
    GENERAL,
    RATIO,
    RATIO_RATE,
    Law,
    log_data_centric,
    log_data_centric_jacobian,
)

# CMR Table 5: a4, s4, b3 for 460M, 940M, 1.6B and 3.1B parameters, and the ratio in percent at T = 100
TABLE_5 = [
    ((0.22524761, 0.26944345, -0.48139982), 29.8),
    ((0.7520627, 0.13720245, -1.06581937), 34.9),
    ((-2.36384831, -0.15125569, 1.59223649), 41.4),
    ((-2.5368197, -0.42071423, 0.84375368), 47.8),
]
# Ziya2 Eqs. 6 and 7
ZIYA2 = np.array([0.06, 1.66, 1.98, 0.70, 1.24e10, 0.31])
# Ziya2 Tables 4 and 5: coherence, readability per stage; similarity per benchmark and stage
QUALITY = [(0.801, 0.917), (0.653, 0.975), (0.993, 0.916)]
SIMILARITY = [
    (0.6714, 0.6677, 0.6827), (0.7057, 0.7417, 0.6567), (0.7024, 0.7374, 0.6634),
    (0.6612, 0.6570, 0.7524), (0.6552, 0.6505, 0.7477), (0.5689, 0.5563, 0.6211),
]  # fmt: skip


def noisy(values: np.ndarray, seed: int, share: float = 1e-3) -> np.ndarray:
    return values * (1 + share * np.random.Generator(np.random.PCG64(seed)).standard_normal(len(values)))


@pytest.mark.parametrize(("constants", "percent"), TABLE_5)
def test_the_published_constants_give_the_published_critical_ratios(
    constants: tuple[float, ...], percent: float
) -> None:
    ratio = CRITICAL.predict(np.array(constants), np.array([[100.0]]))
    assert round(100 * float(ratio[0]), 1) == percent


@pytest.mark.parametrize(("constants", "percent"), TABLE_5)
def test_a_critical_ratio_law_is_found_again_under_noise(
    constants: tuple[float, ...], percent: float
) -> None:
    tokens = np.geomspace(25, 250, 24)[:, None]
    ratios = noisy(CRITICAL.predict(np.array(constants), tokens), seed=3)
    fit = fit_law(CRITICAL, tokens, ratios, draws=200)
    for name, value in zip(CRITICAL.parameters, constants, strict=True):
        low, high = fit.interval(name)
        assert low <= value <= high, name
    assert float(fit.predict(np.array([[100.0]]))[0]) == pytest.approx(percent / 100, abs=0.005)


def ziya2_points() -> np.ndarray:
    """84 points as in the paper: six benchmarks, 14 checkpoints over the three stages."""
    tokens = (
        [(1e10 * k, 0) for k in range(1, 7)]
        + [(1e10 * k, 1) for k in range(1, 5)]
        + [(1e10 * k, 2) for k in range(1, 5)]
    )
    return np.array([(*QUALITY[stage], task[stage], v) for task in SIMILARITY for v, stage in tokens])


def test_ziya2s_equation_is_found_again_in_its_own_points() -> None:
    x = ziya2_points()
    assert len(x) == 84
    fit = fit_law(DATA_CENTRIC, x, DATA_CENTRIC.predict(ZIYA2, x), draws=4)
    assert fit.parameters == pytest.approx(ZIYA2, rel=1e-3)
    start = DATA_CENTRIC.predict(fit.parameters, np.array([[0.801, 0.917, 0.6714, 0.0]]))
    assert float(start[0]) == pytest.approx(0.558, abs=5e-4)  # V = 0: the loss of the initial model


def test_the_data_centric_law_under_noise_is_off_by_less_than_its_band_is_wide() -> None:
    """Its parameters trade with each other where losses span a tenth: under noise, predictions are what is known."""
    x = ziya2_points()
    truth = DATA_CENTRIC.predict(ZIYA2, x)
    fit = fit_law(DATA_CENTRIC, x, noisy(truth, seed=1), draws=60)
    low, high = fit.band(x)
    assert (np.abs(fit.predict(x) - truth) <= high - low).all()
    assert (high - low).max() < 1e-3
    narrow, wide = fit.interval("alpha")
    assert wide > 2 * narrow


@pytest.mark.parametrize("seed", range(5))
def test_the_jacobian_is_that_of_the_law(seed: int) -> None:
    theta = np.log(ZIYA2) + np.random.Generator(np.random.PCG64(seed)).normal(0, 0.3, 6)
    x, step = ziya2_points(), 1e-6
    for column in range(6):
        change = step * np.eye(6)[column]
        difference = log_data_centric(np.exp(theta + change), x) - log_data_centric(np.exp(theta - change), x)
        found = log_data_centric_jacobian(np.exp(theta), x)[:, column]
        assert found == pytest.approx(difference / (2 * step), abs=1e-8)


@pytest.mark.parametrize(
    "law, truth",
    [(RATIO, (0.4, -0.3, 1.1)), (RATIO, (-0.8, 0.5, 2.0)), (GENERAL, (0.3, 0.2, -0.2, 0.4, 0.01))],
)
def test_exact_points_give_exact_laws(law: Law, truth: tuple[float, ...]) -> None:
    x = np.geomspace(0.05 if law is RATIO else 1, 1 if law is RATIO else 200, 30)[:, None]
    fit = fit_law(law, x, law.predict(np.array(truth), x), draws=3)
    assert law.predict(fit.parameters, x) == pytest.approx(law.predict(np.array(truth), x), abs=1e-8)
    if law is RATIO:
        assert fit.parameters == pytest.approx(truth, rel=1e-4)


def test_the_law_of_ratio_and_rate_is_a_law_of_the_ratio_at_every_rate() -> None:
    truth = np.array([-0.5, -0.4, 3.0, -0.2, 0.03, -0.2])
    x = np.array([(ratio, rate) for ratio in (0.1, 0.2, 0.4, 0.6, 0.8) for rate in (5e-4, 1e-3, 2e-3)])
    y = RATIO_RATE.predict(truth, x)
    fit = fit_law(RATIO_RATE, x, y, draws=3)
    assert fit.parameters == pytest.approx(truth, rel=1e-3)
    assert max(row["relative_error"] for row in left_out(RATIO_RATE, x, y)) < 1e-6
    slope = x[:, 1] == 2e-3
    alone = fit_law(RATIO, x[slope, :1], y[slope], draws=3)
    alpha, s, beta, gamma, delta, mixed = truth
    log_rate = np.log(2e-3)
    expected = (alpha + mixed * log_rate, s, beta + gamma * log_rate + delta * log_rate**2)
    assert alone.parameters == pytest.approx(expected, rel=1e-4)


def test_a_prediction_outside_of_what_was_measured_is_refused() -> None:
    x = np.linspace(0.1, 0.5, 8)[:, None]
    fit = fit_law(RATIO, x, RATIO.predict(np.array([0.5, 0.5, 1.0]), x), draws=3)
    with pytest.raises(DataError, match=r"ratio 0\.8 is outside of the measured 0\.1 to 0\.5"):
        fit.predict(np.array([[0.8]]))
    assert float(fit.predict(np.array([[0.8]]), extrapolate=True)[0]) == pytest.approx(
        1 + 0.5 * 0.8**0.5, abs=1e-6
    )


def test_too_few_points_are_refused() -> None:
    with pytest.raises(DataError, match="3 points; 4 are the fewest"):
        fit_law(RATIO, np.array([[0.1], [0.2], [0.3]]), np.array([1.0, 1.1, 1.2]))


def test_the_turning_point_tends_to_that_of_the_general_loss() -> None:
    domain, general = np.array([-0.1, 0.3, 0.0]), np.array([0.3, 0.2, -0.1, 0.4, 0.0])
    # general: 0.06 T^-0.8 = 0.04 T^-0.6 where T^0.2 = 1.5
    wanted = 1.5**5
    assert turning_point(domain, general, 1e9, 0.1, 100) == pytest.approx(wanted, rel=1e-6)
    nearer = turning_point(domain, general, 100, 0.1, 100)
    assert nearer is not None and nearer < wanted
    assert turning_point(domain, general, 1e9, 0.1, 5.0) is None
    assert turning_point(domain, -np.array(general), 1e9, 10.0, 100) is None
    falling = np.array([-0.3, 0.2, -0.1, 0.4, 0.0])
    assert turning_point(domain, falling, 1e9, 1.0, 100) == 1.0


def test_the_critical_ratio_comes_out_of_curves_that_turn_where_the_law_says() -> None:
    """Curves of every ratio R are made so that their general loss turns at the T0 of 460M's published law."""
    a4, s4, b3 = TABLE_5[0][0]
    tokens = np.geomspace(5, 300, 40)
    curves = {}
    for ratio in (0.10, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.6):
        turn = ((ratio - b3) / a4) ** (1 / s4)
        a2, s2, s3 = 0.02, 0.3, 0.6
        a3 = -a2 * s2 / s3 * turn ** (s2 - s3)
        general = GENERAL.predict(np.array([a2, s2, a3, s3, 0.0]), tokens[:, None])
        curves[ratio] = Curve(tokens, DOMAIN.predict(np.array([-0.1, 0.2, 0.0]), tokens[:, None]), general)
    results = judge_ratios(curves, multiplier=1e7, epsilon=0.05, draws=2, seed=0)
    assert results[0.6].turning is None and not results[0.6].feasible
    law = critical_law(results, draws=20, seed=0)
    assert float(law.predict(np.array([[100.0]]))[0]) == pytest.approx(0.298, abs=0.005)
    with pytest.raises(DataError, match="needs 4"):
        critical_law({ratio: results[ratio] for ratio in (0.1, 0.2, 0.6)}, draws=2, seed=0)
