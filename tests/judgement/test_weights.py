"""Weighted rows: metrics as scikit-learn weighs them, intervals that know how uneven the weights are."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from candidate.documents.policy import CustomRule, Policy
from candidate.judgement.calibration import calibration_of
from candidate.judgement.catalogue import catalogue, custom
from candidate.judgement.gate.measures import gain, level
from candidate.judgement.metrics import METRICS
from candidate.judgement.state import Layout, State, Totals, observe
from tests.judgement.worlds import ALONE, BOTH, policy, sigmoid, world

Weights = NDArray[np.float64]


def drawn(rng: np.random.Generator, rows: int) -> dict[str, Any]:
    """Rows of two models."""
    truth = rng.normal(-0.6, 1.5, rows)
    scores = sigmoid(truth[:, np.newaxis] + rng.normal(size=(rows, 2)) * 0.5)
    return {"positive": rng.random(rows) < sigmoid(truth), "scores": scores, "predicted": scores >= 0.5}


def counted(rows: dict[str, Any], weights: Weights | None, **more: Any) -> State:
    """The State of them, each row its own unit."""
    count = len(rows["positive"])
    common: dict[str, Any] = {"n_slices": 1, "n_buckets": 64, "models": BOTH, "bins": 10, "ranked": (0,)}
    places = {"groups": [np.zeros(count, dtype=np.int64)], "buckets": np.arange(count) % 64}
    return observe(**rows, weights=weights, **{**common, **places, **more})


def totals_of(state: State, **more: Any) -> Totals:
    """Totals by bucket of weighted rows."""
    return state.totals(0, Layout(BOTH, weighted=True, **more).statistics)


def test_metrics_equal_scikit_learn_with_sample_weights() -> None:
    """To 1e-6: weights are counted in steps of 2**-20, areas under curves in bins."""
    rng = np.random.default_rng(1)
    rows = drawn(rng, 4000)
    weights = np.round(rng.gamma(1.0, 3.0, 4000), 3)
    totals = totals_of(counted(rows, weights)).summed()
    rules = Policy.model_validate(policy().model_dump(), strict=False)

    found = {name: float(metric.of(totals, "challenger")) for name, metric in catalogue(rules).items()}

    truth, said, score = rows["positive"], rows["predicted"][:, 0], rows["scores"][:, 0]
    more: dict[str, Any] = {"sample_weight": weights}
    classes = {
        "accuracy": sk.accuracy_score,
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
        "mcc": sk.matthews_corrcoef,
        "balanced_accuracy": sk.balanced_accuracy_score,
    }
    scored = {"log_loss": sk.log_loss, "brier": sk.brier_score_loss}
    expected = {name: float(compute(truth, said, **more)) for name, compute in classes.items()}
    expected |= {name: float(compute(truth, score, **more)) for name, compute in scored.items()}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, score, **more), abs=1e-4)
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(truth, score, **more), abs=1e-3)
    assert found["selection_rate"] == pytest.approx(float(np.average(said, weights=weights)), abs=1e-6)


@pytest.mark.parametrize("name", ["error_rate", "log_loss", "recall", "f1"])
def test_equal_weights_change_nothing(name: str) -> None:
    """Value, bounds and number of rows are those of rows without weights, whatever the weight."""
    rows = drawn(np.random.default_rng(2), 3000)
    plain = counted(rows, None).totals(0, Layout(BOTH).statistics)
    weighted = totals_of(counted(rows, np.full(3000, 2.5)))
    metric = METRICS[name]  # type: ignore[index]  # one of them

    for before, after in (
        (gain(plain, metric, "champion"), gain(weighted, metric, "champion")),
        (level(plain, metric, "challenger"), level(weighted, metric, "challenger")),
    ):
        assert (after.n, after.units, after.reason) == (before.n, before.units, before.reason)
        assert before.interval is not None
        assert after.interval is not None
        for alpha in (0.05, 0.2):
            assert after.interval.lower(alpha) == pytest.approx(before.interval.lower(alpha), abs=1e-6)
            assert after.interval.upper(alpha) == pytest.approx(before.interval.upper(alpha), abs=1e-6)


def test_no_error_among_uneven_rows_proves_less_than_among_even_ones() -> None:
    """Without an error the jackknife sees no spread: Kish's factor keeps the exact bound honest."""
    count = 1000
    rows = {
        "positive": np.ones(count, dtype=bool),
        "scores": np.full((count, 2), 0.9),
        "predicted": np.ones((count, 2), dtype=bool),
    }
    uneven = np.where(np.arange(count) < 100, 10.0, 0.1)
    even, odd = (
        level(totals_of(counted(rows, each)), METRICS["error_rate"], "challenger") for each in (uneven * 0 + 1, uneven)
    )

    assert even.interval is not None
    assert odd.interval is not None
    assert even.interval.upper(0.05) == pytest.approx(1 - 0.05 ** (1 / 1000), abs=1e-9)
    kish = (uneven.sum() ** 2) / (uneven**2).sum()
    assert odd.interval.upper(0.05) == pytest.approx(1 - 0.05 ** (1 / kish), rel=1e-4)


