"""Quantiles of durations: covered, paired by round, and honest about too few calls."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.judgement.latency import (
    quantile_estimate,
    quantile_interval,
    ratio_estimate,
    ratio_interval,
)
from tests.judgement.worlds import durations


def drawn(rng: np.random.Generator, kind: str, *, factor: float = 1.0) -> NDArray[np.int64]:
    """Two models' nanoseconds, shape (40, 2, 100): plain, with a slow mode, or with a drifting machine."""
    values = rng.lognormal(0, 0.25, (40, 2, 100))
    if kind == "slow mode":
        values = np.where(rng.random(values.shape) < 0.05, values * 4, values)
    if kind == "drift":
        weather = np.zeros(40)
        for number in range(1, 40):
            weather[number] = 0.8 * weather[number - 1] + rng.normal(0, 0.05)
        values *= np.exp(weather)[:, None, None]
    values[:, 0] *= factor
    return np.rint(values * 1e5).astype(np.int64)


@pytest.mark.parametrize("kind", ["plain", "slow mode", "drift"])
def test_equal_models_are_seldom_called_different(kind: str) -> None:
    """Two-sided 95 % of the p99 ratio; 100 simulations allow a band of about 4 points."""
    rng = np.random.default_rng(9)
    held = 0
    for _ in range(100):
        timed = drawn(rng, kind)
        ratio = ratio_interval(timed[:, 0], timed[:, 1], 0.99)
        assert ratio is not None
        held += ratio.lower(0.025) <= 1 <= ratio.upper(0.025)

    assert held / 100 >= 0.9


def test_a_slower_model_is_found() -> None:
    """Ten percent on the p99 with 4,000 calls each."""
    rng = np.random.default_rng(10)
    found = 0
    for _ in range(40):
        timed = drawn(rng, "plain", factor=1.1)
        ratio = ratio_interval(timed[:, 0], timed[:, 1], 0.99)
        assert ratio is not None
        found += ratio.above(1.0) <= 0.05

    assert found >= 33


def test_a_quantile_is_the_wider_of_two_intervals() -> None:
    """Where rounds differ the jackknife is wider; order statistics are the least there is."""
    rng = np.random.default_rng(11)
    calm = np.rint(rng.lognormal(0, 0.2, (40, 100)) * 1e6).astype(np.int64)
    moody = np.rint(calm * np.exp(rng.normal(0, 0.3, (40, 1)))).astype(np.int64)

    for timed in (calm, moody):
        interval = quantile_interval(timed, 0.95)
        assert interval is not None
        ordered = np.sort(timed, axis=None) / 1e6
        assert interval.lower(0.05) <= ordered[3777] <= interval.value
        assert interval.upper(0.05) >= ordered[3822] >= interval.value
        assert interval.value == pytest.approx(np.quantile(timed, 0.95) / 1e6, rel=0.01)
    width = [quantile_estimate(timed, 0.95, 0.05) for timed in (calm, moody)]
    assert all(item.upper is not None and item.lower is not None for item in width)
    assert (width[0].n, width[0].units, width[0].unit) == (4000, 40, "ms")
    assert width[1].upper - width[1].lower > 2 * (width[0].upper - width[0].lower)  # type: ignore[operator]  # checked


def test_p_values_agree_with_bounds() -> None:
    """A limit inside the bounds is not claimed broken, one outside them is."""
    interval = quantile_interval(durations(np.random.default_rng(12))[:, 0], 0.95)
    assert interval is not None
    lower, upper = interval.lower(0.05), interval.upper(0.05)

    assert interval.above(lower * 0.999) <= 0.05 < interval.above(lower * 1.001)
    assert interval.below(upper * 1.001) <= 0.05 < interval.below(upper * 0.999)
    assert interval.above(0.0) == 0
    assert interval.below(0.0) == 1
    assert interval.below(1e-9) == 1


def test_a_ratios_p_values_agree_with_its_bounds() -> None:
    """A ratio is never at or below zero."""
    timed = durations(np.random.default_rng(13))
    ratio = ratio_interval(timed[:, 0], timed[:, 1], 0.9)
    assert ratio is not None

    assert ratio.above(ratio.lower(0.05)) == pytest.approx(0.05, abs=1e-6)
    assert ratio.below(ratio.upper(0.05)) == pytest.approx(0.05, abs=1e-6)
    assert (ratio.above(0.0), ratio.below(0.0)) == (0.0, 1.0)


def test_too_few_calls_have_no_upper_bound() -> None:
    """298 calls cannot bound a 99th percentile from above, whatever the jackknife says."""
    few = durations(np.random.default_rng(14), rounds=2, calls=149)[:, 0]
    estimate = quantile_estimate(few, 0.99, 0.05)

    assert estimate.upper is None
    assert estimate.lower is not None
    tiny = quantile_estimate(few[:, :1], 0.5, 0.05)
    assert (tiny.lower, tiny.upper) == (None, None)


def test_one_round_has_a_value_and_no_bounds() -> None:
    """There is no spread between rounds to learn from."""
    once = durations(np.random.default_rng(15), rounds=1)
    estimate = quantile_estimate(once[:, 0], 0.5, 0.05)

    assert estimate.value == pytest.approx(0.1, rel=0.1)
    assert (estimate.lower, estimate.upper) == (None, None)
    assert ratio_estimate(once[:, 0], once[:, 1], 0.5, 0.05) is None


def test_a_clock_that_stood_still_gives_no_interval() -> None:
    """Zero durations have no logarithm; that is unknown, not fast."""
    still = np.zeros((40, 50), dtype=np.int64)

    assert quantile_interval(still, 0.5) is None
    assert ratio_interval(still, still, 0.5) is None
    assert quantile_interval(np.zeros((0, 50), dtype=np.int64), 0.5) is None


def test_a_ratio_is_reported_with_its_bounds() -> None:
    """The estimate of the bench is the interval of the gate."""
    timed = durations(np.random.default_rng(16), factor=1.5)
    estimate = ratio_estimate(timed[:, 0], timed[:, 1], 0.5, 0.05)

    assert estimate is not None
    assert estimate.lower is not None
    assert estimate.upper is not None
    assert estimate.lower < 1.5 < estimate.upper
    assert (estimate.n, estimate.units, estimate.unit) == (2000, 40, "1")


def test_an_absurd_bound_is_infinite_and_no_crash() -> None:
    """Two rounds that have nothing in common bound nothing."""
    wild = np.array([[1] * 50, [2**62] * 50], dtype=np.int64)
    interval = quantile_interval(wild, 0.5)

    assert interval is not None
    assert math.isinf(interval.upper(1e-6))
    estimate = quantile_estimate(wild, 0.5, 1e-6)
    assert estimate.upper is None
