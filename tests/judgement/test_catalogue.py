"""Metrics of order, rate and cost, and a policy's own, equal their references."""

from typing import Any

import numpy as np
import pytest
from fairlearn import metrics as fair
from numpy.typing import NDArray
from sklearn import metrics as reference

from candidate.documents.policy import Costs, CustomRule, Policy
from candidate.judgement.catalogue import RATES, catalogue, cost, custom, ranking
from candidate.judgement.gate.measures import gain, level
from candidate.judgement.metrics import with_zero_rule
from candidate.judgement.state import ZERO_RULE, State, Totals, observe, statistics_for
from tests.judgement.worlds import BOTH, policy, simulate


def rows(seed: int = 2, count: int = 4000) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels and scores of two models."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(-0.6, 1.5, count)
    positive = rng.random(count) < 1 / (1 + np.exp(-truth))
    return positive, 1 / (1 + np.exp(-(truth[:, None] + rng.normal(0, 0.7, (count, 2)))))


def counted(positive: NDArray[np.bool_], scores: NDArray[np.float64], *, ranked: bool = True) -> State:
    """The State of rows that are all in one slice, each its own unit."""
    return observe(
        positive=positive,
        scores=scores,
        predicted=scores >= 0.5,
        groups=[np.zeros(len(positive), dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(len(positive)) % 64,
        n_buckets=64,
        models=BOTH,
        bins=5,
        ranked=(0,) if ranked else (),
    )


def totals(*, ranked: bool = True) -> Totals:
    """Totals by bucket."""
    return counted(*rows(), ranked=ranked).totals(0, statistics_for(BOTH))


def _fowlkes_mallows(truth: Any, answers: Any) -> float:
    return float(np.sqrt(reference.recall_score(truth, answers) * reference.precision_score(truth, answers)))


def rule(formula: str, **changes: Any) -> CustomRule:
    """A metric of one's own."""
    said = {"name": "own", "formula": formula, "direction": "max", "definition": "ours"}
    return CustomRule.model_validate({**said, **changes})


def test_rates_equal_fairlearns() -> None:
    """To 1e-12, for both models."""
    positive, scores = rows()
    whole = totals().summed()
    for column, model in enumerate(BOTH):
        answers = scores[:, column] >= 0.5
        for name, metric in RATES.items():
            expected = getattr(fair, name)(positive, answers)
            assert float(metric.of(whole, model)) == pytest.approx(expected, abs=1e-12), name
            assert level(totals(), metric, model).claimable is not None


def test_order_equals_scikit_learn_through_the_state() -> None:
    """Each model its own histogram, and leaving a bucket out leaves its scores out too."""
    positive, scores = rows()
    metrics = ranking(0.2)
    whole, without = totals().summed(), totals().without_each()
    kept = np.arange(len(positive)) % 64 != 7
    for column, model in enumerate(BOTH):
        for name, of in (("roc_auc", reference.roc_auc_score), ("pr_auc", reference.average_precision_score)):
            metric = metrics[name]
            exact = of(positive, scores[:, column])
            assert float(metric.of(whole, model)) == pytest.approx(exact, abs=1e-3), name
            assert metric.of(without, model)[7] == pytest.approx(of(positive[kept], scores[kept, column]), abs=1e-3)
    for metric in metrics.values():
        measure = gain(totals(), metric, "champion")
        assert measure.claimable is not None
        assert measure.claimable.lower(0.05) < measure.claimable.value < measure.claimable.upper(0.05)


def test_without_histograms_order_is_undefined() -> None:
    """A slice that has none leaves its rule open."""
    for metric in ranking().values():
        assert gain(totals(ranked=False), metric, "champion").claimable is None


def test_histograms_that_count_other_rows_are_no_evidence() -> None:
    """A row in the histogram and not in the counts, or less than none."""
    good = totals()
    assert good.histograms is not None
    for change in (1, -(10**6)):
        spoiled = good.histograms.copy()
        spoiled[3, 0, 1, 17] += change
        measure = level(Totals(good.names, good.values, spoiled), ranking()["roc_auc"], "challenger")
        assert measure.reason == "the counts contradict each other"


def test_the_zero_rule_orders_nothing() -> None:
    """One half, the prevalence, no lift; and undefined where rows of a class are missing."""
    whole = with_zero_rule(totals(), 0.3).summed()
    share = float(whole["n_pos"] / whole["n"])
    expected = {"roc_auc": 0.5, "pr_auc": share, "ks": 0.0, "precision_at_k": share, "lift_at_k": 1.0}
    for name, metric in ranking().items():
        assert float(metric.of(whole, ZERO_RULE)) == expected[name]
        assert np.isnan(metric.of(Totals(whole.names, whole.values * 0), ZERO_RULE))


def test_expected_cost_is_the_matrix_times_the_costs() -> None:
    """scikit-learn's confusion matrix, to 1e-12."""
    positive, scores = rows()
    costs = Costs(true_positive=-2.0, false_positive=1.0, false_negative=10.0, true_negative=0.25, unit="EUR")
    matrix = reference.confusion_matrix(positive, scores[:, 0] >= 0.5)
    expected = float((matrix * [[0.25, 1.0], [10.0, -2.0]]).sum() / len(positive))
    metric = cost(costs)

    assert float(metric.of(totals().summed(), "challenger")) == pytest.approx(expected, abs=1e-12)
    assert (metric.unit, metric.sign) == ("EUR", -1)
    assert gain(totals(), metric, "champion").claimable is not None


@pytest.mark.parametrize(
    ("formula", "of"),
    [
        ("2 * tp / (2*tp + fp + fn)", reference.f1_score),
        ("(tp + tn) / n", reference.accuracy_score),
        ("1 - (fp + fn) / n", reference.accuracy_score),
        ("tp / selected", reference.precision_score),
        ("(tp / positive + tn / negative) / 2", reference.balanced_accuracy_score),
        ("sqrt(tp / positive * tp / selected)", _fowlkes_mallows),
        ("-fp / -negative", fair.false_positive_rate),
    ],
)  # fmt: skip
def test_a_formula_is_what_it_says(formula: str, of: Any) -> None:
    """Precedence, signs, roots."""
    positive, scores = rows()

    found = float(custom(rule(formula)).of(totals().summed(), "challenger"))

    assert found == pytest.approx(of(positive, scores[:, 0] >= 0.5), abs=1e-12)


@pytest.mark.parametrize("formula", ["tp / (n - n)", "sqrt(-n)", "n * 9e15 * 9e15 * 9e15 * 9e15 / 0.5"])
def test_a_formula_without_a_value_is_undefined(formula: str) -> None:
    """NaN for the first two; what is finite is a number."""
    found = float(custom(rule(formula)).of(totals().summed(), "challenger"))

    assert np.isfinite(found) == ("9e15" in formula)


def test_a_policys_catalogue_holds_what_it_defines() -> None:
    """Costs and metrics of one's own only where they are defined."""
    plain = catalogue(policy())
    rich: Policy = policy(
        costs={"false_positive": 1.0, "false_negative": 2.0},
        top=0.05,
        metrics=[{"name": "own", "formula": "tp / n", "direction": "max", "definition": "ours"}],
    )

    assert "expected_cost" not in plain
    assert catalogue(rich).keys() - plain.keys() == {"expected_cost", "custom.own"}
    assert catalogue(rich)["lift_at_k"].label == "lift at 5 %"
    assert simulate(np.random.default_rng(1), 100).ranked == ()
