"""The statistical rules of a policy: what each asks of the evidence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Estimate, Status
from candidate.documents.evidence import Evidence, ModelRole, SliceKey
from candidate.documents.policy import Limit, Policy, SliceRule, columns_of
from candidate.judgement.calibration import calibration_of
from candidate.judgement.catalogue import catalogue
from candidate.judgement.gate.answers import is_harmless, is_not_harmed, is_superior, is_within
from candidate.judgement.gate.claims import Claim, Risk, exact
from candidate.judgement.gate.gaps import RATES_OF, gap
from candidate.judgement.gate.measures import Measure, gain, level, too_few
from candidate.judgement.intervals import Interval
from candidate.judgement.latency import differs_from_itself, quantile_interval, ratio_interval
from candidate.judgement.metrics import ZERO_RULE, Metric, with_zero_rule
from candidate.judgement.state import State, Totals

OVERALL = "overall"
QUANTILES = {
    "latency_p50_ms": 0.50,
    "latency_p95_ms": 0.95,
    "latency_p99_ms": 0.99,
    "latency_p99_ratio": 0.99,
}
SIZES = {"size_bytes": "the bundle", "model_size_bytes": "the model"}


@dataclass(frozen=True)
class Case:
    """Policy and evidence of one verdict.

    Attributes:
        policy: what must hold.
        evidence: what was measured.
        state: counts of the rows.
        latency: durations in nanoseconds, shape (rounds, models, calls), if they were measured.
    """

    policy: Policy
    evidence: Evidence
    state: State
    latency: NDArray[np.int64] | None

    @property
    def risk(self) -> Risk:
        """The policy's error rates."""
        return Risk(self.policy.alpha, self.policy.power)

    def totals(self, index: int) -> Totals:
        """Return the statistics of a slice by bucket."""
        return self.state.totals(index, self.evidence.state.models)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric that the policy's rules may name."""
        return catalogue(self.policy)

    def over_champion(self, name: str, index: int) -> Measure:
        """Return the challenger's gain over the champion in a slice."""
        return gain(self.totals(index), self.metrics[name], "champion")

    def over_zero_rule(self, name: str) -> Measure:
        """Return the challenger's gain over the zero-rule on all rows."""
        rate = self.evidence.challenger.train_label_mean
        metric = self.metrics[name]
        label = f"{metric.label} over the zero-rule"
        if rate is None or not 0 <= rate <= 1:
            why = "the bundle does not record the positive rate of its training set"
            return Measure(label, metric.unit, 0, 0, None, why)
        return replace(gain(with_zero_rule(self.totals(0), rate), metric, ZERO_RULE), label=label)

    def durations(self, model: ModelRole) -> NDArray[np.int64] | None:
        """Return a model's durations, shape (rounds, calls), if it was timed."""
        axes = self.evidence.latency
        if axes is None or self.latency is None or model not in axes.models:
            return None
        timed: NDArray[np.int64] = self.latency[:, axes.models.index(model), :]
        return timed

    def slices(self, *, by: tuple[str, ...], where: str | None) -> list[tuple[int, SliceKey]]:
        """Return the slices that a rule selects, with their positions."""
        keys = enumerate(self.evidence.state.slices)
        if where is not None:
            return [(index, key) for index, key in keys if key.where == where]
        return [(index, key) for index, key in keys if key.where is None and key.by == by]


def optimizing_claims(case: Case) -> Iterator[Claim]:
    """Hold the optimizing metric against the champion (or the zero-rule), and against the zero-rule."""
    rule = case.policy.optimizing
    first = case.evidence.champion is None
    over_zero_rule = case.over_zero_rule(rule.metric)
    measure = over_zero_rule if first else case.over_champion(rule.metric, 0)
    claim = Claim("optimizing", "optimizing", rule.metric, OVERALL, blocks=True, otherwise="open", why={})
    if rule.require == "superior":
        yield is_superior(measure, rule.min_gain or 0.0, case.risk, claim)
    else:
        yield is_harmless(measure, rule.margin or 0.0, case.risk, claim)
    must_beat = case.policy.baselines.zero_rule == "must_beat"
    baseline = replace(claim, rule="baselines.zero_rule", blocks=must_beat)
    answer = is_superior(over_zero_rule, 0.0, case.risk, baseline)
    yield answer if must_beat else replace(answer, p_value=None)


def satisficing_claims(case: Case) -> Iterator[Claim]:
    """Hold every limit."""
    for position, rule in enumerate(case.policy.satisficing):
        name = f"satisficing[{position}]"
        claim = Claim(name, "satisficing", rule.metric, None, blocks=True, otherwise="open", why={})
        limit, truth = _side(rule)
        if rule.metric in SIZES:
            yield _size_claim(case, rule, limit, truth, claim)
        elif rule.metric == "latency_p99_ratio" and case.evidence.champion is None:
            yield exact(name, "satisficing", rule.metric, "pass", "no champion to compare with", blocks=False)
        elif rule.metric in QUANTILES:
            yield is_within(_latency(case, rule.metric), limit, truth, case.risk, claim)
        elif rule.metric in RATES_OF:
            yield _gap_claim(case, rule, limit, claim)
        else:
            yield from _quality_claims(case, rule, limit, truth, claim)


def _side(rule: Limit) -> tuple[float, Literal["at least", "at most"]]:
    """Return a limit and on which side of it the truth must be."""
    if rule.max is not None:
        return rule.max, "at most"
    return rule.min if rule.min is not None else math.nan, "at least"


