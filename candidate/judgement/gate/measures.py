"""What the State says of one metric in one slice, and whether a claim may rest on it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Estimate
from candidate.documents.evidence import ModelRole, StateAxes
from candidate.documents.policy import QualityMetric
from candidate.judgement.intervals import (
    MIN_UNITS,
    Interval,
    Jackknife,
    PairedShare,
    Share,
    design_effect,
    jackknife,
)
from candidate.judgement.metrics import METRICS, Metric, errors_of
from candidate.judgement.state import FIXED_POINT, LOSS_CAP, WEIGHT_STEP, State, Totals, pair_suffix
from candidate.judgement.state.layout import LOSS_STATISTICS

SIGNED = frozenset({"y", "sum_error"})
"""Sums that may be below zero, as sums of columns may."""
LARGEST = 2**53
"""Counts beyond this have no place in a JSON document, nor in any data we could have read."""


@dataclass(frozen=True)
class Measure:
    """A measured value and whether it may be held against a limit.

    Attributes:
        label: what was measured, as it is called in a sentence.
        unit: unit of measurement, ``1`` for a pure number.
        n: observations.
        units: groups of observations that are independent of each other.
        interval: null where the value is undefined.
        reason: why no claim may be made; empty if one may.
        counted: what the observations are.
        least: with fewer observations there is no bound at all.
    """

    label: str
    unit: str
    n: int
    units: int
    interval: Interval | None
    reason: str = ""
    counted: str = "rows"
    least: int = 0

    @property
    def claimable(self) -> Interval | None:
        """The interval, if a claim may rest on it."""
        return None if self.reason else self.interval

    def estimate(self, alpha: float) -> Estimate | None:
        """Return the value with its bounds; bounds are null where no claim may rest on them."""
        if self.interval is None or not math.isfinite(self.interval.value):
            return None
        bounds = (math.nan, math.nan)
        if not self.reason:
            bounds = (self.interval.lower(alpha), self.interval.upper(alpha))
        lower, upper = (bound if math.isfinite(bound) else None for bound in bounds)
        return Estimate(
            value=self.interval.value,
            lower=lower,
            upper=upper,
            n=self.n,
            units=self.units,
            unit=self.unit,
            method=self.interval.method,
        )


def too_few(units: int, what: str = "groups of units") -> str:
    """Return why so few groups allow no claim; empty if they are enough."""
    return "" if units >= MIN_UNITS else f"only {units} {what}, at least {MIN_UNITS} are needed for any claim"


def _largest(name: str, totals: Totals, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the most that a statistic can be in a bucket, whatever the rows were."""
    of = {each: values[..., position] for position, each in enumerate(totals.names)}
    n, kind = of["n"], name.partition(".")[0]
    # Losses and squares are times the weight itself, counts are times the weight in steps.
    weight = n / (WEIGHT_STEP if totals.weighted else 1)
    endless = np.full(n.shape, np.inf)
    loss = weight * FIXED_POINT
    most = {
        "w2": endless,
        "rows": endless,
        "brier": loss * (2 if totals.classes else 1),
        **dict.fromkeys(("log_loss", "y", "y2", *LOSS_STATISTICS), loss * LOSS_CAP),
        **dict.fromkeys(("cut", "cut_percent"), of["rows"] if totals.weighted else n),
        **{f"tp{number}": of[f"n{number}"] for number in range(totals.classes)},
    }
    if "n_pos" in of:
        most |= {"tp": of["n_pos"], "fp": n - of["n_pos"]}
    return endless if ":" in kind else most.get(kind, n)


def _contradictory(totals: Totals) -> bool:
    """Return whether counts cannot have come from rows, or are too large to be summed."""
    values = totals.values.astype(np.float64)
    largest = np.stack([_largest(name, totals, values) for name in totals.names], axis=-1)
    slack = FIXED_POINT * LOSS_CAP * totals.rows[..., np.newaxis] / WEIGHT_STEP if totals.weighted else 0.0
    signed = np.array([name.partition(".")[0] in SIGNED or ":" in name for name in totals.names])
    sizes = np.where(signed, np.abs(values), values)
    possible = ((sizes >= 0) & (sizes <= largest + slack)).all() and _histograms_agree(totals)
    return not possible or bool((sizes.sum(axis=0) >= 2.0**63).any()) or float(totals["n"].sum()) > LARGEST


def _histograms_agree(totals: Totals) -> bool:
    """Return whether the histograms, if there are any, count the rows that the counts count."""
    if totals.histograms is None:
        return True
    if (totals.histograms < 0).any():
        return False
    classes = np.stack([totals["n"] - totals["n_pos"], totals["n_pos"]], axis=-1)
    # In float64, which does not wrap: two sums that agree only after an overflow are no rows.
    summed = totals.histograms.sum(axis=-1, dtype=np.float64)
    return bool((summed == classes[:, np.newaxis, :].astype(np.float64)).all())


def no_numbers(totals: Totals) -> str:
    """Return why nothing can be said of these counts; empty if something can."""
    if _contradictory(totals):
        return "the counts contradict each other"
    return "" if totals["n"].any() else "no rows"


def _blank(metric: Metric, totals: Totals) -> Measure | None:
    """Return the measure of a slice of which nothing can be said, or None."""
    nothing = no_numbers(totals)
    return Measure(metric.label, metric.unit, 0, 0, None, nothing) if nothing else None


