"""Intervals and the p-values that belong to them, each pair from one test, so that they agree.

Every interval answers the same questions: a lower and an upper one-sided confidence bound, and how
unlikely the data are if the truth is on the other side of a limit. NaN means that it cannot say.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

MIN_UNITS = 20
"""With fewer independent groups of rows no claim is made: an interval would be trusted too much."""
_LEAST_POWER = -300.0
"""No p-value is said to be less than ten to this power."""
_BISECTIONS = 40
"""Halvings of an interval of length at most 2: the bound is then exact to 2e-12, on the safe side."""


def t_quantile(probability: float, df: float | None) -> float:
    """Return a quantile of Student's t, or of the normal distribution where df is None."""
    from scipy.special import ndtri, stdtrit

    return float(ndtri(probability) if df is None else stdtrit(df, probability))


def t_share_below(value: float, df: float | None) -> float:
    """Return the probability that Student's t (or a standard normal) is at most the value."""
    from scipy.special import ndtr, stdtr

    return float(ndtr(value) if df is None else stdtr(df, value))


class Interval(Protocol):
    """A measured value with its uncertainty."""

    @property
    def value(self) -> float:
        """The point estimate."""

    @property
    def method(self) -> str:
        """How the bounds were made, in a few words."""

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound: the truth is below it with probability <= alpha."""

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below the limit."""

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above the limit."""


@dataclass(frozen=True)
class Jackknife:
    """An estimate with a delete-a-group jackknife standard error and Student's t.

    Attributes:
        value: the statistic of all rows.
        se: standard error; NaN where there are fewer than two groups or a statistic is undefined.
        df: degrees of freedom, the number of groups less one.

    Source: Efron and Tibshirani 1993, chapter 11; Kott 2001, "The delete-a-group jackknife".
    """

    value: float
    se: float
    df: int
    method: str = "delete-a-bucket jackknife, Student's t"

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        return self.value - t_quantile(1 - alpha, self.df) * self.se

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        return self.value + t_quantile(1 - alpha, self.df) * self.se

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below the limit."""
        if self.se == 0:
            return 0.0 if self.value < limit else 1.0
        return t_share_below((self.value - limit) / self.se, self.df)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above the limit."""
        if self.se == 0:
            return 0.0 if self.value > limit else 1.0
        return t_share_below((limit - self.value) / self.se, self.df)


def jackknife(values_without_each_bucket: NDArray[np.float64], total: float, occupied: NDArray[np.bool_]) -> Jackknife:
    """Return the delete-a-bucket jackknife of any statistic.

    Args:
        values_without_each_bucket: shape (buckets,): the statistic of all rows but those of one bucket.
        total: the statistic of all rows.
        occupied: shape (buckets,): which buckets have rows; the others are not groups.
    """
    values = values_without_each_bucket[occupied]
    groups = len(values)
    if groups < 2:  # noqa: PLR2004 - one group has no spread
        return Jackknife(total, math.nan, 0)
    spread = float(np.sum((values - values.mean()) ** 2))
    return Jackknife(total, math.sqrt((groups - 1) / groups * spread), groups - 1)


def tango_statistic(gained: float, lost: float, n: float, difference: float) -> float:
    """Return Tango's score statistic of a paired difference of proportions; falls in the difference.

    Args:
        gained: pairs in which only the first succeeds.
        lost: pairs in which only the second succeeds.
        n: all pairs.
        difference: the hypothesised difference of the first's and the second's proportion.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", Statistics in Medicine 17; closed form of the constrained
    maximum-likelihood estimate.
    """
    a = 2.0 * n
    b = -gained - lost + (2.0 * n - gained + lost) * difference
    c = -lost * difference * (1.0 - difference)
    only_second = (math.sqrt(max(b * b - 4.0 * a * c, 0.0)) - b) / (2.0 * a)
    variance = n * (2.0 * only_second + difference * (1.0 - difference))
    excess = gained - lost - n * difference
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


@dataclass(frozen=True)
class PairedShare:
    """The difference of two proportions on the same rows, with Tango's score interval.

    A Wald interval is degenerate where no pair differs and then claims far too much; a score
    interval is not. Rows of one unit are not independent: counts and rows are divided by the
    design effect, and Student's t replaces the normal quantile because that effect was estimated.

    Attributes:
        gained: rows that only the challenger gets right; where rows have weights, their share of the weight times n.
        lost: rows that only the comparator gets right.
        n: rows.
        deff: design effect, at least 1.
        df: groups of units less one; None for the normal quantile.
    """

    gained: float
    lost: float
    n: float
    deff: float = 1.0
    df: int | None = None
    method: str = "Tango's score interval, design effect by jackknife"

    @property
    def value(self) -> float:
        """The share gained less the share lost."""
        return (self.gained - self.lost) / self.n

    def _statistic(self, difference: float) -> float:
        return tango_statistic(self.gained / self.deff, self.lost / self.deff, self.n / self.deff, difference)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        critical = t_quantile(1 - alpha, self.df)
        return _bisect(lambda difference: self._statistic(difference) > critical, -1.0, self.value)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        critical = t_quantile(1 - alpha, self.df)
        return _bisect(lambda difference: self._statistic(difference) < -critical, 1.0, self.value)

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below the limit."""
        return t_share_below(self._statistic(limit), self.df)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above the limit."""
        return t_share_below(-self._statistic(limit), self.df)


def _bisect(excluded: Callable[[float], bool], outside: float, inside: float) -> float:
    """Return the border between what a test excludes and what it does not, from the outside."""
    for _ in range(_BISECTIONS):
        middle = (outside + inside) / 2
        if excluded(middle):
            outside = middle
        else:
            inside = middle
    return outside


@dataclass(frozen=True)
class Share:
    """A proportion with the exact bounds of Clopper and Pearson.

    Attributes:
        count: rows that have the property; where rows have weights, their share of the weight times n.
        n: rows, more than none.
        deff: design effect, at least 1, that both are divided by.

    Source: Clopper and Pearson 1934; in survey form, Korn and Graubard 1998.
    """

    count: float
    n: float
    deff: float = 1.0
    method: str = "Clopper-Pearson, design effect by jackknife"

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.n

    @property
    def _effective(self) -> tuple[float, float]:
        return self.count / self.deff, self.n / self.deff

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        from scipy.special import betaincinv

        count, n = self._effective
        return 0.0 if count == 0 else float(betaincinv(count, n - count + 1, alpha))

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        from scipy.special import betaincinv

        count, n = self._effective
        return 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - alpha))

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below the limit."""
        from scipy.special import betainc

        count, n = self._effective
        return 1.0 if count == n or limit <= 0 else 1.0 - float(betainc(count + 1, n - count, min(limit, 1.0)))

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above the limit."""
        from scipy.special import betainc

        count, n = self._effective
        return 1.0 if count == 0 or limit >= 1 else float(betainc(count, n - count + 1, max(limit, 0.0)))


@dataclass(frozen=True)
class ShareGap:
    """The difference of two shares of different rows, from the bounds of each (MOVER).

    Attributes:
        first: of the rows of one group.
        second: of the rows of the other.

    Source: Newcombe 1998, method 10; Zou and Donner 2008.
    """

    first: Share
    second: Share
    method: str = "MOVER of Clopper-Pearson bounds, design effect by jackknife"

    @property
    def value(self) -> float:
        """The first share less the second."""
        return self.first.value - self.second.value

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound."""
        below = max(self.first.value - self.first.lower(alpha), 0.0)
        above = max(self.second.upper(alpha) - self.second.value, 0.0)
        return self.value - math.hypot(below, above)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound."""
        return -ShareGap(self.second, self.first).lower(alpha)

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is below the limit."""
        return ShareGap(self.second, self.first).above(-limit)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that the truth is above the limit: 1 unless it is below one half."""
        if not self.lower(0.5) > limit:
            return 1.0
        # The level at which the lower bound leaves the limit, in powers of ten, from the side that claims.
        return math.pow(10.0, _bisect(lambda power: self.lower(10.0**power) > limit, math.log10(0.5), _LEAST_POWER))


def design_effect(clustered: Jackknife, variance: float) -> float:
    """Return how much wider clusters make the variance than independent rows would, at least 1.

    Args:
        clustered: jackknife over buckets of units.
        variance: of the same estimate, were its rows independent; 0 says nothing, hence 1.
    """
    if variance <= 0 or not math.isfinite(clustered.se):
        return 1.0
    return max(1.0, clustered.se**2 / variance)


def quantile_ranks(n: int, quantile: float, alpha: float) -> tuple[int | None, int | None]:
    """Return the ranks (from 1) of the order statistics that bound a quantile, each one-sided.

    None where n observations are too few for that bound: 299 are needed for an upper 95 % bound of
    a 99th percentile.

    Source: the sign test, Conover 1999, chapter 3; the same as SciPy's ``quantile_test``.
    """
    from scipy.special import bdtr

    def first(holds: Callable[[int], bool]) -> int:
        low, high = 0, n + 1  # it holds from some rank on, at the latest from n + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return high

    upper = first(lambda rank: bool(bdtr(rank - 1, n, quantile) >= 1 - alpha))
    lower = first(lambda rank: bool(bdtr(rank - 1, n, quantile) > alpha)) - 1
    return lower or None, upper if upper <= n else None
