"""Several classes: every metric equals scikit-learn's, with and without weights, and so does the zero-rule."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from candidate.documents.policy import METRICS_OF, ClassMetric, SharedMetric
from candidate.judgement.classes import CLASS_METRICS, with_class_zero_rule
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.measures import gain, level
from candidate.judgement.state import ZERO_RULE, Layout, State, Totals, observe_classes
from tests.judgement.worlds import BOTH, facts, policy, world

CLASSES = 4
AVERAGED = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
REFERENCES: dict[str, Callable[..., float]] = {
    "error_rate": sk.zero_one_loss,
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "mcc": sk.matthews_corrcoef,
}
Rows = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]


def drawn(rng: np.random.Generator, rows: int, *, sharp: tuple[float, float] = (1.5, 1.0)) -> Rows:
    """Labels, probabilities and answers of two models of which the first sees more."""
    label = rng.choice(CLASSES, rows, p=(0.5, 0.3, 0.15, 0.05))
    logits = rng.normal(size=(rows, 2, CLASSES))
    for model, more in enumerate(sharp):
        logits[np.arange(rows), model, label] += more
    shares = np.exp(logits)
    shares /= shares.sum(axis=2, keepdims=True)
    return label, shares, shares.argmax(axis=2)


def state_of(found: Rows, weights: NDArray[np.float64] | None = None, buckets: int = 64) -> State:
    """Counts of the rows, all in one slice."""
    label, shares, answers = found
    return observe_classes(
        label=label,
        probabilities=shares,
        answers=answers,
        groups=[np.zeros(len(label), dtype=np.int64)],
        n_slices=1,
        buckets=np.arange(len(label)) % buckets,
        n_buckets=buckets,
        models=BOTH,
        bins=5,
        weights=weights,
    )


def totals_of(found: Rows, weights: NDArray[np.float64] | None = None, buckets: int = 64) -> Totals:
    """Totals by bucket."""
    state = state_of(found, weights, buckets)
    return state.totals(0, Layout(BOTH, "multiclass", CLASSES, weights is not None).statistics)


def test_the_registry_knows_exactly_the_metrics_of_a_policy() -> None:
    """What a policy may name is computed, and the reverse."""
    assert set(CLASS_METRICS) == {*get_args(SharedMetric), *get_args(ClassMetric)} == set(METRICS_OF["multiclass"])
    assert all(metric.definition and metric.source and metric.unit for metric in CLASS_METRICS.values())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("model", [0, 1])
def test_metrics_equal_scikit_learn(model: int, *, weighted: bool) -> None:
    """Counts to 1e-12, losses to 2**-31; weights are rounded to 2**-20, and everything with them."""
    rng = np.random.default_rng(3)
    label, shares, answers = rows = drawn(rng, 2000)
    weights = np.round(rng.gamma(1.0, 2.0, 2000), 3) if weighted else None
    totals = totals_of(rows, weights).summed()

    found = {str(name): float(metric.of(totals, BOTH[model])) for name, metric in CLASS_METRICS.items()}

    said, probability = answers[:, model], shares[:, model]
    more: dict[str, Any] = {"sample_weight": weights}
    expected = {name: float(compute(label, said, **more)) for name, compute in REFERENCES.items()}
    for name, compute in AVERAGED.items():
        for average in ("macro", "weighted"):
            score = compute(label, said, average=average, zero_division=0, **more)
            expected[f"{name}_{average}"] = float(score)
    expected["log_loss"] = float(sk.log_loss(label, probability, labels=range(CLASSES), **more))
    expected["brier"] = float(sk.brier_score_loss(label, probability, labels=range(CLASSES), **more))
    lost = {"log_loss", "brier"}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6 if weighted else 2.0**-31 if name in lost else 1e-12), name


def test_a_class_that_is_missing_is_left_out_as_scikit_learn_leaves_it_out() -> None:
    """A slice need not have every class; one that is answered and never true counts as 0."""
    label = np.array([0, 0, 1, 1, 1])
    answers = np.array([[0, 0], [2, 0], [1, 1], [1, 1], [0, 1]])
    shares = np.full((5, 2, CLASSES), 0.25)
    totals = totals_of((label, shares, answers), buckets=5).summed()

    for position, model in enumerate(BOTH):
        for name, compute in AVERAGED.items():
            expected = compute(label, answers[:, position], average="macro", zero_division=0)
            metric = CLASS_METRICS[f"{name}_macro"]  # type: ignore[index]  # made of two parts
            assert float(metric.of(totals, model)) == pytest.approx(expected, abs=1e-12)
        balanced = sk.balanced_accuracy_score(
            label, np.where(answers[:, position] > 1, 1 - label, answers[:, position])
        )
        assert float(CLASS_METRICS["balanced_accuracy"].of(totals, model)) == pytest.approx(balanced, abs=1e-12)


def test_nothing_divided_by_nothing_is_not_a_number() -> None:
    """Without rows nothing is known; with one class a correlation is not."""
    empty = totals_of(
        (np.zeros(0, dtype=np.int64), np.zeros((0, 2, CLASSES)), np.zeros((0, 2), dtype=np.int64))
    ).summed()
    alike = totals_of((np.zeros(9, dtype=np.int64), np.full((9, 2, CLASSES), 0.25), np.ones((9, 2), dtype=np.int64)))

    assert all(np.isnan(metric.of(empty, "challenger")) for metric in CLASS_METRICS.values())
    assert np.isnan(CLASS_METRICS["mcc"].of(alike.summed(), "challenger"))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_zero_rule_scores_what_a_constant_model_scores(*, weighted: bool) -> None:
    """It follows from the numbers of rows of each class alone."""
    rng = np.random.default_rng(5)
    label, shares, answers = drawn(rng, 500)
    constant = np.array([0.4, 0.35, 0.2, 0.05])
    shares[:, 1], answers[:, 1] = constant, 0
    weights = rng.integers(0, 5, 500).astype(np.float64) if weighted else None
    measured = totals_of((label, shares, answers), weights)

    derived = with_class_zero_rule(measured, constant.tolist())

    for metric in CLASS_METRICS.values():
        found, expected = (float(metric.of(derived.summed(), model)) for model in (ZERO_RULE, "champion"))
        assert found == pytest.approx(expected, abs=1e-8)
    for name in CLASS_METRICS:
        known, own = gain(measured, CLASS_METRICS[name], "champion"), gain(derived, CLASS_METRICS[name], ZERO_RULE)
        assert known.interval is not None
        assert own.interval is not None
        assert own.interval.lower(0.05) == pytest.approx(known.interval.lower(0.05), abs=1e-6)


def test_intervals_cover_the_truth() -> None:
    """Two-sided 90 % of macro F1 and of the gain in log loss, 200 worlds each: within the simulation's own noise."""
    rng = np.random.default_rng(8)
    large = totals_of(drawn(rng, 200_000))
    truth = {
        "f1_macro": float(CLASS_METRICS["f1_macro"].of(large.summed(), "challenger")),
        "log_loss": gain(large, CLASS_METRICS["log_loss"], "champion").interval.value,  # type: ignore[union-attr]
    }
    covered = {"f1_macro": 0, "log_loss": 0}
    for _ in range(200):
        totals = totals_of(drawn(rng, 1500))
        measures = {
            "f1_macro": level(totals, CLASS_METRICS["f1_macro"], "challenger"),
            "log_loss": gain(totals, CLASS_METRICS["log_loss"], "champion"),
        }
        for name, measure in measures.items():
            interval = measure.claimable
            assert interval is not None
            covered[name] += interval.lower(0.05) <= truth[name] <= interval.upper(0.05)

    assert all(169 <= count <= 192 for count in covered.values()), covered


