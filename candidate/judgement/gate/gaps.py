"""Fairness: how far rates of groups are apart, by intervals of every pair and never by max less min.

The largest difference of estimated rates grows with the number of groups, however equal they are.
Here the limit is held against the upper bound of each ordered pair (an intersection-union test, so
that none needs a correction), and is broken only if some pair's lower bound, corrected for their
number, is beyond it.

Source: Berger 1982; the interval of a difference of two shares is MOVER, Newcombe 1998 (method 10)
and Zou and Donner 2008, here with Clopper-Pearson's bounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from candidate.documents.evidence import SliceKey
from candidate.judgement.catalogue import RATES
from candidate.judgement.gate.measures import Measure, level
from candidate.judgement.intervals import Share, ShareGap, design_effect, jackknife
from candidate.judgement.metrics import Metric
from candidate.judgement.state import Totals

RATES_OF = {
    "demographic_parity_gap": ("selection_rate",),
    "equal_opportunity_gap": ("true_positive_rate",),
    "equalized_odds_gap": ("true_positive_rate", "false_positive_rate"),
}
"""Which rates of the groups each gap is about."""
LABELS = {
    "demographic_parity_gap": "demographic parity gap",
    "equal_opportunity_gap": "equal opportunity gap",
    "equalized_odds_gap": "equalized odds gap",
}

Group = tuple[SliceKey, Totals]


@dataclass(frozen=True)
class LargestGap:
    """The largest of many differences, each known by its own interval.

    Attributes:
        gaps: not empty; both orders of every pair are among them.
    """

    gaps: Sequence[ShareGap]
    method: str = "largest over ordered pairs of groups, each by MOVER of Clopper-Pearson bounds"

    @property
    def value(self) -> float:
        """The largest difference of estimates; larger than the truth wherever groups are many and small."""
        return max(gap.value for gap in self.gaps)

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower bound: the largest, corrected for the number of pairs."""
        return max(gap.lower(alpha / len(self.gaps)) for gap in self.gaps)

    def upper(self, alpha: float) -> float:
        """Return the one-sided upper bound: no pair is further apart."""
        return max(gap.upper(alpha) for gap in self.gaps)

    def below(self, limit: float) -> float:
        """Return the p-value of the claim that every difference is below the limit."""
        return max(gap.below(limit) for gap in self.gaps)

    def above(self, limit: float) -> float:
        """Return the p-value of the claim that some difference is above the limit, by Bonferroni."""
        return min(1.0, len(self.gaps) * min(gap.above(limit) for gap in self.gaps))


def _pair(metric: Metric, first: Totals, second: Totals) -> ShareGap | str:
    """Return the difference of a rate in two groups, or why none can be claimed."""
    shares = []
    for totals in (first, second):
        measure = level(totals, metric, "challenger")
        if not isinstance(measure.claimable, Share):
            return measure.reason
        shares.append(measure.claimable)
    # A unit may have rows in both groups: then the difference moves less, or more, than two strangers' would.
    without = [metric.of(totals.without_each(), "challenger") for totals in (first, second)]
    occupied = (first["n"] > 0) | (second["n"] > 0)
    joint = jackknife(without[0] - without[1], shares[0].value - shares[1].value, occupied)
    apart = sum(share.value * (1 - share.value) / share.n for share in shares)
    effect = design_effect(joint, apart)
    one, other = (replace(share, deff=max(share.deff, effect)) for share in shares)
    return ShareGap(one, other)


def _pairs(metric: str, groups: Sequence[Group]) -> Iterator[tuple[str, ShareGap | str]]:
    """Return every ordered pair of groups and what separates them, with its name."""
    for rate in RATES_OF[metric]:
        for (one, first), (other, second) in permutations(groups, 2):
            yield f"{RATES[rate].label} of {one.name} over {other.name}", _pair(RATES[rate], first, second)


def gap(metric: str, groups: Sequence[Group]) -> tuple[Measure, str]:
    """Return how far the challenger's rates in groups are apart, and what is not known of it.

    Args:
        metric: one of ``RATES_OF``.
        groups: slices with rows and their totals by bucket.

    Returns:
        The measure over all pairs that can be claimed of; and, if there are others, the first of
        them with its reason: then the limit may be proven broken, but not kept.
    """
    label, rows = LABELS[metric], sum(int(totals["n"].sum()) for _, totals in groups)
    units = min((int((totals["n"] > 0).sum()) for _, totals in groups), default=0)
    pairs = list(_pairs(metric, groups))
    unknown = next((f"{name}: {found}" for name, found in pairs if isinstance(found, str)), "")
    known = {name: found for name, found in pairs if isinstance(found, ShareGap)}
    if not known:
        return Measure(label, "1", rows, units, None, unknown or "no two groups have rows"), unknown
    widest = max(known, key=lambda name: known[name].value)
    return Measure(f"{label} ({widest})", "1", rows, units, LargestGap(tuple(known.values()))), unknown
