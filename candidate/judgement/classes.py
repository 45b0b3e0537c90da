"""The metrics of a task of several classes, and its zero-rule."""

from collections.abc import Callable, Sequence

import numpy as np

from candidate.documents.policy import ClassMetric, SharedMetric
from candidate.judgement.metrics import METRICS, Counts, Floats, Formula, Metric, mean_of, ratio_of
from candidate.judgement.state import FIXED_POINT, WEIGHT_STEP, ZERO_RULE, Totals
from candidate.judgement.state.multiclass import class_losses

Margins = tuple[Floats, Floats, Floats]
"""Per class along the last axis: rows of it, rows answered by it, and rows that are both."""


def margins_of(totals: Totals, model: str) -> Margins:
    """Return rows of each class, rows answered by it, and rightly so, each of shape (..., classes)."""
    classes = totals.classes
    label = totals.stacked("n", "", classes)
    answered, right = (totals.stacked(kind, f".{model}", classes) for kind in ("answered", "tp"))
    return label.astype(np.float64), answered.astype(np.float64), right.astype(np.float64)


def _shared(above: Floats, below: Floats) -> Floats:
    """Divide; what is divided by nothing is 0, as a class that is never answered is never found."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def _precisions(found: Margins) -> Floats:
    _, answered, right = found
    return _shared(right, answered)


def _recalls(found: Margins) -> Floats:
    label, _, right = found
    return _shared(right, label)


def _f1s(found: Margins) -> Floats:
    label, answered, right = found
    return _shared(2 * right, label + answered)


def _macro(each: Callable[[Margins], Floats]) -> Formula:
    """Return the mean over the classes that are, or are answered; NaN without any."""

    def formula(totals: Totals, model: str) -> Floats:
        found = margins_of(totals, model)
        present = (found[0] + found[1]) > 0
        return ratio_of(np.where(present, each(found), 0.0).sum(axis=-1), present.sum(axis=-1))

    return formula


def _weighted(each: Callable[[Margins], Floats]) -> Formula:
    """Return the mean over the classes by their numbers of rows; NaN without rows."""

    def formula(totals: Totals, model: str) -> Floats:
        found = margins_of(totals, model)
        return ratio_of((each(found) * found[0]).sum(axis=-1), found[0].sum(axis=-1))

    return formula


def _balanced_accuracy(totals: Totals, model: str) -> Floats:
    found = margins_of(totals, model)
    present = found[0] > 0
    return ratio_of(_recalls(found).sum(axis=-1), present.sum(axis=-1))


def _mcc(totals: Totals, model: str) -> Floats:
    label, answered, right = margins_of(totals, model)
    rows, hits = label.sum(axis=-1), right.sum(axis=-1)
    together = hits * rows - (label * answered).sum(axis=-1)
    spread = [rows**2 - (side**2).sum(axis=-1) for side in (label, answered)]
    value = ratio_of(together, np.sqrt(np.maximum(spread[0] * spread[1], 0)))
    # A constant answer carries no information about rows of several classes: the limit is 0.
    return np.where((spread[1] == 0) & (spread[0] > 0), 0.0, value)


def _average(label: str, what: str, reference: str, formula: Formula) -> Metric:
    return Metric(label, what, "max", "1", f"scikit-learn {reference}", formula)


_ALIKE = "mean over the classes that occur or are answered of {}, 0 where it divides by nothing"
_BY_ROWS = "mean over the classes, by their numbers of rows, of {}, 0 where it divides by nothing"
_PRECISION = "the share of the rows answered by the class that are of it"
_RECALL = "the share of the class's rows that are answered by it"
_F1 = "the harmonic mean of its precision and recall"

CLASS_METRICS: dict[SharedMetric | ClassMetric, Metric] = {
    "log_loss": METRICS["log_loss"],
    "brier": Metric(
        "Brier score",
        "mean over the rows of the sum over the classes of the squared difference of probability and outcome (0 to 2)",
        "min",
        "1",
        "scikit-learn brier_score_loss; Brier 1950",
        mean_of("brier"),
        of_scores=True,
    ),
    "error_rate": METRICS["error_rate"],
    "accuracy": METRICS["accuracy"],
    "balanced_accuracy": Metric(
        "balanced accuracy",
        f"mean over the classes that occur of {_RECALL}",
        "max",
        "1",
        "scikit-learn balanced_accuracy_score",
        _balanced_accuracy,
    ),
    "mcc": Metric(
        "Matthews correlation",
        "correlation of predicted and true class over all classes; 0 for a constant answer, undefined where all rows "
        "are of one class",
        "max",
        "1",
        "scikit-learn matthews_corrcoef; Gorodkin 2004",
        _mcc,
    ),
    "precision_macro": _average(
        "macro precision", _ALIKE.format(_PRECISION), "precision_score(average='macro')", _macro(_precisions)
    ),
    "recall_macro": _average("macro recall", _ALIKE.format(_RECALL), "recall_score(average='macro')", _macro(_recalls)),
    "f1_macro": _average("macro F1", _ALIKE.format(_F1), "f1_score(average='macro')", _macro(_f1s)),
    "precision_weighted": _average(
        "weighted precision", _BY_ROWS.format(_PRECISION), "precision_score(average='weighted')", _weighted(_precisions)
    ),
    "recall_weighted": _average(
        "weighted recall", _BY_ROWS.format(_RECALL), "recall_score(average='weighted')", _weighted(_recalls)
    ),
    "f1_weighted": _average("weighted F1", _BY_ROWS.format(_F1), "f1_score(average='weighted')", _weighted(_f1s)),
}
"""Every metric that a policy may name for the quality of a model of several classes."""


def with_class_zero_rule(totals: Totals, shares: Sequence[float]) -> Totals:
    """Return totals with a constant model beside the measured ones.

    The zero-rule gives every row the shares of the classes in the training set, and answers the
    commonest; all it scores follows from the numbers of rows of each class.

    Args:
        totals: with the numbers of rows of each class and the challenger's statistics.
        shares: one for each class, in their order.
    """
    classes, n = len(shares), totals["n"]
    label = totals.stacked("n", "", classes)
    commonest = int(np.argmax(shares))
    losses = class_losses(np.arange(classes), np.tile(np.asarray(shares, dtype=np.float64), (classes, 1)))
    step = WEIGHT_STEP if totals.weighted else 1
    more: dict[str, Counts] = {}
    for name, values in zip(("log_loss", "brier"), losses, strict=True):
        each = np.rint(values * FIXED_POINT)
        more[f"{name}.{ZERO_RULE}"] = np.rint((label / step * each).sum(axis=-1)).astype(np.int64)
    right = totals.stacked("tp", ".challenger", classes)
    for number in range(classes):
        says = number == commonest
        more[f"tp{number}.{ZERO_RULE}"] = label[..., number] if says else np.zeros_like(n)
        more[f"answered{number}.{ZERO_RULE}"] = n if says else np.zeros_like(n)
    more[f"gained.{ZERO_RULE}"] = right.sum(axis=-1) - right[..., commonest]
    more[f"lost.{ZERO_RULE}"] = label[..., commonest] - right[..., commonest]
    return totals.with_statistics(more)
