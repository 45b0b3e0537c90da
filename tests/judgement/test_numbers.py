"""Numbers: every metric equals scikit-learn's, the zero-rule is the mean, and what is cut off claims nothing."""

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from candidate.documents.policy import METRICS_OF, NumberMetric
from candidate.judgement.gate.measures import gain, level
from candidate.judgement.numbers import number_metrics
from candidate.judgement.state import ZERO_RULE, Layout, Totals, observe_numbers
from tests.judgement.worlds import BOTH

SCALE = 8.0
METRICS = number_metrics(SCALE, 0.9)
Rows = tuple[NDArray[np.float64], NDArray[np.float64]]


def drawn(rng: np.random.Generator, rows: int, noise: tuple[float, float] = (1.0, 1.3)) -> Rows:
    """True numbers, and the answers of two models of which the first is nearer."""
    label = rng.gamma(3.0, 2.0, rows)
    return label, label[:, np.newaxis] + rng.normal(size=(rows, 2)) * noise


def totals_of(
    rows: Rows, weights: NDArray[np.float64] | None = None, *, constant: float | None = None, scale: float = SCALE
) -> Totals:
    """Totals by bucket."""
    label, answers = rows
    state = observe_numbers(
        label=label,
        answers=answers,
        groups=[np.zeros(len(label), dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(len(label)) % 64,
        n_buckets=64,
        models=BOTH,
        scale=scale,
        quantile=0.9,
        constant=constant,
        weights=weights,
    )
    layout = Layout(BOTH, "regression", 0, weights is not None, zero_rule=constant is not None)
    return state.totals(0, layout.statistics)


def test_the_registry_knows_exactly_the_metrics_of_a_policy() -> None:
    """What a policy may name is computed, and the reverse; without a quantile there is no pinball loss."""
    assert set(METRICS) == set(get_args(NumberMetric)) == set(METRICS_OF["regression"])
    assert set(METRICS) - set(number_metrics(1.0, None)) == {"pinball"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [0, 1])
def test_metrics_equal_scikit_learn(model: int, *, weighted: bool) -> None:
    """To 1e-8 of the scale's unit."""
    rng = np.random.default_rng(2)
    label, answers = rows = drawn(rng, 3000)
    weights = np.round(rng.gamma(1.0, 2.0, 3000), 3) if weighted else None
    totals = totals_of(rows, weights).summed()

    found = {str(name): float(metric.of(totals, BOTH[model])) for name, metric in METRICS.items()}

    more: dict[str, Any] = {"sample_weight": weights}
    said = answers[:, model]
    apart = 2 * np.abs(said - label) / (np.abs(said) + np.abs(label))
    expected = {
        "mae": sk.mean_absolute_error(label, said, **more),
        "mse": sk.mean_squared_error(label, said, **more),
        "rmse": sk.root_mean_squared_error(label, said, **more),
        "r2": sk.r2_score(label, said, **more),
        "pinball": sk.mean_pinball_loss(label, said, alpha=0.9, **more),
        "mape": sk.mean_absolute_percentage_error(label, said, **more),
        "smape": float(np.average(apart, weights=weights)),
    }
    assert found == pytest.approx(expected, abs=2e-6 if weighted else 1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_zero_rule_is_a_model_that_answers_the_mean(*, weighted: bool) -> None:
    """Its absolute errors follow from no count, so it is counted; the gain over it has an interval."""
    rng = np.random.default_rng(4)
    label, answers = drawn(rng, 800)
    answers[:, 1] = 6.0
    weights = rng.integers(0, 4, 800).astype(np.float64) if weighted else None
    totals = totals_of((label, answers), weights, constant=6.0)

    for name in METRICS:
        own, known = gain(totals, METRICS[name], ZERO_RULE), gain(totals, METRICS[name], "champion")
        assert own.claimable is not None
        assert known.claimable is not None
        assert own.claimable == known.claimable


def test_losses_beyond_the_cap_allow_no_claim() -> None:
    """A model a thousand scales off is not measured as 32 squared scales off: the metric stays open and says why."""
    label, answers = drawn(np.random.default_rng(6), 2000)
    answers[3, 0] = 1e6
    totals = totals_of((label, answers))

    reason = level(totals, METRICS["mae"], "challenger").reason
    assert reason == "the losses of 1 rows are beyond what is counted, give a larger [data] scale"
    assert gain(totals, METRICS["rmse"], "champion").claimable is None
    assert level(totals, METRICS["mae"], "champion").claimable is not None
    assert level(totals_of((label, answers), scale=1e6), METRICS["mae"], "challenger").claimable is not None


def test_a_share_of_almost_nothing_allows_no_claim_of_percentages() -> None:
    """A truth of 0 makes a percentage endless; the other metrics stay as they are."""
    label, answers = drawn(np.random.default_rng(6), 2000)
    label[5] = 0.0
    totals = totals_of((label, answers))

    assert "hold another metric" in level(totals, METRICS["mape"], "challenger").reason
    assert level(totals, METRICS["smape"], "challenger").claimable is not None


def test_r2_of_one_label_is_undefined() -> None:
    """There is nothing to explain."""
    totals = totals_of((np.full(500, 3.0), np.full((500, 2), 3.1))).summed()

    assert np.isnan(METRICS["r2"].of(totals, "challenger"))
    assert float(METRICS["mae"].of(totals, "challenger")) == pytest.approx(0.1, abs=1e-8)


def test_intervals_cover_the_truth() -> None:
    """Two-sided 90 % of R² and of the gain in absolute error, 200 worlds: within the simulation's own noise."""
    rng = np.random.default_rng(9)
    large = totals_of(drawn(rng, 400_000))
    truth = {
        "r2": float(METRICS["r2"].of(large.summed(), "challenger")),
        "mae": gain(large, METRICS["mae"], "champion").interval.value,  # type: ignore[union-attr]
    }
    covered = {"r2": 0, "mae": 0}
    for _ in range(200):
        totals = totals_of(drawn(rng, 1500))
        measures = {"r2": level(totals, METRICS["r2"], "challenger"), "mae": gain(totals, METRICS["mae"], "champion")}
        for name, measure in measures.items():
            interval = measure.claimable
            assert interval is not None
            covered[name] += interval.lower(0.05) <= truth[name] <= interval.upper(0.05)

    assert all(169 <= count <= 192 for count in covered.values()), covered
