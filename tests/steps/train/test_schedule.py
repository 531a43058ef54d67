"""Learning rates against the closed formulas, and settings that have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from steps.train.config import Config
from steps.train.schedule import learning_rate, share_of

PEAK, FINAL = 1e-3, 1e-5


def rates(steps: int, **changes: object) -> np.ndarray:
    config = Config.model_validate({"learning_rate": PEAK, "final_learning_rate": FINAL, **changes})
    return np.array([learning_rate(config, step, steps) for step in range(steps)])


def test_the_cosine_warms_up_peaks_and_ends_where_it_should() -> None:
    found = rates(1000)
    t = np.arange(10, 1000)
    cosine = FINAL + (PEAK - FINAL) * (1 + np.cos(math.pi * (t - 10) / 989)) / 2
    np.testing.assert_allclose(found[:10], PEAK * np.arange(1, 11) / 10, rtol=1e-12)
    np.testing.assert_allclose(found[10:], cosine, rtol=1e-12)
    assert found[-1] == pytest.approx(FINAL, rel=1e-12)


@pytest.mark.parametrize("steps", [1000, 997, 10])
def test_wsd_is_minicpm_s_warm_up_stable_rate_and_exponential_annealing(steps: int) -> None:
    found = rates(steps, schedule="wsd", warmup_ratio=0.05, decay_ratio=0.1)
    warm, decay = math.ceil(steps * 0.05), math.ceil(steps * 0.1)
    np.testing.assert_allclose(found[:warm], PEAK * np.arange(1, warm + 1) / warm, rtol=1e-12)
    assert (found[warm : steps - decay] == PEAK).all() and found[steps - decay] < PEAK
    half = decay * math.log(2) / math.log(PEAK / FINAL)  # steps in which the rate halves: 0.5^(k / half)
    np.testing.assert_allclose(
        found[steps - decay :], PEAK * 0.5 ** (np.arange(1, decay + 1) / half), rtol=1e-12
    )
    assert found[-1] == pytest.approx(FINAL, rel=1e-12)


@pytest.mark.parametrize(
    ("steps", "ratio", "warm"),
    [(100, 0.07, 7), (100, 0.01, 1), (1000, 0.011, 11), (100, 0.011, 2), (250, 0.1, 25), (10, 0, 0)],
)
def test_the_warm_up_has_exactly_its_share_of_the_steps(steps: int, ratio: float, warm: int) -> None:
    """In floating point 100 × 0.07 is above 7, and was a step more."""
    assert share_of(steps, ratio) == warm
    found = rates(steps, warmup_ratio=ratio)
    assert found[max(warm - 1, 0)] == pytest.approx(PEAK, rel=1e-12) and (np.diff(found[warm:]) < 0).all()


def test_without_a_decay_the_rate_stays_and_does_not_depend_on_where_the_stage_ends() -> None:
    """As in Llama-3-SynE and the runs of the CMR law: a longer stage begins with the rates of a shorter one."""
    short, long = (rates(n, schedule="wsd", warmup_ratio=0, decay_ratio=0) for n in (20, 50))
    assert (short == PEAK).all() and (long[:20] == short).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"final_learning_rate": 0}, "exponential decay"),
        ({"warmup_ratio": 0.6, "decay_ratio": 0.5}, "more than the stage"),
        ({"final_learning_rate": 1.0}, "the rate would rise"),
    ],
)
def test_a_schedule_that_has_no_rates_is_refused(changes: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rates(10, schedule="wsd", **changes)
