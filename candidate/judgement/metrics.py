"""The metrics of a binary task, each a function of counts, so that any rows can be left out of it.

A metric that divides nothing by nothing is NaN here; a rule that rests on it then stays open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from candidate.documents.policy import QualityMetric
from candidate.judgement.state import FIXED_POINT, LOSS_CAP, WEIGHT_STEP, ZERO_RULE, Totals, log_losses

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Formula = Callable[[Totals, str], Floats]


@dataclass(frozen=True)
class Metric:
    """A metric of one model.

    Attributes:
        label: how it is called in a sentence.
        definition: what it is, in one sentence.
        direction: whether less or more is better.
        unit: unit of measurement; ``1`` for a pure number.
        source: where the definition comes from.
        formula: the metric of totals, vectorised over their leading axes.
        share: rows with the property and rows that could have it, where the metric is a proportion.
        of_scores: whether it is made of the scores themselves, not only of the predicted classes.
        cut: statistic that counts the rows whose loss was cut off at the cap; with any, nothing is claimed.
    """

    label: str
    definition: str
    direction: Literal["min", "max"]
    unit: str
    source: str
    formula: Formula
    share: Callable[[Totals, str], tuple[Counts, Counts]] | None = None
    of_scores: bool = False
    cut: str | None = None

    def of(self, totals: Totals, model: str) -> Floats:
        """Return the metric of one model, of the shape of the totals without their last axis.

        NaN where it is not defined.
        """
        return self.formula(totals, model)

    @property
    def sign(self) -> int:
        """+1 where more is better, -1 where less is."""
        return 1 if self.direction == "max" else -1


def ratio_of(above: Counts | Floats, below: Counts | Floats) -> Floats:
    """Divide; nothing by nothing (and anything by nothing) is NaN."""
    result = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=result, where=np.not_equal(below, 0))
    return result


def cells_of(totals: Totals, model: str) -> tuple[Counts, Counts, Counts, Counts]:
    """Return rows rightly and wrongly predicted positive, wrongly and rightly predicted negative."""
    right, wrong = totals[f"tp.{model}"], totals[f"fp.{model}"]
    positive = totals["n_pos"]
    return right, wrong, positive - right, totals["n"] - positive - wrong


def mean_of(statistic: str, unit: float = 1.0) -> Formula:
    """Return the formula of the mean of a loss that is summed in fixed point, times a unit."""

    def formula(totals: Totals, model: str) -> Floats:
        # Where rows have weights, losses are times the weight and rows are weights in steps.
        step = WEIGHT_STEP if totals.weighted else 1
        return unit * ratio_of(totals[f"{statistic}.{model}"] / FIXED_POINT, totals["n"] / step)

    return formula


def _of_share(share: Callable[[Totals, str], tuple[Counts, Counts]]) -> Formula:
    def formula(totals: Totals, model: str) -> Floats:
        return ratio_of(*share(totals, model))

    return formula


def hits_of(totals: Totals, model: str) -> tuple[Counts, Counts]:
    """Return rows whose class a model predicts rightly, and all rows."""
    classes = totals.classes
    if classes:
        return totals.stacked("tp", f".{model}", classes).sum(axis=-1), totals["n"]
    true_positive, _, _, true_negative = cells_of(totals, model)
    return true_positive + true_negative, totals["n"]


def errors_of(totals: Totals, model: str) -> tuple[Counts, Counts]:
    """Return rows whose class a model predicts wrongly, and all rows."""
    right, rows = hits_of(totals, model)
    return rows - right, rows


def _precise(totals: Totals, model: str) -> tuple[Counts, Counts]:
    true_positive, false_positive, _, _ = cells_of(totals, model)
    return true_positive, true_positive + false_positive


def _recalled(totals: Totals, model: str) -> tuple[Counts, Counts]:
    return totals[f"tp.{model}"], totals["n_pos"]


def _balanced_accuracy(totals: Totals, model: str) -> Floats:
    true_positive, false_positive, false_negative, true_negative = cells_of(totals, model)
    recalled = ratio_of(true_positive, true_positive + false_negative)
    rejected = ratio_of(true_negative, true_negative + false_positive)
    return (recalled + rejected) / 2


def _f1(totals: Totals, model: str) -> Floats:
    true_positive, false_positive, false_negative, _ = cells_of(totals, model)
    return ratio_of(2 * true_positive, 2 * true_positive + false_positive + false_negative)


def _mcc(totals: Totals, model: str) -> Floats:
    tp, fp, fn, tn = (cells.astype(np.float64) for cells in cells_of(totals, model))
    both_answers = (tp + fp) * (tn + fn)
    both_classes = (tp + fn) * (tn + fp)
    value = ratio_of(tp * tn - fp * fn, np.sqrt(np.maximum(both_answers * both_classes, 0)))
    # A constant answer carries no information about rows of both classes: the limit is 0.
    return np.where((both_answers == 0) & (both_classes > 0), 0.0, value)


_SKLEARN = "scikit-learn {}; "

METRICS: dict[QualityMetric, Metric] = {
    "log_loss": Metric(
        "log loss",
        "mean of minus the natural logarithm of the probability given to the true class, "
        f"clipped at float64's epsilon, at most {LOSS_CAP:g} a row",
        "min",
        "nats",
        _SKLEARN.format("log_loss") + "Good 1952",
        mean_of("log_loss"),
        of_scores=True,
    ),
    "brier": Metric(
        "Brier score",
        "mean squared difference of the positive class's probability and the outcome (0 or 1)",
        "min",
        "1",
        _SKLEARN.format("brier_score_loss") + "Brier 1950",
        mean_of("brier"),
        of_scores=True,
    ),
    "error_rate": Metric(
        "error rate",
        "share of rows whose predicted class is wrong",
        "min",
        "1",
        _SKLEARN.format("zero_one_loss"),
        _of_share(errors_of),
        errors_of,
    ),
    "accuracy": Metric(
        "accuracy",
        "share of rows whose predicted class is right",
        "max",
        "1",
        _SKLEARN.format("accuracy_score"),
        _of_share(hits_of),
        hits_of,
    ),
    "balanced_accuracy": Metric(
        "balanced accuracy",
        "mean of the shares of positive and of negative rows that are predicted rightly; "
        "undefined without rows of both classes",
        "max",
        "1",
        _SKLEARN.format("balanced_accuracy_score"),
        _balanced_accuracy,
    ),
    "precision": Metric(
        "precision",
        "share of the rows predicted positive that are; undefined where none is predicted positive",
        "max",
        "1",
        _SKLEARN.format("precision_score"),
        _of_share(_precise),
        _precise,
    ),
    "recall": Metric(
        "recall",
        "share of the positive rows that are predicted positive; undefined without positive rows",
        "max",
        "1",
        _SKLEARN.format("recall_score"),
        _of_share(_recalled),
        _recalled,
    ),
    "f1": Metric(
        "F1",
        "harmonic mean of precision and recall; undefined where no row is, or is predicted, positive",
        "max",
        "1",
        _SKLEARN.format("f1_score") + "van Rijsbergen 1979",
        _f1,
    ),
    "mcc": Metric(
        "Matthews correlation",
        "correlation of predicted and true class; 0 for a constant answer, undefined without rows of both classes",
        "max",
        "1",
        _SKLEARN.format("matthews_corrcoef") + "Matthews 1975",
        _mcc,
    ),
}
"""Every metric that a policy may name for the quality of a binary model, but those of order and of cost."""


def with_zero_rule(totals: Totals, positive_rate: float) -> Totals:
    """Return totals with a constant model beside the measured ones.

    The zero-rule gives every row the training set's positive rate, and answers positive where that
    is at least one half; all it scores follows from the numbers of rows and of positive rows.

    Args:
        totals: with ``n``, ``n_pos`` and the challenger's statistics.
        positive_rate: in [0, 1].
    """
    n, positive = totals["n"], totals["n_pos"]
    rate, always = np.array([positive_rate]), positive_rate >= 0.5  # noqa: PLR2004 - one half
    losses = [round(float(log_losses(np.array([label]), rate)[0]) * FIXED_POINT) for label in (True, False)]
    squares = [round((label - positive_rate) ** 2 * FIXED_POINT) for label in (1, 0)]
    none = np.zeros_like(n)
    true_positive, false_positive, false_negative, true_negative = cells_of(totals, "challenger")
    return totals.with_statistics(
        {
            f"tp.{ZERO_RULE}": positive if always else none,
            f"fp.{ZERO_RULE}": n - positive if always else none,
            f"log_loss.{ZERO_RULE}": positive * losses[0] + (n - positive) * losses[1],
            f"brier.{ZERO_RULE}": positive * squares[0] + (n - positive) * squares[1],
            f"gained.{ZERO_RULE}": true_negative if always else true_positive,
            f"lost.{ZERO_RULE}": false_negative if always else false_positive,
        }
    )
