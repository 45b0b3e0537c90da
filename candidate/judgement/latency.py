"""Quantiles of durations and their ratios, with bounds that no single round can run away with.

Calls within a round share what the machine was doing, so the round is the unit. A quantile is never
extrapolated: whether it is below a limit is asked of the *share of calls* below that limit, which is
bounded, and whose variance between rounds says how many independent calls the rounds are worth. The
bounds are therefore durations that were seen, or there are none. A ratio is asked the same way: with
the challenger's durations divided by it, both models must have as many calls in the tail, round by round.

Sources: Woodruff 1952, "Confidence intervals for medians and other position measures"; Francisco and
Fuller 1991, "Quantile estimation with a complex survey design" (test inversion); Korn and Graubard 1998
(exact binomial bounds with a design effect); docs/decisions/0017.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Estimate
from candidate.judgement.intervals import t_quantile, t_share_below

NS_PER_MS = 1e6
ALIKE_FROM = 0.7
"""Neighbouring rounds count as alike from so many times 2/√rounds of lag-1 correlation; below is chance."""
MOST_ALIKE = 0.95
LEAST_DF = 3.0
FARTHEST = 12.0
"""A log ratio beyond this is no bound."""
HALVINGS = 40
ITSELF = 0.005
"""One-sided error rate at which a model may be found to differ from itself by chance."""

Durations = NDArray[np.int64]


def _quantile(values: NDArray[np.float64], quantile: float) -> float:
    """Return the median-unbiased sample quantile (Hyndman and Fan 1996, definition 8)."""
    return float(np.quantile(values, quantile, method="median_unbiased")) if values.size else math.nan


def persistence(counts: NDArray[np.float64]) -> float:
    """Return the lag-1 correlation of a count by round, corrected for its bias in short series; 0 where it is chance.

    Source: Marriott and Pope 1954; Kendall 1954 (the bias of a serial correlation).
    """
    rounds = len(counts)
    away = counts - counts.mean()
    spread = float(away @ away)
    if spread == 0 or rounds <= LEAST_DF:
        return 0.0
    lag = (float(away[1:] @ away[:-1]) / spread * rounds + 1) / (rounds - LEAST_DF)
    return min(lag, MOST_ALIKE) if lag > ALIKE_FROM * 2 / math.sqrt(rounds) else 0.0


@dataclass(frozen=True)
class QuantileInterval:
    """A quantile of durations in milliseconds.

    Attributes:
        durations: milliseconds, shape (rounds, calls).
        quantile: which quantile.
    """

    durations: NDArray[np.float64]
    quantile: float
    method: str = "inverted binomial test of the share of calls, design effect over rounds"

    @cached_property
    def ordered(self) -> NDArray[np.float64]:
        """All durations, ascending."""
        return np.sort(self.durations, axis=None)

    @cached_property
    def value(self) -> float:
        """The sample quantile."""
        return _quantile(self.ordered, self.quantile)

    @cached_property
    def _persistence(self) -> float:
        """How alike neighbouring rounds are, seen where most calls are."""
        median = _quantile(self.ordered, 0.5)
        return persistence((self.durations <= median).sum(axis=1).astype(np.float64))

    @cached_property
    def df(self) -> float:
        """Degrees of freedom: the independent rounds that these rounds are worth, less one."""
        alike = self._persistence
        return max(LEAST_DF, len(self.durations) * (1 - alike) / (1 + alike) - 1)

    def effect(self, within: NDArray[np.bool_]) -> float:
        """Return how many calls are worth one independent call, at least 1.

        Args:
            within: which calls are counted, shape (rounds, calls).
        """
        counts = within.sum(axis=1).astype(np.float64)
        share, calls = float(counts.mean()) / within.shape[1], within.shape[1]
        binomial = calls * share * (1 - share)
        if binomial <= 0 or len(counts) <= 1:
            return 1.0
        shared = max(0.0, float(counts.var(ddof=1)) - binomial)
        return float(1 + shared * (1 + self._persistence) / (1 - self._persistence) / binomial)

    def _student(self, share: float) -> float:
        """Return a binomial tail as if its normal score had been Student's: the design effect was estimated."""
        from scipy.special import ndtri

        return t_share_below(float(ndtri(share)), self.df)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the quantile is above the limit."""
        from scipy.special import betainc

        within = self.durations <= limit
        effect = self.effect(within)
        count, n = float(within.sum()) / effect, within.size / effect
        return self._student(1.0 if count >= n else float(betainc(n - count, count + 1, 1 - self.quantile)))

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the quantile is below the limit."""
        from scipy.special import betainc

        within = self.durations < limit
        effect = self.effect(within)
        count, n = float(within.sum()) / effect, within.size / effect
        return self._student(1.0 if count <= 0 else float(betainc(count, n - count + 1, self.quantile)))

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound, a duration that was seen; NaN where there are too few calls for one."""
        ordered = self.ordered
        rank = _last(lambda rank: self.above(np.nextafter(ordered[rank - 1], -1)) <= alpha, self._middle)
        return float(ordered[rank - 1]) if rank else math.nan

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound, a duration that was seen; NaN where there are too few calls for one."""
        ordered = self.ordered
        n = len(ordered)
        back = _last(lambda back: self.below(np.nextafter(ordered[n - back], math.inf)) <= alpha, n - self._middle + 1)
        return float(ordered[n - back]) if back else math.nan

    @property
    def _middle(self) -> int:
        """The rank of the sample quantile."""
        return min(len(self.ordered), int(self.quantile * len(self.ordered)) + 1)


