"""Calibration: how far predicted probabilities are from observed frequencies.

The plug-in calibration error of finite bins is never zero, not even for a perfect model, so a limit
on it refuses good models. Here the noise that each bin must have is subtracted from its squared
difference, and the limit is held against bounds of the squared quantity.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Estimate
from candidate.documents.evidence import ModelRole, StateAxes
from candidate.judgement.intervals import MIN_UNITS, Jackknife, jackknife
from candidate.judgement.state import FIXED_POINT, WEIGHT_STEP, State


def debiased_square(bins: NDArray[np.int64] | NDArray[np.float64], grain: float = 1.0) -> NDArray[np.float64]:
    """Return the squared calibration error, the noise of finite bins taken out; may be below 0.

    ``sum_b n_b/n [(p_b - y_b)^2 - y_b (1 - y_b) / (n_b - 1)]`` over the bins with at least two rows.

    Args:
        bins: shape (..., bins, 4), the last axis as ``BIN_STATISTICS``.
        grain: how much weight tells as much as one row; 1 where rows have no weights.

    Source: Kumar, Liang and Ma 2019, "Verified uncertainty calibration".
    """
    n = bins[..., 0] / grain
    used = n > 1
    rows = np.where(used, n, 2.0)
    predicted = bins[..., 1] / (FIXED_POINT * grain) / rows
    observed = bins[..., 2] / grain / rows
    squares = (predicted - observed) ** 2 - observed * (1 - observed) / (rows - 1)
    weights = np.where(used, n, 0.0)
    total = weights.sum(axis=-1)
    result = np.full(total.shape, np.nan)
    np.divide((weights * squares).sum(axis=-1), total, out=result, where=total > 0)
    return result


def _root(square: float) -> float:
    """Return the root of a squared error; what is below zero is none."""
    return math.sqrt(max(square, 0.0)) if math.isfinite(square) else math.nan


@dataclass(frozen=True)
class RootInterval:
    """A root-mean-square error, by an interval of its square.

    Attributes:
        square: the squared error with its jackknife; may be below 0.
    """

    square: Jackknife
    method: str = "debiased L2 over equal-width bins, delete-a-bucket jackknife of the square"

    @property
    def value(self) -> float:
        """The root of the squared error, or 0."""
        return _root(self.square.value)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        return _root(self.square.lower(alpha))

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        return _root(self.square.upper(alpha))

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below a limit >= 0."""
        return self.square.below(limit**2)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above a limit >= 0."""
        return self.square.above(limit**2)


@dataclass(frozen=True)
class Magnitude:
    """The size of a difference that may go either way, by the interval of the difference.

    Attributes:
        difference: with its jackknife.
    """

    difference: Jackknife
    method: str = "size of a difference, delete-a-bucket jackknife, Student's t"

    @property
    def value(self) -> float:
        """The size."""
        return abs(self.difference.value)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound; either side may be the one, so each has half of the error."""
        return max(self.difference.lower(alpha / 2), -self.difference.upper(alpha / 2), 0.0)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound: both sides must be within it (two one-sided tests, Schuirmann 1987)."""
        return max(self.difference.upper(alpha), -self.difference.lower(alpha))

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the size is below a limit."""
        return max(self.difference.below(limit), self.difference.above(-limit))

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the size is above a limit, by Bonferroni over the two sides."""
        return min(1.0, 2 * min(self.difference.above(limit), self.difference.below(-limit)))


@dataclass(frozen=True)
class Calibration:
    """The calibration error of one model over some rows.

    Attributes:
        interval: null where the error is undefined.
        in_the_large: difference of mean prediction and mean outcome; null where it is undefined.
        rows: rows that were counted.
        units: buckets of units that have rows.
    """

    interval: RootInterval | None
    in_the_large: Magnitude | None
    rows: int
    units: int


def _in_the_large(bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean score less the mean outcome, over all bins."""
    summed = bins.sum(axis=-2)
    rows = summed[..., 0].astype(np.float64)
    apart = np.full(rows.shape, np.nan)
    np.divide(summed[..., 1] / FIXED_POINT - summed[..., 2], rows, out=apart, where=rows > 0)
    return apart


def calibration_of(state: State, axes: StateAxes, model: ModelRole, panel: int = 0, curve: int = 0) -> Calibration:
    """Return the calibration error of a model with its interval.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
        model: whose scores.
        panel: 0 for all rows, else 1 + the position of the slice in ``axes.calibrated``.
        curve: position of the class; 0 where the answer is yes or no.
    """
    index = 0 if panel == 0 else axes.calibrated[panel - 1]
    totals = state.totals(index, axes.statistics)
    # Where rows have weights, scores are summed times the weight, rows in steps of it: one unit for both.
    step = WEIGHT_STEP if axes.weighted else 1
    bins = state.bins[panel, curve, :, axes.models.index(model)] / np.array([step, 1, step, 1])
    occupied = bins[:, :, 0].sum(axis=1) > 0
    total, grain = bins.sum(axis=0), totals.grain
    square = jackknife(debiased_square(total - bins, grain), float(debiased_square(total, grain)), occupied)
    large = jackknife(_in_the_large(total - bins), float(_in_the_large(total)), occupied)
    whole = bool((bins >= 0).all())
    return Calibration(
        RootInterval(square) if whole and math.isfinite(square.value) else None,
        Magnitude(large) if whole and math.isfinite(large.value) else None,
        int(totals.rows.sum()),
        int(occupied.sum()),
    )


def calibration_estimate(
    state: State, axes: StateAxes, model: ModelRole, alpha: float, curve: int = 0
) -> Estimate | None:
    """Return the root-mean-square calibration error of a model over all rows.

    Bounds are null with fewer than ``MIN_UNITS`` buckets of units; the whole is null if undefined.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
        model: whose scores.
        alpha: one-sided error rate of each bound.
        curve: position of the class; 0 where the answer is yes or no.
    """
    found = calibration_of(state, axes, model, curve=curve)
    if found.interval is None:
        return None
    bounds = (found.interval.lower(alpha), found.interval.upper(alpha))
    known = found.units >= MIN_UNITS and all(map(math.isfinite, bounds))
    return Estimate(
        value=found.interval.value,
        lower=bounds[0] if known else None,
        upper=bounds[1] if known else None,
        n=found.rows,
        units=found.units,
        unit="1",
        method=found.interval.method,
    )