def test_weighted_intervals_cover_the_truth() -> None:
    """Weights that go with the label: the weighted accuracy is another number, and it is covered."""
    rng = np.random.default_rng(3)

    def measured(rows: int) -> Any:
        found = drawn(rng, rows)
        weights = np.where(found["positive"], 3.0, 1.0) * rng.gamma(2.0, 0.5, rows)
        return level(totals_of(counted(found, weights)), METRICS["accuracy"], "challenger").claimable

    truth, covered = measured(400_000).value, 0
    for _ in range(200):
        interval = measured(1500)
        covered += interval.lower(0.05) <= truth <= interval.upper(0.05)

    assert 169 <= covered <= 197, covered


def test_a_weighted_state_is_the_same_in_any_order_and_sharding() -> None:
    """Weights are whole numbers of steps, so their sums are exact too."""
    rng = np.random.default_rng(4)
    rows, weights = drawn(rng, 1000), rng.gamma(1.0, 100.0, 1000)
    buckets = rng.integers(0, 64, 1000)
    whole = counted(rows, weights, buckets=buckets)
    for _ in range(20):
        order = rng.permutation(1000)
        parts = np.split(order, np.sort(rng.integers(0, 1000, 3)))
        found = [
            counted({name: each[part] for name, each in rows.items()}, weights[part], buckets=buckets[part])
            for part in parts
        ]
        assert sum(found[1:], found[0]).digest == whole.digest


def test_a_large_weight_is_counted_exactly() -> None:
    """Up to 65,536 times a capped loss: sums of two halves never round."""
    rows: dict[str, Any] = {
        "positive": np.ones(1000, dtype=bool),
        "scores": np.zeros((1000, 2)),
        "predicted": np.zeros((1000, 2), dtype=bool),
    }
    totals = totals_of(counted(rows, np.full(1000, 65_536.0))).summed()

    assert int(totals["log_loss.challenger"]) == 1000 * 65_536 * 32 * 2**30
    assert int(totals["n"]) == 1000 * 2**36
    assert float(METRICS["log_loss"].of(totals, "challenger")) == 32.0


def test_calibration_weighs_rows_too() -> None:
    """Weight on the rows that are off makes the error larger, equal weights leave it as it is."""
    rng = np.random.default_rng(5)
    score = rng.uniform(0.1, 0.9, 20_000)
    off = np.where(score > 0.5, 0.2, 0.0)
    positive = rng.random(20_000) < score - off
    rows = {"positive": positive, "scores": score[:, np.newaxis], "predicted": score[:, np.newaxis] > 0.5}

    def measured(weights: Weights | None) -> Any:
        state = counted(rows, weights, models=ALONE)
        axes = world(state, models=ALONE).evidence.state
        layout = Layout(ALONE, weighted=weights is not None)
        return calibration_of(
            state, axes.model_copy(update={"weighted": layout.weighted, "statistics": layout.statistics}), "challenger"
        )

    plain, even, heavy = measured(None), measured(np.full(20_000, 3.0)), measured(np.where(score > 0.5, 9.0, 1.0))
    assert plain.interval.upper(0.05) == pytest.approx(even.interval.upper(0.05), abs=1e-6)
    assert plain.interval.value == pytest.approx(0.2 * np.sqrt(0.5), abs=0.01)
    assert heavy.interval.value == pytest.approx(0.2 * np.sqrt(0.9), abs=0.01)
    assert plain.in_the_large.value == pytest.approx(0.1, abs=0.01)
    assert heavy.in_the_large.value == pytest.approx(0.18, abs=0.01)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_metric_may_sum_a_column_over_outcomes(*, weighted: bool) -> None:
    """Money lost to fraud that nobody stopped, for example: the sum over the false negatives, a row."""
    rng = np.random.default_rng(6)
    rows = drawn(rng, 2000)
    amount = np.round(rng.lognormal(3.0, 2.0, 2000), 2) - 5
    weights = np.round(rng.gamma(2.0, 1.0, 2000), 2) if weighted else None
    rule = CustomRule(
        name="lost", formula="(amount[fn] + 2 * amount[fp]) / n", direction="min", unit="EUR", definition="money lost"
    )
    state = counted(rows, weights, columns={"amount": amount})
    totals = state.totals(0, Layout(BOTH, weighted=weighted, columns=("amount",)).statistics)

    for position, model in enumerate(BOTH):
        truth, said = rows["positive"], rows["predicted"][:, position]
        each = amount * (truth & ~said) + 2 * amount * (~truth & said)
        expected = float(np.average(each, weights=weights))
        assert float(custom(rule).of(totals.summed(), model)) == pytest.approx(expected, abs=1e-4)
    measure = gain(totals, custom(rule), "champion")
    assert (measure.reason, measure.unit) == ("", "EUR")
