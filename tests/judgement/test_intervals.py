"""Intervals cover what they say, and agree with other people's and with brute force."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from candidate.judgement.intervals import (
    Interval,
    Jackknife,
    PairedShare,
    Share,
    design_effect,
    jackknife,
    quantile_ranks,
    tango_statistic,
)


def tango_by_brute_force(gained: int, lost: int, n: int, difference: float) -> float:
    """The score statistic with its constrained maximum found numerically instead of in closed form."""

    def minus_log_likelihood(only_second: float) -> float:
        only_first = only_second + difference
        rest = 1 - only_first - only_second
        cells = [(gained, only_first), (lost, only_second), (n - gained - lost, rest)]
        return -sum(count * math.log(max(share, 1e-300)) for count, share in cells if count)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    )
    candidates = [low, float(found.x), high]
    only_second = min(candidates, key=minus_log_likelihood)
    variance = n * (2 * only_second + difference - difference**2)
    return (gained - lost - n * difference) / math.sqrt(variance)


@pytest.mark.parametrize(("gained", "lost", "n"), [(0, 0, 40), (3, 0, 40), (0, 5, 40), (14, 9, 200), (40, 90, 300)])
@pytest.mark.parametrize("difference", [-0.3, -0.02, 0.01, 0.2])
def test_tangos_closed_form_equals_a_numeric_maximum(gained: int, lost: int, n: int, difference: float) -> None:
    """The constrained estimate is the root of a quadratic; an optimiser finds the same."""
    expected = tango_by_brute_force(gained, lost, n, difference)

    assert tango_statistic(gained, lost, n, difference) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_bound_is_where_the_brute_force_statistic_is_critical() -> None:
    """Bisection of the closed form ends where the independent oracle has the normal quantile."""
    share = PairedShare(1, 4, 44)
    lower, upper = share.lower(0.025), share.upper(0.025)

    assert tango_by_brute_force(1, 4, 44, lower) == pytest.approx(1.959964, abs=1e-4)
    assert tango_by_brute_force(1, 4, 44, upper) == pytest.approx(-1.959964, abs=1e-4)
    assert lower < share.value < upper


def test_without_a_single_difference_tango_still_has_a_width() -> None:
    """A Wald interval would be a point; for b = c = 0 the score bound is z^2 / (n + z^2)."""
    share = PairedShare(0, 0, 100)
    z = stats.norm.ppf(0.95)

    assert share.upper(0.05) == pytest.approx(z**2 / (100 + z**2), abs=1e-9)
    assert share.lower(0.05) == pytest.approx(-(z**2) / (100 + z**2), abs=1e-9)


def test_beyond_all_differences_a_claim_is_certain_or_absurd() -> None:
    """A margin of more than 100 points cannot be broken."""
    share = PairedShare(3, 4, 50)

    assert share.below(-1.5) == 1
    assert share.below(1.5) == 0
    assert tango_statistic(50, 0, 50, 1.0) == 0


@pytest.mark.parametrize("alpha", [0.005, 0.05, 0.2])
@pytest.mark.parametrize(
    "interval",
    [
        Jackknife(0.3, 0.1, 40),
        PairedShare(14, 9, 200),
        PairedShare(14, 9, 200, deff=2.5, df=60),
        Share(7, 90),
        Share(70, 900, deff=1.7),
    ],
    ids=repr,
)
def test_bounds_and_p_values_come_from_one_test(interval: Interval, alpha: float) -> None:
    """At its own bound a claim has exactly the p-value alpha: neither can contradict the other."""
    assert interval.above(interval.lower(alpha)) == pytest.approx(alpha, abs=1e-6)
    assert interval.below(interval.upper(alpha)) == pytest.approx(alpha, abs=1e-6)
    assert interval.lower(alpha) < interval.value < interval.upper(alpha)
    assert interval.method


@pytest.mark.parametrize(("count", "n"), [(0, 3000), (1, 50), (25, 50), (50, 50)])
def test_clopper_pearson_equals_statsmodels(count: int, n: int) -> None:
    """Two-sided at 10 % is one-sided at 5 % twice."""
    expected = proportion_confint(count, n, alpha=0.1, method="beta")

    assert (Share(count, n).lower(0.05), Share(count, n).upper(0.05)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("count", "n", "limit"), [(3, 40, 0.2), (0, 40, 0.1), (40, 40, 0.9), (12, 40, 0.1)])
def test_a_shares_p_values_are_binomial_tails(count: int, n: int, limit: float) -> None:
    """The exact test, as scipy makes it."""
    assert Share(count, n).above(limit) == pytest.approx(stats.binomtest(count, n, limit, "greater").pvalue)
    assert Share(count, n).below(limit) == pytest.approx(stats.binomtest(count, n, limit, "less").pvalue)


def test_limits_that_no_share_can_break_are_never_claimed_broken() -> None:
    """A share is never below 0 nor above 1."""
    assert Share(3, 40).above(1.0) == 1
    assert Share(3, 40).below(0.0) == 1
    assert Share(3, 40).above(-0.5) == 0
    assert Share(3, 40).below(1.5) == 0


def test_zero_of_three_thousand_proves_less_than_one_in_a_thousand() -> None:
    """The reason for the default number of parity rows."""
    assert Share(0, 3000).upper(0.05) < 0.001 < Share(0, 2900).upper(0.05)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """With one row in a bucket the delete-one jackknife is the textbook formula."""
    rows = np.random.default_rng(3).normal(size=50)
    without = (rows.sum() - rows) / 49
    empty = np.array([123.0, np.nan])

    found = jackknife(
        np.concatenate([without, empty]), float(rows.mean()), np.concatenate([np.ones(50, bool), np.zeros(2, bool)])
    )

    assert found.se == pytest.approx(stats.sem(rows))
    assert found.df == 49
    interval = stats.ttest_1samp(rows, 0).confidence_interval(0.9)
    assert (found.lower(0.05), found.upper(0.05)) == pytest.approx((interval.low, interval.high))
    assert found.below(0.1) == pytest.approx(stats.ttest_1samp(rows, 0.1, alternative="less").pvalue)
    assert found.above(0.1) == pytest.approx(stats.ttest_1samp(rows, 0.1, alternative="greater").pvalue)


def test_one_bucket_has_no_spread() -> None:
    """A standard error that cannot be known is not zero."""
    found = jackknife(np.array([0.5]), 0.5, np.array([True]))

    assert math.isnan(found.se)
    assert math.isnan(found.lower(0.05))
    assert math.isnan(found.below(0.0))


def test_without_any_spread_a_claim_is_certain() -> None:
    """Two models that are one and the same differ by exactly nothing."""
    same = Jackknife(0.0, 0.0, 63)

    assert (same.below(0.1), same.below(0.0), same.above(-0.1), same.above(0.0)) == (0.0, 1.0, 0.0, 1.0)
    assert same.lower(0.05) == same.upper(0.05) == 0


def covered(draws: NDArray[np.float64], buckets: NDArray[np.int64]) -> float:
    """Share of simulations whose two-sided 95 % jackknife interval holds the true mean 0.

    Draws have shape (simulations, rows); a ratio of sums per bucket is what the State gives.
    """
    membership = np.eye(64)[buckets]
    sums, counts = draws @ membership, membership.sum(axis=0)
    totals = draws.sum(axis=1, keepdims=True)
    without = (totals - sums) / (draws.shape[1] - counts)
    means = totals[:, 0] / draws.shape[1]
    found = [jackknife(w, float(m), counts > 0) for w, m in zip(without, means, strict=True)]
    return float(np.mean([i.lower(0.025) <= 0 <= i.upper(0.025) for i in found]))


def test_the_jackknife_covers_with_and_without_clusters() -> None:
    """Rows of one unit share a bucket, so that clusters widen the interval as they must.

    2,000 simulations: the standard error of a coverage of 95 % is 0.5 %.
    """
    rng = np.random.default_rng(2013)
    independent = rng.normal(size=(2000, 640))
    units = np.repeat(np.arange(128), 5)
    clustered = rng.normal(size=(2000, 128))[:, units] + 0.5 * rng.normal(size=(2000, 640))
    as_if_independent = np.arange(640) % 64

    assert 0.93 <= covered(independent, rng.integers(0, 64, 640)) <= 0.97
    assert 0.93 <= covered(clustered, rng.integers(0, 64, 128)[units]) <= 0.97
    assert covered(clustered, as_if_independent) < 0.75


def test_the_score_interval_covers_small_samples_and_clusters() -> None:
    """One-sided 5 %: the bound is beyond the truth in at most about 5 % of all draws."""
    rng = np.random.default_rng(4)
    gained = rng.binomial(30, 0.03, 2000)
    lost = rng.binomial(30 - gained, 0.03 / 0.97)
    pairs, counts = np.unique(np.stack([gained, lost]), axis=1, return_counts=True)
    misses = sum(
        count
        for (won, gone), count in zip(pairs.T, counts, strict=True)
        if PairedShare(int(won), int(gone), 30).lower(0.05) > 0
    )

    assert misses / 2000 <= 0.065


def test_the_design_effect_is_never_below_one() -> None:
    """Negative correlation within units is not a licence to claim more than the rows hold."""
    assert design_effect(Jackknife(0.1, 0.02, 63), 0.0001) == pytest.approx(4)
    assert design_effect(Jackknife(0.1, 0.02, 63), 0.01) == 1
    assert design_effect(Jackknife(0.1, 0.02, 63), 0.0) == 1
    assert design_effect(Jackknife(0.1, math.nan, 0), 0.01) == 1


@pytest.mark.parametrize("n", [1, 20, 298, 299, 5000])
@pytest.mark.parametrize("quantile", [0.5, 0.95, 0.99])
def test_order_statistics_equal_scipys_quantile_test(n: int, quantile: float) -> None:
    """One-sided bounds; where there is none, scipy says NaN and we say None."""
    values = np.arange(1, n + 1, dtype=np.float64)
    lower, upper = quantile_ranks(n, quantile, 0.05)

    less: Any = stats.quantile_test(values, q=0, p=quantile, alternative="less")
    greater: Any = stats.quantile_test(values, q=0, p=quantile, alternative="greater")
    at_most, at_least = less.confidence_interval(0.95).high, greater.confidence_interval(0.95).low
    assert (math.nan if upper is None else upper) == pytest.approx(at_most, nan_ok=True)
    assert (math.nan if lower is None else lower) == pytest.approx(at_least, nan_ok=True)


def test_a_99th_percentile_needs_299_calls() -> None:
    """The smallest sample whose largest value is an upper 95 % bound."""
    assert quantile_ranks(298, 0.99, 0.05)[1] is None
    assert quantile_ranks(299, 0.99, 0.05)[1] == 299
