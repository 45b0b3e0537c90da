"""Every metric equals scikit-learn's, and says so where it is undefined."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from candidate.documents.policy import QualityMetric
from candidate.judgement.metrics import METRICS, with_zero_rule
from candidate.judgement.state import ZERO_RULE, Totals, observe, statistics_for
from tests.judgement.worlds import ALONE, BOTH

REFERENCES: dict[str, Callable[..., float]] = {
    "error_rate": reference.zero_one_loss,
    "accuracy": reference.accuracy_score,
    "balanced_accuracy": reference.balanced_accuracy_score,
    "precision": reference.precision_score,
    "recall": reference.recall_score,
    "f1": reference.f1_score,
    "mcc": reference.matthews_corrcoef,
}
SCORE_REFERENCES: dict[str, Callable[..., float]] = {
    "log_loss": reference.log_loss,
    "brier": reference.brier_score_loss,
}


def totals_of(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> Totals:
    """Totals of all rows; a score of at least one half answers positive."""
    rows = len(positive)
    state = observe(
        positive=positive,
        scores=scores,
        predicted=scores >= 0.5,
        groups=[np.zeros(rows, dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(rows) % 8,
        n_buckets=8,
        models=BOTH,
        bins=5,
    )
    return state.totals(0, statistics_for(BOTH)).summed()


def test_the_registry_knows_exactly_the_metrics_of_a_policy() -> None:
    """A metric that a policy may name and nobody computes would be a crash; the reverse is dead code."""
    assert tuple(METRICS) == get_args(QualityMetric)
    assert all(metric.definition and metric.source and metric.unit for metric in METRICS.values())
    assert {metric.sign for metric in METRICS.values()} == {-1, 1}


@pytest.mark.parametrize("rate", [0.02, 0.4, 0.9])
@pytest.mark.parametrize("model", [0, 1])
def test_metrics_equal_scikit_learn(rate: float, model: int) -> None:
    """Counts to 1e-12; losses to 2**-31, the most that a mean of sums in fixed point can be off."""
    rng = np.random.default_rng(7)
    positive = rng.random(1500) < rate
    scores = np.clip(rate + rng.normal(0, 0.3, (1500, 2)) + 0.2 * positive[:, None], 0.001, 0.999)
    totals = totals_of(positive, scores)

    found = {str(name): float(metric.of(totals, BOTH[model])) for name, metric in METRICS.items()}

    answers = scores[:, model] >= 0.5
    counted = {name: float(compute(positive, answers)) for name, compute in REFERENCES.items()}
    lost = {name: float(compute(positive, scores[:, model])) for name, compute in SCORE_REFERENCES.items()}
    assert found.keys() == counted.keys() | lost.keys()
    assert {name: found[name] for name in counted} == pytest.approx(counted, abs=1e-12)
    assert {name: found[name] for name in lost} == pytest.approx(lost, abs=2.0**-31)


def test_log_loss_is_clipped_like_scikit_learn_and_then_capped() -> None:
    """A score of exactly 0 for a positive row costs 32 nats, not infinitely many."""
    scores = np.array([[0.0, 1e-12], [1.0, 1.0]])
    totals = totals_of(np.array([True, True]), scores)

    assert float(METRICS["log_loss"].of(totals, "challenger")) == pytest.approx(16.0, abs=1e-9)
    expected = reference.log_loss([1, 1], scores[:, 1], labels=[0, 1])
    assert float(METRICS["log_loss"].of(totals, "champion")) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "n_pos", "tp", "fp", "undefined"),
    [
        (0, 0, 0, 0, set(METRICS)),
        (5, 0, 0, 0, {"balanced_accuracy", "precision", "recall", "f1", "mcc"}),
        (5, 5, 5, 0, {"balanced_accuracy", "mcc"}),
        (5, 2, 0, 0, {"precision"}),
    ],
)
def test_nothing_divided_by_nothing_is_not_a_number(n: int, n_pos: int, tp: int, fp: int, undefined: set[str]) -> None:
    """A metric that is undefined says NaN, never 0 or 1."""
    totals = Totals(statistics_for(ALONE), np.array([n, n_pos, tp, fp, 0, 0]))

    found = {name for name, metric in METRICS.items() if np.isnan(metric.of(totals, "challenger"))}

    assert found == undefined


@pytest.mark.parametrize("answer", [0, 1])
def test_a_constant_answer_has_no_correlation(answer: int) -> None:
    """As scikit-learn says: a constant answer to rows of both classes correlates by 0."""
    totals = Totals(statistics_for(ALONE), np.array([5, 2, 2 * answer, 3 * answer, 0, 0]))

    assert float(METRICS["mcc"].of(totals, "challenger")) == 0
    assert reference.matthews_corrcoef([1, 1, 0, 0, 0], [answer] * 5) == 0


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0])
def test_the_zero_rule_scores_what_a_constant_model_scores(rate: float) -> None:
    """It follows from the numbers of rows and of positive rows alone."""
    rng = np.random.default_rng(11)
    positive = rng.random(400) < 0.3
    scores = np.stack([rng.random(400), np.full(400, rate)], axis=1)
    measured = totals_of(positive, scores)

    derived = with_zero_rule(measured, rate)

    for name, metric in METRICS.items():
        found, expected = float(metric.of(derived, ZERO_RULE)), float(metric.of(measured, "champion"))
        assert found == pytest.approx(expected, abs=1e-9, nan_ok=True), name
    assert int(derived[f"gained.{ZERO_RULE}"]) == int(measured["gained"])
    assert int(derived[f"lost.{ZERO_RULE}"]) == int(measured["lost"])


def test_metrics_are_vectorised_over_leading_axes() -> None:
    """The jackknife asks for all its values in one call."""
    values = np.random.default_rng(2).integers(1, 50, (3, 4, 6))
    values[..., 0] = values.sum(axis=-1)
    totals = Totals(statistics_for(ALONE), values)

    for metric in METRICS.values():
        found = metric.of(totals, "challenger")
        assert found.shape == (3, 4)
        one = Totals(totals.names, values[1, 2])
        assert float(found[1, 2]) == pytest.approx(float(metric.of(one, "challenger")), nan_ok=True)
