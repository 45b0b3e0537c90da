"""What histograms say of the order of rows equals what scikit-learn, SciPy and DeLong say of the rows."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn import metrics as reference

from candidate.judgement.buckets import buckets_of
from candidate.judgement.catalogue import ranking
from candidate.judgement.gate.measures import gain
from candidate.judgement.histograms import (
    POSITIVE,
    RANK_BINS,
    count_histograms,
    kolmogorov_smirnov,
    lift_at,
    place_of,
    pr_auc,
    precision_at,
    prevalence,
    roc_auc,
    tied_share,
)
from candidate.judgement.intervals import Jackknife
from candidate.judgement.state import observe, statistics_for
from tests.judgement.worlds import BOTH

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


def world(rows: int, rate: float = 0.3, seed: int = 3) -> tuple[Truth, Floats]:
    """Labels and two scores that see the same truth through noise."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(math.log(rate / (1 - rate)), 1.5, rows)
    positive = rng.random(rows) < 1 / (1 + np.exp(-truth))
    scores = 1 / (1 + np.exp(-(truth[:, None] + rng.normal(0, (0.8, 1.2), (rows, 2)))))
    return positive, scores


def histogram(positive: Truth, places: NDArray[np.int64], bins: int = RANK_BINS) -> NDArray[np.int64]:
    """Rows of each class by bin."""
    return np.stack([np.bincount(places[positive == label], minlength=bins) for label in (False, True)])


def test_bins_follow_the_order_of_scores_and_are_fine_at_both_ends() -> None:
    """Monotone, all bins in range, and the rare end is not one bin."""
    scores = np.sort(np.concatenate([np.linspace(0, 1, 100_001), np.geomspace(1e-12, 0.5, 999), [-0.1, 1.0000001]]))
    places = place_of(scores)

    assert (np.diff(places) >= 0).all()
    assert (places[0], places[-1]) == (0, RANK_BINS - 1)
    assert len(set(places.tolist())) > 4000
    assert len(set(place_of(np.linspace(0, 0.001, 1000)).tolist())) > 80
    assert place_of(1 - scores).tolist() == pytest.approx((RANK_BINS - 1 - places).tolist(), abs=1)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9])
def test_areas_equal_scikit_learn_on_binned_scores_and_are_bounded_on_the_scores(rate: float) -> None:
    """1e-12 where both see the bins; within half the pairs of one bin where scikit-learn sees more."""
    positive, scores = world(20_000, rate)
    for score in scores.T:
        places = place_of(score)
        counted = histogram(positive, places)

        assert float(roc_auc(counted)) == pytest.approx(reference.roc_auc_score(positive, places), abs=1e-12)
        assert float(pr_auc(counted)) == pytest.approx(reference.average_precision_score(positive, places), abs=1e-12)
        exact = reference.roc_auc_score(positive, score)
        assert abs(float(roc_auc(counted)) - exact) <= float(tied_share(counted)) / 2
        assert float(roc_auc(counted)) == pytest.approx(exact, abs=1e-4)
        assert float(pr_auc(counted)) == pytest.approx(reference.average_precision_score(positive, score), abs=2e-3)
        far = ks_2samp(places[positive], places[~positive]).statistic
        assert float(kolmogorov_smirnov(counted)) == pytest.approx(far, abs=1e-12)


def test_the_best_k_are_a_sort_and_a_cut() -> None:
    """Without ties, precision at k is the mean label of the first rows; with one bin, the prevalence."""
    positive, scores = world(2000)
    places = np.argsort(np.argsort(scores[:, 0]))  # no two rows in one bin
    counted = histogram(positive, places)
    best = positive[np.argsort(-places)][:200]

    assert float(precision_at(counted, 0.1)) == pytest.approx(best.mean(), abs=1e-12)
    assert float(lift_at(counted, 0.1)) == pytest.approx(best.mean() / positive.mean(), abs=1e-12)
    tied = histogram(positive, np.full(2000, 7))
    assert float(precision_at(tied, 0.1)) == pytest.approx(positive.mean(), abs=1e-12)
    assert float(lift_at(tied, 0.1)) == pytest.approx(1.0, abs=1e-12)


def test_what_needs_both_classes_is_undefined_with_one() -> None:
    """Nothing over nothing is NaN and never a number."""
    empty = np.zeros((2, 8), dtype=np.int64)
    lone = empty.copy()
    lone[POSITIVE, 3] = 5

    for of in (roc_auc, tied_share, kolmogorov_smirnov):
        assert np.isnan(of(lone))
    assert np.isnan(pr_auc(empty))
    assert np.isnan(prevalence(empty))
    assert np.isnan(precision_at(empty, 0.5))
    assert np.isnan(lift_at(empty, 0.5))
    assert float(pr_auc(lone)) == 1.0


def delong_by_rows(positive: Truth, scores: Floats) -> tuple[float, float]:
    """The difference of areas and its standard error, by comparing every pair of rows."""
    wins = []
    for score in scores.T:
        difference = score[positive][:, None] - score[~positive][None, :]
        wins.append((difference > 0) + 0.5 * (difference == 0))
    structural = [
        np.cov([win.mean(axis=axis) for win in wins]) / win.shape[1 - axis] for axis in (1, 0) for win in wins[:1]
    ]
    covariance = sum(structural)
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    return float(wins[0].mean() - wins[1].mean()), float(np.sqrt(spread))


def test_the_jackknifes_error_of_a_difference_of_areas_is_delongs() -> None:
    """Independent rows: the same value to the bound of the bins, and the same error within the jackknife's own.

    Its relative error over 64 buckets is about 9 %; the mean of eight worlds is off by more than 12 %
    with a probability below 0.1 %.
    """
    ratios = []
    for seed in range(8):
        positive, scores = world(4000, seed=seed)
        state = observe(
            positive=positive,
            scores=scores,
            predicted=scores >= 0.5,
            groups=[np.zeros(len(positive), dtype=np.int64)],
            n_slices=1,
            buckets=buckets_of(np.arange(len(positive)), salt=seed, buckets=64),
            n_buckets=64,
            models=BOTH,
            bins=5,
            ranked=(0,),
        )
        interval = gain(state.totals(0, statistics_for(BOTH)), ranking()["roc_auc"], "champion").claimable
        assert isinstance(interval, Jackknife)
        value, error = delong_by_rows(positive, scores)
        assert interval.value == pytest.approx(value, abs=1e-4)
        ratios.append(interval.se / error)

    assert np.mean(ratios) == pytest.approx(1.0, abs=0.12)


def test_no_rows_add_nothing() -> None:
    """And a rule that has none of the slices adds nothing either."""
    histograms = np.zeros((2, 3, 2, RANK_BINS), dtype=np.int64)
    none, elsewhere = np.zeros(0, dtype=np.int64), np.full(4, 7, dtype=np.int64)
    count_histograms(histograms, (0, 5), none, [none])
    count_histograms(histograms, (0, 5), np.zeros(4, dtype=np.int64), [elsewhere])
    assert histograms.sum() == 0
    mixed = np.array([-1, 5, 5, 7])
    count_histograms(histograms, (0, 5), np.array([0, 1, 1, 2]), [mixed])

    assert (histograms.sum(), histograms[1, 0, 0, 1]) == (2, 2)
