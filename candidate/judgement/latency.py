"""Quantiles of durations and their ratios, with intervals that know that calls of one round are alike.

Calls within a round share what the machine was doing; so the round is the unit. Order statistics
give the least width that any sample of calls can have, a jackknife over groups of rounds the width
that these rounds show, and the wider of the two is used.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Estimate
from candidate.judgement.intervals import Jackknife, jackknife, quantile_ranks

GROUPS = 32
"""Successive rounds are joined into about so many groups."""
NS_PER_MS = 1e6

Durations = NDArray[np.int64]


def _quantile(values: NDArray[np.float64], quantile: float) -> float:
    """Return the median-unbiased sample quantile (Hyndman and Fan 1996, definition 8)."""
    return float(np.quantile(values, quantile, method="median_unbiased")) if values.size else math.nan


def _log_quantiles(durations: Durations, quantile: float) -> tuple[float, NDArray[np.float64]]:
    """Return the log quantile of all calls, and of all but each group of successive rounds."""
    values = durations.astype(np.float64)
    rounds = np.array_split(np.arange(len(values)), max(1, min(GROUPS, len(values))))
    kept = [_quantile(np.delete(values, group, axis=0), quantile) for group in rounds]
    with np.errstate(divide="ignore", invalid="ignore"):  # a clock that stood still gives -inf, then NaN
        return float(np.log(_quantile(values, quantile))), np.log(np.array(kept))


def _jackknifed(total: float, kept: NDArray[np.float64]) -> Jackknife | None:
    with np.errstate(invalid="ignore"):
        log = jackknife(kept, total, np.ones(len(kept), dtype=np.bool_))
    return log if math.isfinite(log.value) and math.isfinite(log.se) else None


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):  # a bound beyond all numbers is infinite, and then no bound
        return float(np.exp(value))


@dataclass(frozen=True)
class QuantileInterval:
    """A quantile of durations in milliseconds.

    Attributes:
        ordered: all durations in milliseconds, ascending.
        quantile: which quantile.
        log: its logarithm with a jackknife over groups of rounds.
    """

    ordered: NDArray[np.float64]
    quantile: float
    log: Jackknife
    method: str = "wider of order statistics and a jackknife over rounds"

    @property
    def value(self) -> float:
        """The sample quantile."""
        return _exp(self.log.value)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound; NaN where there are too few calls for one."""
        rank = quantile_ranks(len(self.ordered), self.quantile, alpha)[0]
        return math.nan if rank is None else min(float(self.ordered[rank - 1]), _exp(self.log.lower(alpha)))

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound; NaN where there are too few calls for one."""
        rank = quantile_ranks(len(self.ordered), self.quantile, alpha)[1]
        return math.nan if rank is None else max(float(self.ordered[rank - 1]), _exp(self.log.upper(alpha)))

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the quantile is above the limit."""
        from scipy.special import bdtr

        within = int(np.searchsorted(self.ordered, limit, side="right"))
        by_order = float(bdtr(within, len(self.ordered), self.quantile))
        return max(by_order, self.log.above(math.log(limit)) if limit > 0 else 0.0)

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the quantile is below the limit."""
        from scipy.special import bdtrc

        less = int(np.searchsorted(self.ordered, limit, side="left"))
        by_order = 1.0 if less == 0 else float(bdtrc(less - 1, len(self.ordered), self.quantile))
        return max(by_order, self.log.below(math.log(limit)) if limit > 0 else 1.0)


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of two quantiles, from the jackknife of its logarithm.

    Attributes:
        log: log ratio with a jackknife over groups of rounds, both models of a round left out together.
    """

    log: Jackknife
    method: str = "paired jackknife over rounds of the log ratio"

    @property
    def value(self) -> float:
        """The ratio of the sample quantiles."""
        return _exp(self.log.value)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        return _exp(self.log.lower(alpha))

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        return _exp(self.log.upper(alpha))

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the ratio is above the limit."""
        return self.log.above(math.log(limit)) if limit > 0 else 0.0

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the ratio is below the limit."""
        return self.log.below(math.log(limit)) if limit > 0 else 1.0


def quantile_interval(durations: Durations, quantile: float) -> QuantileInterval | None:
    """Return a quantile in milliseconds; None if the durations have none (no calls, or not positive).

    Args:
        durations: nanoseconds, shape (rounds, calls).
        quantile: in (0, 1).
    """
    total, kept = _log_quantiles(durations, quantile)
    log = _jackknifed(total - math.log(NS_PER_MS), kept - math.log(NS_PER_MS))
    return None if log is None else QuantileInterval(np.sort(durations, axis=None) / NS_PER_MS, quantile, log)


def ratio_interval(challenger: Durations, champion: Durations, quantile: float) -> RatioInterval | None:
    """Return the ratio of two quantiles; None if it is not defined.

    Args:
        challenger: nanoseconds, shape (rounds, calls).
        champion: the same rounds.
        quantile: in (0, 1).
    """
    first, without_first = _log_quantiles(challenger, quantile)
    second, without_second = _log_quantiles(champion, quantile)
    with np.errstate(invalid="ignore"):
        log = _jackknifed(first - second, without_first - without_second)
    return None if log is None else RatioInterval(log)


def quantile_estimate(durations: Durations, quantile: float, alpha: float) -> Estimate:
    """Return a quantile of durations in milliseconds with one-sided bounds, each null where unknown.

    Args:
        durations: nanoseconds, positive, shape (rounds, calls), not empty.
        quantile: in (0, 1).
        alpha: one-sided error rate of each bound.
    """
    interval = quantile_interval(durations, quantile)
    if interval is None:
        value = _quantile(durations.astype(np.float64), quantile) / NS_PER_MS
        return _estimate(value, (math.nan, math.nan), durations, "ms", QuantileInterval.method)
    bounds = (interval.lower(alpha), interval.upper(alpha))
    return _estimate(interval.value, bounds, durations, "ms", interval.method)


def ratio_estimate(challenger: Durations, champion: Durations, quantile: float, alpha: float) -> Estimate | None:
    """Return the ratio of two quantiles, challenger over champion, with one-sided bounds.

    Null with fewer than two rounds, or where a clock stood still.

    Args:
        challenger: nanoseconds, shape (rounds, calls).
        champion: nanoseconds, the same rounds.
        quantile: in (0, 1).
        alpha: one-sided error rate of each bound.
    """
    interval = ratio_interval(challenger, champion, quantile)
    if interval is None:
        return None
    bounds = (interval.lower(alpha), interval.upper(alpha))
    return _estimate(interval.value, bounds, challenger, "1", interval.method)


def _estimate(value: float, bounds: tuple[float, float], durations: Durations, unit: str, method: str) -> Estimate:
    lower, upper = (bound if math.isfinite(bound) else None for bound in bounds)
    return Estimate(
        value=value,
        lower=lower,
        upper=upper,
        n=durations.size,
        units=len(durations),
        unit=unit,
        method=method,
    )
