"""Which steps are passed over, which runs end early, and what a stage will need."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from steps.core.architecture import Architecture
from steps.core.errors import ConfigError
from steps.train.config import Config, Stability, StopAbove
from steps.train.estimate import GIB, MEMORY, PRICE, Estimate, check_memory, estimate
from steps.train.stability import NOT_FINITE, SPIKE, Taken, action, hopeless, judge

CALM = Stability(window=8, deviations=6.0)


def taken(*steps: tuple[float, float]) -> list[Taken]:
    """Steps of (loss, gradient norm) on batches of one size."""
    return [Taken(loss, norm, 8192) for loss, norm in steps]


def ordinary(count: int, seed: int) -> list[Taken]:
    """Steps of small batches: losses with normal noise, norms with a long upper tail, 1 in 100 twice as high."""
    rng = np.random.default_rng(seed)
    norms = 0.5 * np.exp(rng.normal(0, 0.12, count)) * np.where(rng.random(count) < 0.01, 2, 1)
    return taken(*zip(rng.normal(5.5, 0.1, count).tolist(), norms.tolist(), strict=True))


def test_a_loss_or_norm_far_above_those_before_is_a_spike() -> None:
    rng = np.random.default_rng(1)
    past = taken(*((2 + 0.1 * float(a), 1 + 0.1 * float(b)) for a, b in rng.normal(size=(20, 2))))

    def judged(loss: float, norm: float, seen: list[Taken] = past, settings: Stability = CALM) -> str | None:
        return judge(Taken(loss, norm, 8192), seen, settings)

    assert judged(2.2, 1.2) is None
    assert judged(9.0, 1.0) == SPIKE
    assert judged(2.0, 9.0) == SPIKE
    assert judged(0.1, 0.1) is None  # low is no spike
    assert judged(9.0, 9.0, past[:3]) is None  # half a window must be known
    assert judged(9.0, 9.0, past, Stability(window=8, spike="ignore")) is None


def test_ordinary_noise_is_no_spike_and_what_ends_runs_is_one_anywhere_in_it() -> None:
    """Fewer than 1 in 1,000 false alarms (six deviations alone: 1 in 100); a loss that jumps by a quarter, as in
    PaLM §5.1 and the logbook of OPT, or a norm ten times as high, at every one of the same places."""
    steps, defaults = ordinary(4000, seed=3), Stability()
    found = [judge(step, steps[:place], defaults) for place, step in enumerate(steps)]
    assert found == [None] * len(steps)
    for place in range(64, len(steps), 64):
        loss, norm, tokens = steps[place]
        assert judge(Taken(1.25 * loss, norm, tokens), steps[:place], defaults) == SPIKE
        assert judge(Taken(loss, 10 * norm, tokens), steps[:place], defaults) == SPIKE


@pytest.mark.parametrize(("windows", "norm"), [(1, 1.91), (2, 1.34)])
def test_the_last_batch_of_a_stage_is_allowed_the_noise_of_its_few_tokens(windows: int, norm: float) -> None:
    """As it was in a run of ours: 1 window of 16 with four times the usual norm, 2 with 2.5 times."""
    past, defaults = ordinary(185, seed=4), Stability()
    assert judge(Taken(5.6, norm, 512 * windows), past, defaults) is None
    assert judge(Taken(5.9, norm, 512 * windows), past, defaults) is None  # four deviations of a whole batch
    assert judge(Taken(5.6, 10 * norm, 512 * windows), past, defaults) == SPIKE
    assert judge(Taken(9.0, norm, 512 * windows), past, defaults) == SPIKE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_always_found(value: float) -> None:
    assert judge(Taken(value, 1.0, 1), [], CALM) == judge(Taken(1.0, value, 1), [], CALM) == NOT_FINITE


def test_only_the_window_counts() -> None:
    past = taken((100.0, 1.0), *((2.0 + 0.01 * (i % 2), 1.0) for i in range(8)))
    assert judge(Taken(3.0, 1.0, 8192), past, CALM) == SPIKE


def test_the_recipe_says_what_to_do_until_too_many_steps_are_passed_over() -> None:
    settings = Stability(not_finite="roll_back", spike="skip", most=2)
    assert action(NOT_FINITE, 0, settings) == "roll_back" and action(SPIKE, 1, settings) == "skip"
    assert action(SPIKE, 2, settings) == "stop"


def measured(*losses: tuple[int, int, float, float]) -> list[dict[str, object]]:
    """Held-out losses of (step, tokens trained on, loss of en, loss of zh)."""
    return [
        {"step": step, "tokens": tokens, "set": name, "loss": loss}
        for step, tokens, *pair in losses
        for name, loss in zip(("en", "zh"), pair, strict=True)
    ]


def limit(at_tokens: int, **bounds: dict[str, float]) -> StopAbove:
    """Broken where all ``bounds`` of sets are."""
    named = [{"set": name, **bound} for name, bound in bounds.items()]
    return StopAbove.model_validate({"at_tokens": at_tokens, "bounds": named})


def test_held_out_losses_above_their_bounds_end_the_stage_once_enough_tokens_are_seen() -> None:
    rise, level = limit(200, en={"rise": 0.05}), limit(0, zh={"loss": 4.0})
    start, early, late = (0, 0, 3.0, 5.0), (10, 100, 3.2, 3.9), (20, 200, 3.06, 3.9)
    assert hopeless(measured(start, early), [rise, level]) is None
    found = hopeless(measured(start, early, late), [level, rise])
    broken = [{"set": "en", "loss": 3.06, "bound": 3.05}]
    assert found == {"step": 20, "tokens": 200, "at_tokens": 200, "bounds": broken}
    assert hopeless(measured(start, early, (20, 200, 3.05, 4.0)), [rise, level]) is None  # at the bound
    not_a_number = hopeless(measured(start, (10, 100, 9.0, math.nan)), [rise, level])
    assert not_a_number is not None and not_a_number["bounds"][0]["set"] == "zh"
    assert hopeless(measured(start, early, late), []) is None


def test_all_bounds_of_one_limit_must_be_broken_at_one_time() -> None:
    both = limit(0, en={"loss": 3.0}, zh={"loss": 4.0})
    start = (0, 0, 9.0, 9.0)
    assert hopeless(measured(start, (10, 100, 3.1, 4.0)), [both]) is None
    assert hopeless(measured(start, (10, 100, 3.1, 4.1), (20, 200, 3.0, 4.1)), [both]) is None
    found = hopeless(measured(start, (10, 100, 3.1, 4.1)), [both])
    assert found is not None and [b["set"] for b in found["bounds"]] == ["en", "zh"]


@pytest.mark.parametrize("bound", [{}, {"loss": 3.0, "rise": 0.1}])
def test_a_bound_is_a_loss_or_a_rise(bound: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="loss or rise"):
        limit(0, en=bound)


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
    for wrong in ("plenty", "-1", "inf"):
        monkeypatch.setenv(MEMORY, wrong)
        with pytest.raises(ConfigError, match=f"{MEMORY}='{wrong}' is not a number of GiB"):
            check_memory(estimate(wide(40), config, 4096, 100), config)


def test_the_price_of_a_stage_is_that_of_its_rank_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Estimate({"weights": GIB}, seconds=1800.0, ranks=4)
    monkeypatch.delenv(PRICE, raising=False)
    assert found.sentence().endswith("about 1,800 s or 2.00 rank-hours")
    monkeypatch.setenv(PRICE, "2.5")
    assert found.sentence().endswith("2.00 rank-hours, 5.00 at 2.5 each")
    monkeypatch.setenv(PRICE, "2,50")
    with pytest.raises(ConfigError, match=f"{PRICE}='2,50' is not a price"):
        found.sentence()
