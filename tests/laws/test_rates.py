"""The gate's error rates, on few runs here and on many in ``benchmarks.rates``; seeded, and able to fail."""

from typing import Literal

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.rates import covers, finds_hidden_harm, go_at_the_margin, no_go_of_equals, point_gate_refuses

RARE = 1e-3
"""A rate as promised breaks a bound in so few of all possible seeds."""


def at_most(rate: float, runs: int) -> int:
    """More hits than this are no accident if the rate is as promised."""
    return int(binom.ppf(1 - RARE, runs, rate))


def at_least(rate: float, runs: int) -> int:
    """Fewer hits than this are no accident if the rate is as promised."""
    return int(binom.ppf(RARE, runs, rate))


def test_an_equal_challenger_is_rarely_refused() -> None:
    """20 slices at 5 % for all of them together; a gate of point estimates refuses nearly all."""
    rng = np.random.default_rng(1)

    assert sum(no_go_of_equals(rng, 2000) for _ in range(80)) <= at_most(0.05, 80)
    assert sum(point_gate_refuses(rng, 2000) for _ in range(10)) == 10


def test_a_regression_hidden_in_a_slice_stops_a_better_model() -> None:
    """In at least 95 % of worlds."""
    rng = np.random.default_rng(2)

    assert sum(finds_hidden_harm(rng) for _ in range(60)) >= at_least(0.95, 60)


@pytest.mark.parametrize("rows", [50, 300])
@pytest.mark.parametrize(("discordant", "margin"), [(0.04, 0.02), (0.20, 0.05)])
def test_a_challenger_worse_by_the_margin_rarely_passes(rows: int, discordant: float, margin: float) -> None:
    """The consumer's risk, small slices included."""
    rng = np.random.default_rng(3)

    assert sum(go_at_the_margin(rng, rows, discordant, margin) for _ in range(300)) <= at_most(0.05, 300)


@pytest.mark.parametrize("unit", [1, 10])
@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_intervals_of_differences_cover(metric: Literal["roc_auc", "log_loss"], unit: int) -> None:
    """95 % nominal, with and without clusters."""
    rng = np.random.default_rng(4)
    runs = 60

    hits = sum(covers(rng, metric, unit, rows=1500) for _ in range(runs))

    assert hits >= at_least(0.94, runs)
