"""Which steps are passed over, and what a stage will need."""

from __future__ import annotations

import math

import numpy as np
import pytest

from steps.core.errors import ConfigError
from steps.train.architecture import Architecture
from steps.train.config import Config, Stability
from steps.train.estimate import GIB, MEMORY, check_memory, estimate
from steps.train.stability import NOT_FINITE, SPIKE, action, judge

CALM = Stability(window=8, deviations=6.0)


def test_a_loss_or_norm_far_above_those_before_is_a_spike() -> None:
    rng = np.random.default_rng(1)
    past = [(2 + 0.1 * float(a), 1 + 0.1 * float(b)) for a, b in rng.normal(size=(20, 2))]
    assert judge(2.2, 1.2, past, CALM) is None
    assert judge(9.0, 1.0, past, CALM) == SPIKE
    assert judge(2.0, 9.0, past, CALM) == SPIKE
    assert judge(0.1, 0.1, past, CALM) is None  # low is no spike
    assert judge(9.0, 9.0, past[:3], CALM) is None  # half a window must be known
    assert judge(9.0, 9.0, past, Stability(window=8, spike="ignore")) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_always_found(value: float) -> None:
    assert judge(value, 1.0, [], CALM) == judge(1.0, value, [], CALM) == NOT_FINITE


def test_only_the_window_counts() -> None:
    past = [(100.0, 1.0), *[(2.0 + 0.01 * (i % 2), 1.0) for i in range(8)]]
    assert judge(3.0, 1.0, past, CALM) == SPIKE


def test_the_recipe_says_what_to_do_until_too_many_steps_are_passed_over() -> None:
    settings = Stability(not_finite="roll_back", spike="skip", most=2)
    assert action(NOT_FINITE, 0, settings) == "roll_back" and action(SPIKE, 1, settings) == "skip"
    assert action(SPIKE, 2, settings) == "stop"


def wide(layers: int) -> Architecture:
    """Layers of LLaMA-2-13B's width with the vocabulary of Ziya."""
    return Architecture(39424, 5120, layers, 40, 40, 13824, 1e4, 4096, 1e-5)


def test_memory_is_predicted_as_it_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten layers on one H200, two windows of 4096, FP32 accumulation: 75 GiB."""
    monkeypatch.setattr("steps.train.estimate.has_gpu", lambda: True)
    config = Config(micro_batch=2, batch_windows=2)
    assert estimate(wide(10), config, 4096, 100).memory / GIB == pytest.approx(75, rel=0.05)
    more = [
        Config(micro_batch=4, batch_windows=4),
        Config(micro_batch=2, batch_windows=4, layout={"data": 2}),
        Config(micro_batch=2, batch_windows=4, layout={"tensor": 2}),
        Config(micro_batch=2, batch_windows=4, layout={"pipeline": 2}),
        Config(micro_batch=4, batch_windows=4, recompute="full"),
        Config(micro_batch=2, batch_windows=4, layout={"data": 2}, zero=3),
    ]
    one, *others = [estimate(wide(10), each, 4096, 100).memory for each in more]
    assert all(other < one for other in others)


def test_too_little_memory_is_refused_with_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY, "80")
    monkeypatch.setattr("steps.train.estimate.has_gpu", lambda: True)
    config = Config(micro_batch=2, batch_windows=8)
    check_memory(estimate(wide(10), config, 4096, 100), config)
    with pytest.raises(
        ConfigError, match=r"needs about 2\d\d\.\d GiB and has 80\.0 GiB.*micro_batch \(2\)"
    ) as refused:
        check_memory(estimate(wide(40), config, 4096, 100), config)
    assert refused.value.exit_code == 78
    monkeypatch.setenv(MEMORY, "plenty")
    with pytest.raises(ConfigError, match="not a number of GiB"):
        check_memory(estimate(wide(40), config, 4096, 100), config)
