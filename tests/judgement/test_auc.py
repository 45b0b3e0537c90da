"""DeLong's variance equals its definition, and the jackknife over buckets that the verdict takes agrees with it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from candidate.documents.policy import Policy
from candidate.judgement.auc import Areas, delong, midranks
from candidate.judgement.catalogue import catalogue
from candidate.judgement.gate.measures import gain
from candidate.judgement.intervals import Jackknife
from candidate.judgement.state import Layout, observe

Floats = NDArray[np.float64]
ROC_AUC = catalogue(
    Policy.model_validate(
        {
            "data": {"label": "late", "unit": "row"},
            "optimizing": {"metric": "roc_auc", "require": "superior", "min_gain": 0.0},
        }
    )
)["roc_auc"]


def rows_of(seed: int, rows: int, *, gap: float = 0.0, steps: int = 0) -> tuple[NDArray[np.bool_], Floats]:
    """Labels and two correlated scores in (0, 1); with steps, scores are tied."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.3
    shared = rng.normal(size=rows)
    own = rng.normal(size=(rows, 2))
    logits = positive[:, np.newaxis] * np.array([1.0 + gap, 1.0]) + 0.7 * shared[:, np.newaxis] + 0.7 * own
    scores = 1 / (1 + np.exp(-logits))
    return positive, np.round(scores * steps) / steps if steps else scores


def by_definition(positive: NDArray[np.bool_], scores: Floats) -> Areas:
    """DeLong, DeLong and Clarke-Pearson 1988, equations 1 to 7: every pair of rows, no ranks."""
    placements = []
    for column in scores.T:
        yes, no = column[positive][:, np.newaxis], column[~positive][np.newaxis, :]
        kernel = (yes > no) + 0.5 * (yes == no)
        placements.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    values = np.array([each[0].mean() for each in placements])
    models, covariance = len(values), np.zeros((len(values), len(values)))
    for side in (0, 1):
        for one in range(models):
            for other in range(models):
                first, second = placements[one][side] - values[one], placements[other][side] - values[other]
                covariance[one, other] += (first * second).sum() / (len(first) - 1) / len(first)
    return Areas(values, covariance)


@pytest.mark.parametrize("steps", [0, 7], ids=["no ties", "ties"])
def test_areas_and_covariance_are_those_of_the_definition(steps: int) -> None:
    """To twelve digits, with and without tied scores; and the areas are scikit-learn's."""
    positive, scores = rows_of(1, 700, gap=0.2, steps=steps)
    found, expected = delong(positive, scores), by_definition(positive, scores)

    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, expected.covariance, rtol=1e-11)
    assert found.values[1] == pytest.approx(roc_auc_score(positive, scores[:, 1]), rel=1e-12)
    value, error = found.gap(0, 1)
    contrast = np.array([1.0, -1.0])
    assert value == pytest.approx(found.values[0] - found.values[1])
    assert error == pytest.approx(np.sqrt(contrast @ expected.covariance @ contrast), rel=1e-10)
    assert found.gap(0, 0) == (0.0, 0.0)


def test_midranks_are_those_of_scipy() -> None:
    """Tied values share the mean of their ranks."""
    values = np.random.default_rng(2).integers(0, 20, 300).astype(np.float64)

    np.testing.assert_array_equal(midranks(values), rankdata(values))


def test_one_row_of_a_class_has_no_variance() -> None:
    """Undefined is NaN, not zero."""
    found = delong(np.array([True, False, False]), np.array([[0.3], [0.2], [0.1]]))

    assert np.isnan(found.values).all()
    assert np.isnan(found.covariance).all()
    assert found.covariance.shape == (1, 1)


def buckets_say(positive: NDArray[np.bool_], scores: Floats, seed: int) -> Jackknife:
    """What the verdict would rest on: the gain of AUC by 64 buckets, from histograms of the scores."""
    rows = len(positive)
    state = observe(
        positive=positive,
        scores=scores,
        predicted=scores >= 0.5,
        groups=[np.zeros(rows, dtype=np.int64)],
        n_slices=1,
        buckets=np.random.default_rng(seed).integers(0, 64, rows),
        n_buckets=64,
        models=("challenger", "champion"),
        bins=5,
        ranked=(0,),
    )
    totals = state.totals(0, Layout(("challenger", "champion")).statistics)
    interval = gain(totals, ROC_AUC, "champion").interval
    assert isinstance(interval, Jackknife)
    return interval


def test_the_jackknife_over_buckets_agrees_with_delong() -> None:
    """Where each row is a unit: the same difference, on average the same width, and nominal coverage of both.

    100 draws of 1,000 rows. The truth is no difference. The jackknife's standard error scatters by about
    9 % (63 degrees of freedom), so that its mean over the draws is known to 1 %.
    """
    ratios, inside = [], np.zeros(2)
    for seed in range(100):
        positive, scores = rows_of(100 + seed, 1000)
        value, error = delong(positive, scores).gap(0, 1)
        ours = buckets_say(positive, scores, seed)
        assert ours.value == pytest.approx(value, abs=3e-4)
        ratios.append(ours.se / error)
        inside += [abs(value) <= 1.959964 * error, ours.lower(0.025) <= 0 <= ours.upper(0.025)]
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.03)
    assert np.std(ratios) < 0.13
    # 100 draws of a 95 % interval: more than 88 % with a probability of 99.6 %
    assert (inside / 100 > 0.88).all()
    assert inside[0] / 150 < 0.995