def _last(holds: Callable[[int], bool], most: int) -> int:
    """Return the last of 1 .. most up to which it holds, 0 for none, by bisection."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of two quantiles, challenger over champion, measured in the same rounds.

    Attributes:
        challenger: positive, shape (rounds, calls).
        champion: the same rounds.
        quantile: which quantile.
    """

    challenger: NDArray[np.float64]
    champion: NDArray[np.float64]
    quantile: float
    method: str = "inverted paired test of the calls in the tail, round by round, Student's t"

    @cached_property
    def value(self) -> float:
        """The ratio of the sample quantiles."""
        return _quantile(self.challenger, self.quantile) / _quantile(self.champion, self.quantile)

    def _statistic(self, log_ratio: float) -> float:
        """Return how far the challenger, scaled by a ratio, has more calls in the tail, in standard errors.

        The variance is that between rounds of the difference, never less than that of independent calls.
        """
        challenger = self.challenger / math.exp(log_ratio)
        tail = _quantile(np.concatenate([challenger, self.champion], axis=None), self.quantile)
        first, second = (challenger > tail).sum(axis=1), (self.champion > tail).sum(axis=1)
        excess = (first - second).astype(np.float64)
        share = float((first + second).sum()) / (2 * challenger.size)
        least = 2 * challenger.size * share * (1 - share)
        alike = persistence(excess)
        variance = max(least, len(excess) * float(excess.var(ddof=1)) * (1 + alike) / (1 - alike))
        return float(excess.sum()) / math.sqrt(variance) if variance > 0 else 0.0

    @property
    def _df(self) -> int:
        return len(self.challenger) - 1

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound; NaN where there is none."""
        critical = t_quantile(1 - alpha, self._df)
        return _crossing(lambda log: self._statistic(log) > critical, -FARTHEST, FARTHEST)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound; NaN where there is none."""
        critical = t_quantile(1 - alpha, self._df)
        return _crossing(lambda log: self._statistic(log) < -critical, FARTHEST, -FARTHEST)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the ratio is above the limit."""
        return t_share_below(-self._statistic(math.log(limit)), self._df) if limit > 0 else 0.0

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the ratio is below the limit."""
        return t_share_below(self._statistic(math.log(limit)), self._df) if limit > 0 else 1.0


def _crossing(excluded: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return the ratio at the border of what is excluded, from the outside; NaN if nothing is."""
    if not excluded(outside):
        return math.nan
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excluded(middle) else (outside, middle)
    return math.exp(outside)


def quantile_interval(durations: Durations, quantile: float) -> QuantileInterval | None:
    """Return a quantile in milliseconds; None if the durations have none (no two rounds, or not positive).

    Args:
        durations: nanoseconds, shape (rounds, calls).
        quantile: in (0, 1).
    """
    if len(durations) <= 1 or not durations.size or durations.min() <= 0:
        return None
    return QuantileInterval(durations / NS_PER_MS, quantile)


def ratio_interval(challenger: Durations, champion: Durations, quantile: float) -> RatioInterval | None:
    """Return the ratio of two quantiles; None if it is not defined.

    Args:
        challenger: nanoseconds, shape (rounds, calls).
        champion: the same rounds.
        quantile: in (0, 1).
    """
    if len(challenger) <= 1 or not challenger.size or min(challenger.min(), champion.min()) <= 0:
        return None
    return RatioInterval(challenger.astype(np.float64), champion.astype(np.float64), quantile)


def differs_from_itself(durations: Durations, quantile: float) -> bool:
    """Return whether even and odd rounds of one model disagree on a quantile: then the machine is too noisy to tell.

    Args:
        durations: nanoseconds, shape (rounds, calls).
        quantile: in (0, 1).
    """
    half = len(durations) // 2
    halves = ratio_interval(durations[0 : 2 * half : 2], durations[1 : 2 * half : 2], quantile)
    return halves is not None and bool(halves.lower(ITSELF) > 1 or halves.upper(ITSELF) < 1)


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
