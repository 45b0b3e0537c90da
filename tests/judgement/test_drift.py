"""Distances of two samples equal other people's, and equal samples are rarely told apart."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from candidate.judgement.drift import distances, floor, homogeneity, jensen_shannon, stretches_for


def samples(seed: int) -> tuple["np.typing.NDArray[np.int64]", "np.typing.NDArray[np.int64]"]:
    """Counts of two samples over seven bins, some of them empty in one."""
    rng = np.random.default_rng(seed)
    before, after = (np.bincount(rng.choice(7, n, p=rng.dirichlet(np.ones(7))), minlength=7) for n in (900, 400))
    return before.astype(np.int64), after.astype(np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_the_references(seed: int) -> None:
    """SciPy's Jensen-Shannon and Wasserstein, and the definitions of the others."""
    before, after = samples(seed)
    at = np.array([0.0, 1.0, 1.5, 4.0, 4.5, 9.0, 10.0])
    p, q = before / before.sum(), after / after.sum()
    found = distances(before, after, widths=np.diff(at))

    assert found.js == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(at, at, before, after), abs=1e-12)
    assert found.linf == max(abs(p - q))
    expected = stats.ks_2samp(np.repeat(at, before), np.repeat(at, after)).statistic
    assert found.ks == pytest.approx(expected, abs=1e-12)
    a, b = ((each + 0.5) / (each.sum() + 3.5) for each in (before, after))
    assert found.psi == pytest.approx(stats.entropy(a, b) + stats.entropy(b, a), abs=1e-12)


def test_categories_have_no_order() -> None:
    """So nothing is cumulated over them; the same sample is at no distance."""
    before, _ = samples(1)
    found = distances(before, before)

    assert (found.js, found.linf, found.psi, found.ks, found.wasserstein) == (0.0, 0.0, 0.0, None, None)
    assert jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])) == 1.0


def test_the_p_value_is_scipys() -> None:
    """With bins large enough for it, the chi-squared test of a table."""
    rng = np.random.default_rng(3)
    before, after = (rng.integers(50, 90, 6).astype(np.int64) for _ in range(2))
    expected = stats.chi2_contingency(np.stack([before, after]), correction=False).pvalue

    assert homogeneity(before, after) == pytest.approx(expected, abs=1e-12)


def test_small_bins_are_taken_together_and_one_bin_tells_nothing() -> None:
    """Whatever is in them; two bins that are too small even together are left out."""
    before, after = np.array([500, 3, 2, 495]), np.array([400, 4, 3, 593])
    together = stats.chi2_contingency([[500, 5, 495], [400, 7, 593]], correction=False).pvalue

    assert homogeneity(before, after) == pytest.approx(together, abs=1e-12)
    assert homogeneity(np.array([500, 1, 0]), np.array([500, 0, 1])) == 1.0


def test_equal_samples_are_rarely_told_apart() -> None:
    """At 5 %, no more than 5 % of 2,000 pairs, within what chance allows."""
    rng = np.random.default_rng(4)
    shares = rng.dirichlet(np.ones(12))
    found = [homogeneity(rng.multinomial(3000, shares), rng.multinomial(700, shares)) for _ in range(2000)]

    assert sum(each <= 0.05 for each in found) <= 0.05 * 2000 + 3 * np.sqrt(0.05 * 0.95 * 2000)


def test_what_a_sample_does_by_itself_is_its_floor() -> None:
    """The stretch that is farthest from all the others; an empty one says nothing."""
    steady = np.array([[50, 50], [50, 50], [0, 0], [50, 50]])
    moving = np.array([[50, 50], [50, 50], [80, 20], [50, 50]])

    assert floor(steady) == 0.0
    assert floor(moving) == jensen_shannon(np.array([0.8, 0.2]), np.array([0.5, 0.5]))
    assert floor(np.array([[10, 10]])) == 0.0


def test_stretches_are_about_as_long_as_the_log() -> None:
    """At least four, so that there is something to compare, and at most fifty."""
    assert [stretches_for(1000, rows) for rows in (10, 100, 500, 5000, 0)] == [50, 10, 4, 4, 50]
