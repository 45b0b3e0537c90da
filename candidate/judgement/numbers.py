"""The metrics of a regression, each a function of sums of losses."""

import numpy as np

from candidate.documents.policy import NumberMetric
from candidate.judgement.metrics import Floats, Formula, Metric, mean_of, ratio_of
from candidate.judgement.state import LOSS_CAP, Totals


def _root(of: Formula) -> Formula:
    return lambda totals, model: np.sqrt(of(totals, model))


def _r2(totals: Totals, model: str) -> Floats:
    """Return 1 less the squared errors over those of the mean label; undefined where all labels are one."""
    unit = mean_of("squared_error")(totals, model)
    # The label's own sums have no model: their means are over the same rows, in the same fixed point.
    squares, mean = (mean_of(name)(_nobody(totals), "") for name in ("y2", "y"))
    spread = squares - mean * mean
    return 1.0 - ratio_of(unit, np.where(spread > np.finfo(np.float64).eps * np.abs(squares), spread, 0.0))


def _nobody(totals: Totals) -> Totals:
    """Return totals in which the label's sums are named as a model's are, the model being nobody."""
    return Totals(tuple(f"{name}." if name in {"y", "y2"} else name for name in totals.names), totals.values)


def number_metrics(scale: float, quantile: float | None) -> dict[NumberMetric, Metric]:
    """Return every metric that a policy may name for the quality of a regression.

    Args:
        scale: unit that absolute errors were summed in.
        quantile: of the pinball loss; without it there is none.
    """
    capped = f"a row's error counts for at most {LOSS_CAP:g} (squared) of the policy's scale"
    found: dict[NumberMetric, Metric] = {
        "mae": Metric(
            "mean absolute error",
            f"mean size of the difference of prediction and truth; {capped}",
            "min",
            "label units",
            "scikit-learn mean_absolute_error",
            mean_of("abs_error", scale),
            of_scores=True,
            cut="cut",
        ),
        "mse": Metric(
            "mean squared error",
            f"mean squared difference of prediction and truth; {capped}",
            "min",
            "label units²",
            "scikit-learn mean_squared_error",
            mean_of("squared_error", scale**2),
            of_scores=True,
            cut="cut",
        ),
        "rmse": Metric(
            "root mean squared error",
            f"root of the mean squared difference of prediction and truth; {capped}",
            "min",
            "label units",
            "scikit-learn root_mean_squared_error",
            _root(mean_of("squared_error", scale**2)),
            of_scores=True,
            cut="cut",
        ),
        "r2": Metric(
            "R²",
            "1 less the mean squared error over the variance of the label in the same rows; undefined where all "
            "labels are one",
            "max",
            "1",
            "scikit-learn r2_score",
            _r2,
            of_scores=True,
            cut="cut",
        ),
        "mape": Metric(
            "mean absolute percentage error",
            "mean size of the difference of prediction and truth over the size of the truth (1 is 100 %)",
            "min",
            "1",
            "scikit-learn mean_absolute_percentage_error",
            mean_of("percent_error"),
            of_scores=True,
            cut="cut_percent",
        ),
        "smape": Metric(
            "symmetric mean absolute percentage error",
            "mean of twice the size of the difference over the sizes of prediction and truth together, 0 to 2; "
            "0 where both are 0",
            "min",
            "1",
            "Makridakis 1993",
            mean_of("symmetric_error"),
            of_scores=True,
        ),
    }
    if quantile is not None:
        found["pinball"] = Metric(
            f"pinball loss at {quantile:g}",
            f"mean of the difference of truth and prediction, times {quantile:g} where the truth is larger and "
            f"{1 - quantile:g} where it is smaller; {capped}",
            "min",
            "label units",
            "scikit-learn mean_pinball_loss; Koenker and Bassett 1978",
            mean_of("pinball", scale),
            of_scores=True,
            cut="cut",
        )
    return found
