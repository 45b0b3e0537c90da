"""The statistical rules of a policy: what each asks of the evidence."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from candidate.documents.decision import Estimate, Status
from candidate.documents.policy import Limit, SliceRule, columns_of
from candidate.judgement.gate.answers import is_harmless, is_not_harmed, is_superior, is_within
from candidate.judgement.gate.case import OVERALL, Case
from candidate.judgement.gate.claims import Claim, exact
from candidate.judgement.gate.gaps import RATES_OF, gap
from candidate.judgement.gate.measures import Measure, level, too_few
from candidate.judgement.gate.wording import number
from candidate.judgement.intervals import Interval
from candidate.judgement.latency import differs_from_itself, quantile_interval, ratio_interval

QUANTILES = {
    "latency_p50_ms": 0.50,
    "latency_p95_ms": 0.95,
    "latency_p99_ms": 0.99,
    "latency_p99_ratio": 0.99,
}
SIZES = {"size_bytes": "the bundle", "model_size_bytes": "the model"}


def optimizing_claims(case: Case) -> Iterator[Claim]:
    """Hold the optimizing metric against the champion (or what a first release beats), and against the zero-rule."""
    rule = case.policy.optimizing
    first = case.evidence.champion is None
    over_zero_rule = case.over_zero_rule(rule.metric)
    measure = case.over_first(rule.metric) if first else case.over_champion(rule.metric, 0)
    claim = Claim("optimizing", "optimizing", rule.metric, OVERALL, blocks=True, otherwise="open", why={})
    if rule.require == "superior":
        yield is_superior(measure, rule.min_gain or 0.0, case.look_risk, claim)
    else:
        yield is_harmless(measure, rule.margin or 0.0, case.look_risk, claim)
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
            answer = is_harmless(measure, rule.margin, case.risk, here)
        else:
            answer = is_not_harmed(measure, rule.margin, max_mde, case.risk, here)
        yield _noted(answer, rule)


def _noted(claim: Claim, rule: SliceRule) -> Claim:
    """Say with every answer that the margin is below what a mere retrain moves, if it is."""
    if rule.noise is None or rule.noise <= rule.margin:
        return claim
    note = f"; the margin is below the retrain noise of {number(rule.noise)}"
    return replace(claim, why={status: text + note for status, text in claim.why.items()})