@pytest.mark.parametrize("shares", [(), (0.5, 0.5), (0.9, 0.9, -0.4, -0.4), (0.4, 0.4, 0.1, 0.2)])
def test_without_shares_of_the_classes_the_zero_rule_claims_nothing(shares: tuple[float, ...]) -> None:
    """Of each class one, none negative, and one in all: anything else says nothing of a model that sees no feature."""
    rng = np.random.default_rng(6)
    rules = policy(
        task="multiclass",
        data={"label": "kind", "unit": "day"},
        optimizing={"metric": "log_loss", "require": "non_inferior", "margin": 0.5},
        slices={},
        satisficing=[],
        calibration=None,
    )
    for given, known in ((shares, False), ((0.5, 0.3, 0.15, 0.05), True)):
        state = state_of(drawn(rng, 500))
        layout = Layout(BOTH, "multiclass", CLASSES)
        found = world(state, challenger=facts("a", train_label_shares=given))
        axes = found.evidence.state.model_copy(
            update={"task": "multiclass", "statistics": layout.statistics, "classes": ("a", "b", "c", "d")}
        )
        measured = Case(rules, found.changed(state=axes).evidence, state, None).over_zero_rule("log_loss")
        assert (measured.interval is not None) == known
        assert known or "the shares of the classes" in measured.reason
