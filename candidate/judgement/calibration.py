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
from candidate.judgement.state import FIXED_POINT, State


def debiased_square(bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the squared calibration error, the noise of finite bins taken out; may be below 0.

    ``sum_b n_b/n [(p_b - y_b)^2 - y_b (1 - y_b) / (n_b - 1)]`` over the bins with at least two rows.

    Args:
        bins: shape (..., bins, 4), the last axis as ``BIN_STATISTICS``.

    Source: Kumar, Liang and Ma 2019, "Verified uncertainty calibration".
    """
    n = bins[..., 0].astype(np.float64)
    used = n > 1
    rows = np.where(used, n, 2.0)
    predicted = bins[..., 1] / FIXED_POINT / rows
    observed = bins[..., 2] / rows
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
class Calibration:
    """The calibration error of one model over all rows.

    Attributes:
        interval: null where the error is undefined.
        rows: rows that were counted.
        units: buckets of units that have rows.
    """

    interval: RootInterval | None
    rows: int
    units: int


def calibration_of(state: State, axes: StateAxes, model: ModelRole) -> Calibration:
    """Return the calibration error of a model with its interval.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
        model: whose scores.
    """
    bins = state.bins[:, axes.models.index(model)]
    rows = bins[:, :, 0].sum(axis=1)
    occupied = rows > 0
    total = bins.sum(axis=0)
    square = jackknife(debiased_square(total - bins), float(debiased_square(total)), occupied)
    defined = math.isfinite(square.value) and bool((bins >= 0).all())
    return Calibration(RootInterval(square) if defined else None, int(rows.sum()), int(occupied.sum()))


def calibration_estimate(state: State, axes: StateAxes, model: ModelRole, alpha: float) -> Estimate | None:
    """Return the root-mean-square calibration error of a model over all rows.

    Bounds are null with fewer than ``MIN_UNITS`` buckets of units; the whole is null if undefined.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
        model: whose scores.
        alpha: one-sided error rate of each bound.
    """
    found = calibration_of(state, axes, model)
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
