"""The calibration error does not punish finite bins, and finds what is off."""

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from candidate.documents.evidence import StateAxes
from candidate.judgement.calibration import calibration_estimate, calibration_of, debiased_square
from candidate.judgement.state import FIXED_POINT, Layout, State, observe
from tests.judgement.worlds import ALONE, sigmoid, simulate, world


def scored(rng: np.random.Generator, rows: int, *, off: float = 0.0, buckets: int = 64) -> tuple[State, StateAxes]:
    """Rows whose scores are the true probabilities plus a constant."""
    truth = sigmoid(rng.normal(-0.5, 1, rows))
    state = observe(
        positive=rng.random(rows) < truth,
        scores=np.clip(truth + off, 0, 1)[:, None],
        predicted=(truth > 0.5)[:, None],
        groups=[np.zeros(rows, dtype=np.int64)],
        n_slices=1,
        buckets=rng.integers(0, buckets, rows),
        n_buckets=buckets,
        models=ALONE,
        bins=15,
    )
    return state, world(state, models=ALONE).evidence.state


def by_hand(bins: NDArray[np.int64]) -> float:
    """The formula, term by term."""
    rows = [(n, p / FIXED_POINT / n, y / n) for n, p, y, _ in bins.tolist() if n > 1]
    total = sum(n for n, _, _ in rows)
    return float(sum(n / total * ((p - y) ** 2 - y * (1 - y) / (n - 1)) for n, p, y in rows))


def test_the_debiased_square_is_the_published_formula() -> None:
    """Bins with one row have no variance to subtract and are left out."""
    state, _ = scored(np.random.default_rng(0), 60)
    bins = state.bins[0, 0, :, 0].sum(axis=0)

    assert 1 in bins[:, 0]
    assert float(debiased_square(bins)) == pytest.approx(by_hand(bins))
    assert debiased_square(np.stack([bins, bins])).shape == (2,)
    assert np.isnan(debiased_square(np.zeros((15, 4), dtype=np.int64)))


def test_a_perfect_model_has_no_calibration_error_on_average() -> None:
    """The plug-in error of the same bins is far from zero."""
    rng = np.random.default_rng(1)
    found = [debiased_square(scored(rng, 1000)[0].bins[0, 0, :, 0].sum(axis=0)) for _ in range(200)]

    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(200)
    assert np.std(found) > 0


@pytest.mark.parametrize(("off", "expected"), [(0.0, {"pass"}), (0.06, {"fail"})])
def test_a_limit_lets_a_perfect_model_pass_and_stops_a_bad_one(off: float, expected: set[str]) -> None:
    """20,000 rows and a limit of 0.03: nearly always the right answer."""
    rng = np.random.default_rng(2)
    answers: Counter[str] = Counter()
    for _ in range(40):
        interval = calibration_of(*scored(rng, 20_000, off=off), "challenger").interval
        assert interval is not None
        upper, lower = interval.upper(0.05), interval.lower(0.05)
        answers["pass" if upper < 0.03 else "fail" if lower > 0.03 else "open"] += 1

    assert sum(answers[name] for name in expected) >= 38


def test_a_model_at_the_limit_is_rarely_let_through() -> None:
    """Consumer risk: an error of exactly the limit passes about 5 % of the time."""
    rng = np.random.default_rng(3)
    passed = 0
    for _ in range(100):
        interval = calibration_of(*scored(rng, 5000, off=0.03), "challenger").interval
        assert interval is not None
        passed += interval.upper(0.05) < 0.03

    assert passed <= 15


def test_an_estimate_has_bounds_only_with_enough_units() -> None:
    """The root of the squared bounds; clipped at zero, never imaginary."""
    rng = np.random.default_rng(4)
    whole = calibration_estimate(*scored(rng, 2000), "challenger", 0.05)
    few = calibration_estimate(*scored(rng, 2000, buckets=16), "challenger", 0.05)

    assert whole is not None
    assert whole.lower is not None
    assert whole.upper is not None
    assert 0 <= whole.lower <= whole.value <= whole.upper
    assert (whole.n, whole.units) == (2000, 64)
    assert few is not None
    assert (few.lower, few.upper, few.units) == (None, None, 16)


def test_without_rows_there_is_no_estimate() -> None:
    """Undefined is null, not perfect; so are counts that no rows can give."""
    empty = State.zeros(Layout(ALONE), slices=1, buckets=64, bins=15)
    axes = world(empty, models=ALONE).evidence.state

    assert calibration_estimate(empty, axes, "challenger", 0.05) is None
    rng = np.random.default_rng(5)
    state = simulate(rng, 500, models=ALONE)
    negative = State(state.counts, state.bins - 1)
    assert calibration_of(negative, world(state, models=ALONE).evidence.state, "challenger").interval is None


def test_bounds_and_p_values_agree() -> None:
    """At its own bound a claim has the p-value alpha."""
    interval = calibration_of(*scored(np.random.default_rng(6), 4000, off=0.08), "challenger").interval

    assert interval is not None
    assert interval.above(interval.lower(0.05)) == pytest.approx(0.05, abs=1e-6)
    assert interval.below(interval.upper(0.05)) == pytest.approx(0.05, abs=1e-6)