def _measure(metric: Metric, totals: Totals, clustered: Jackknife, interval: Interval, few: str) -> Measure:
    """Return a measure with the first reason that forbids a claim."""
    n, units = int(totals.rows.sum()), int((totals["n"] > 0).sum())
    if not math.isfinite(clustered.value):
        return Measure(metric.label, metric.unit, n, units, None, f"{metric.label} is undefined here (0/0)")
    reason = too_few(units) or few
    if not reason and not math.isfinite(clustered.se):
        reason = f"{metric.label} is undefined (0/0) as soon as one group of units is left out"
    return Measure(metric.label, metric.unit, n, units, interval, reason)


def _cut(metric: Metric, totals: Totals, *models: str) -> str:
    """Return why losses that were cut off at the cap allow no claim of these models; empty if none was."""
    rows = 0 if metric.cut is None else max(int(totals[f"{metric.cut}.{model}"].sum()) for model in models)
    if not rows:
        return ""
    cure = "hold another metric" if metric.cut == "cut_percent" else "give a larger [data] scale"
    return f"the losses of {rows:,} rows are beyond what is counted, {cure}"


def _few_differ(totals: Totals, metric: Metric, comparator: str, suffix: str) -> str:
    """Return why too few units differ for a claim; empty if enough do, or if the models are one.

    A spread estimated from a handful of units that differ is far too small, and without any it is
    zero; only models that agree in everything that was counted need no spread.
    """
    apart = np.zeros(totals["n"].shape, dtype=bool)
    for name in totals.names:
        kind, _, model = name.partition(".")
        if model == "challenger" and f"{kind}.{comparator}" in totals.names:
            apart |= totals[name] != totals[f"{kind}.{comparator}"]
    differs = apart
    if f"gained{suffix}" in totals.names:
        differs = (totals[f"gained{suffix}"] + totals[f"lost{suffix}"]) > 0
        apart = apart | differs
    if not apart.any():
        return ""
    count = int((apart if metric.of_scores else differs).sum())
    if count >= MIN_UNITS:
        return ""
    return f"the two differ in only {count} groups of units, at least {MIN_UNITS} are needed for any claim"


def gain(totals: Totals, metric: Metric | QualityMetric, comparator: str) -> Measure:
    """Return the challenger's gain over a comparator on the same rows; larger is better.

    Args:
        totals: by bucket, shape (buckets, statistics), with the comparator's statistics.
        metric: which metric, or the name of one of plain counts.
        comparator: ``champion``, ``heuristic``, ``human`` or ``zero_rule``.
    """
    metric = metric if isinstance(metric, Metric) else METRICS[metric]
    blank = _blank(metric, totals)
    if blank is not None:
        return blank

    def difference(of: Totals) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return metric.sign * (metric.of(of, "challenger") - metric.of(of, comparator))

    whole, occupied = totals.summed(), totals["n"] > 0
    clustered = jackknife(difference(totals.without_each()), float(difference(whole)), occupied)
    suffix = pair_suffix(comparator)
    if metric in (METRICS["accuracy"], METRICS["error_rate"]):
        rows, weight = int(whole.rows), int(whole["n"])
        gained, lost = (int(whole[f"{side}{suffix}"]) * rows / weight for side in ("gained", "lost"))
        independent = ((gained + lost) / rows - ((gained - lost) / rows) ** 2) / rows
        effect = max(design_effect(clustered, independent), totals.unevenness)
        score = PairedShare(gained, lost, rows, effect, max(clustered.df, 1))
        return _measure(metric, totals, clustered, score, "")
    few = _few_differ(totals, metric, comparator, suffix) or _cut(metric, totals, "challenger", comparator)
    return _measure(metric, totals, clustered, clustered, few)


def level(totals: Totals, metric: Metric | QualityMetric, model: str) -> Measure:
    """Return a metric of one model.

    Args:
        totals: by bucket, shape (buckets, statistics).
        metric: which metric, or the name of one of plain counts.
        model: ``challenger`` or ``champion``.
    """
    metric = metric if isinstance(metric, Metric) else METRICS[metric]
    blank = _blank(metric, totals)
    if blank is not None:
        return blank
    whole, occupied = totals.summed(), totals["n"] > 0
    clustered = jackknife(metric.of(totals.without_each(), model), float(metric.of(whole, model)), occupied)
    if metric.share is not None:
        count, n = (int(value) * int(whole.rows) / max(int(whole["n"]), 1) for value in metric.share(whole, model))
        share = count / max(n, 1)
        effect = max(design_effect(clustered, share * (1 - share) / max(n, 1)), totals.unevenness)
        return _measure(metric, totals, clustered, Share(count, n, effect), "")
    few = _cut(metric, totals, model)
    if not metric.of_scores:
        wrong = int((errors_of(totals, model)[0] > 0).sum())  # no metric of numbers comes here
        if wrong < MIN_UNITS:
            few = f"errors in only {wrong} groups of units, at least {MIN_UNITS} are needed for any claim"
    return _measure(metric, totals, clustered, clustered, few)


def estimate_metric(
    state: State, axes: StateAxes, metric: Metric | QualityMetric, slice_index: int, model: ModelRole, alpha: float
) -> Estimate | None:
    """Return a metric of one model in one slice; null where it is undefined.

    Args:
        state: counts of the rows.
        axes: what the State's axes mean.
        metric: which metric.
        slice_index: position of the slice in the axes; 0 is all rows.
        model: which model.
        alpha: one-sided error rate of each bound; bounds are null where too few units were seen.
    """
    return level(state.totals(slice_index, axes.statistics), metric, model).estimate(alpha)