def _size_claim(case: Case, rule: Limit, limit: float, truth: Literal["at least", "at most"], claim: Claim) -> Claim:
    """Hold a size, which is known exactly."""
    facts = case.evidence.challenger
    size = facts.size_bytes if rule.metric == "size_bytes" else facts.model_size_bytes
    kept = size <= limit if truth == "at most" else size >= limit
    asked = "may have at most" if truth == "at most" else "must have at least"
    why = f"{SIZES[rule.metric]} has {size:,} bytes, {asked} {limit:,.0f}"
    status: Status = "pass" if kept else "fail"
    known = Estimate(
        value=float(size), lower=float(size), upper=float(size), n=1, units=None, unit="bytes", method="counted"
    )
    return replace(claim, otherwise=status, why={status: why}, limit=limit, estimate=known)


def _latency(case: Case, metric: str) -> Measure:
    """Return a quantile of the challenger's durations, or its ratio to the champion's."""
    quantile, ratio = QUANTILES[metric], metric == "latency_p99_ratio"
    label = f"p{100 * quantile:g} latency" + (", challenger over champion," if ratio else "")
    unit = "1" if ratio else "ms"
    challenger, champion = case.durations("challenger"), case.durations("champion")
    if challenger is None or (ratio and champion is None):
        return Measure(label, unit, 0, 0, None, "latency was not measured", "calls")
    interval: Interval | None
    if ratio and champion is not None:
        interval = ratio_interval(challenger, champion, quantile)
    else:
        interval = quantile_interval(challenger, quantile)
    rounds = len(challenger)
    reason = too_few(rounds, "rounds") or ("" if interval else "the durations allow no interval")
    if not reason and ratio and champion is not None and differs_from_itself(champion, quantile):
        reason = "the machine was too noisy: even and odd rounds of the champion disagree"
    least = 0 if ratio else math.ceil(math.log(case.policy.alpha) / math.log(quantile))
    return Measure(label, unit, challenger.size, rounds, interval, reason, "calls", least)


def _quality_claims(
    case: Case, rule: Limit, limit: float, truth: Literal["at least", "at most"], claim: Claim
) -> Iterator[Claim]:
    """Hold a limit on all rows and, if the rule says so, in every slice."""
    metric = case.metrics[rule.metric]
    places = [(0, OVERALL)]
    if rule.by is not None:
        found = case.slices(by=columns_of(rule.by), where=None)
        places += [(index, key.name) for index, key in found]
        if not found:
            yield replace(claim, why={"open": f"no slice of {' & '.join(columns_of(rule.by))} has rows"})
    for index, name in places:
        measure = level(case.totals(index), metric, "challenger")
        yield is_within(measure, limit, truth, case.risk, replace(claim, slice=name))


def _gap_claim(case: Case, rule: Limit, limit: float, claim: Claim) -> Claim:
    """Hold a limit on how far groups may be apart; groups too small to speak of leave it open."""
    groups = [(key, case.totals(index)) for index, key in case.slices(by=columns_of(rule.by), where=None)]
    measure, unknown = gap(rule.metric, [(key, totals) for key, totals in groups if totals["n"].any()])
    found = is_within(measure, limit, "at most", case.risk, replace(claim, slice=" & ".join(columns_of(rule.by))))
    if not unknown:
        return found
    return replace(found, held=False, why={**found.why, found.otherwise: unknown})


def slice_claims(case: Case) -> Iterator[Claim]:
    """Hold guards (proof of no harm) and watches (no proof of harm) against the champion."""
    rules = case.policy.slices
    if case.evidence.champion is None:
        if rules.guard or rules.watch:
            why = "no champion: nothing to regress from"
            yield exact("slices", "slices", case.policy.optimizing.metric, "pass", why, blocks=False)
        return
    for position, rule in enumerate(rules.guard):
        yield from _slice_rule(case, rule, f"slices.guard[{position}]", max_mde=None)
    for position, rule in enumerate(rules.watch):
        largest = rule.margin if rules.max_mde is None else rules.max_mde
        yield from _slice_rule(case, rule, f"slices.watch[{position}]", max_mde=largest)


def _slice_rule(case: Case, rule: SliceRule, name: str, *, max_mde: float | None) -> Iterator[Claim]:
    """Hold one rule in every slice it selects; a guard has no largest effect that may go unseen."""
    metric = rule.metric or case.policy.optimizing.metric
    guard = max_mde is None
    claim = Claim(name, "slices", metric, rule.where, guard, "open" if guard else "blind", why={})
    found = case.slices(by=columns_of(rule.by), where=rule.where)
    if not found:
        why = f"no slice of {' & '.join(columns_of(rule.by)) or rule.where} has rows"
        yield replace(claim, why={claim.otherwise: why}, limit=-rule.margin)
    for index, key in found:
        measure, here = case.over_champion(metric, index), replace(claim, slice=key.name)
        if max_mde is None:
            yield is_harmless(measure, rule.margin, case.risk, here)
        else:
            yield is_not_harmed(measure, rule.margin, max_mde, case.risk, here)


def calibration_claims(case: Case) -> Iterator[Claim]:
    """Hold the challenger's calibration error, if the policy limits it."""
    rule = case.policy.calibration
    if rule is None:
        return
    found = calibration_of(case.state, case.evidence.state, "challenger")
    reason = "the calibration error is undefined" if found.interval is None else too_few(found.units)
    measure = Measure("calibration error", "1", found.rows, found.units, found.interval, reason)
    claim = Claim("calibration", "calibration", rule.metric, OVERALL, blocks=True, otherwise="open", why={})
    yield is_within(measure, rule.max, "at most", case.risk, claim)
