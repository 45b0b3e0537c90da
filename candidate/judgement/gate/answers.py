"""The three questions a statistical rule can ask, and the sentence that goes with each answer."""

import math
from dataclasses import replace
from typing import Literal

from candidate.judgement.gate.claims import Claim, Risk, bound_text, hold, missing, needed
from candidate.judgement.gate.measures import Measure
from candidate.judgement.gate.wording import harmless, limited, number, superior, worst


def _no_claim(measure: Measure, limit: float, risk: Risk, claim: Claim) -> Claim:
    """Answer that nothing can be claimed, with what is missing as far as it is known."""
    required = needed(measure, math.nan, 0.0, risk)
    return replace(
        claim,
        why={claim.otherwise: missing(measure, required)},
        estimate=measure.estimate(risk.alpha),
        limit=limit,
        n_needed=required,
    )


def is_superior(measure: Measure, min_gain: float, risk: Risk, claim: Claim) -> Claim:
    """Answer whether the challenger gains more than it must.

    Args:
        measure: of the gain.
        min_gain: must be exceeded.
        risk: error rates.
        claim: who asks; everything else of it is filled in.
    """
    interval = measure.claimable
    if interval is None:
        return _no_claim(measure, min_gain, risk, claim)
    found = hold(interval, min_gain, truth="above", alpha=risk.alpha)
    required = needed(measure, found.half, found.slack, risk)
    low = superior(measure.label, interval.value, bound_text("at least", found.bound, risk.alpha), min_gain)
    most = bound_text("at most", interval.upper(risk.alpha), risk.alpha)
    return replace(
        claim,
        why={
            claim.otherwise: f"{low}: {missing(measure, required)}",
            "pass": low,
            "fail": superior(measure.label, interval.value, most, min_gain),
        },
        held=found.held,
        p_value=found.p_value,
        estimate=measure.estimate(risk.alpha),
        limit=min_gain,
        n_needed=required,
    )


def is_harmless(measure: Measure, margin: float, risk: Risk, claim: Claim) -> Claim:
    """Answer whether the challenger is proven to lose less than is tolerated.

    Args:
        measure: of the gain.
        margin: loss that is tolerated.
        risk: error rates.
        claim: who asks; everything else of it is filled in.
    """
    interval = measure.claimable
    if interval is None:
        return _no_claim(measure, -margin, risk, claim)
    found = hold(interval, -margin, truth="above", alpha=risk.alpha)
    # Planned on the effect as seen, or on none at all if what was seen is beyond the margin.
    required = needed(measure, found.half, found.slack if found.slack > 0 else margin, risk)
    low = harmless(measure.label, interval.value, worst(found.bound, risk.alpha), margin)
    return replace(
        claim,
        why={
            claim.otherwise: f"{low}: {missing(measure, required)}",
            "pass": low,
            "fail": _harm(measure.label, interval.value, interval.upper(risk.alpha), margin, risk),
        },
        held=found.held,
        p_value=found.p_value,
        estimate=measure.estimate(risk.alpha),
        limit=-margin,
        n_needed=required,
    )


def _harm(label: str, value: float, upper: float, margin: float, risk: Risk) -> str:
    return harmless(label, value, bound_text("at least", -upper, risk.alpha), margin)


def is_not_harmed(measure: Measure, margin: float, max_mde: float, risk: Risk, claim: Claim) -> Claim:
    """Answer whether harm is proven, and if not, whether it is excluded or could have been seen.

    Args:
        measure: of the gain.
        margin: loss that is tolerated.
        max_mde: largest loss that may go unseen; with more the slice is blind.
        risk: error rates.
        claim: who asks; everything else of it is filled in.
    """
    interval = measure.claimable
    if interval is None:
        return _no_claim(measure, -margin, risk, claim)
    found = hold(interval, -margin, truth="above", alpha=risk.alpha)
    seen = found.half * risk.reach
    required = needed(measure, found.half, max_mde, risk)
    blind = f"only a loss of {number(seen)} or more would have been seen, {number(max_mde)} was asked for"
    fear = worst(found.bound, risk.alpha) if found.held else f"a loss of {number(seen)} would have been seen"
    went = harmless(measure.label, interval.value, fear, margin)
    return replace(
        claim,
        why={
            "blind": f"{blind}: {missing(measure, required)}",
            "pass": went,
            "fail": _harm(measure.label, interval.value, interval.upper(risk.alpha), margin, risk),
        },
        # Harm beyond the margin is excluded, or a change of the size asked for would have been seen.
        held=found.held or seen <= max_mde,
        p_value=found.p_value,
        estimate=measure.estimate(risk.alpha),
        limit=-margin,
        n_needed=required,
    )


def is_within(measure: Measure, limit: float, truth: Literal["at least", "at most"], risk: Risk, claim: Claim) -> Claim:
    """Answer whether a value keeps a limit.

    Args:
        measure: of the value.
        limit: to be kept.
        truth: on which side of the limit the value must be.
        risk: error rates.
        claim: who asks; everything else of it is filled in.
    """
    interval = measure.claimable
    if interval is None:
        return _no_claim(measure, limit, risk, claim)
    found = hold(interval, limit, truth=truth, alpha=risk.alpha)
    required = needed(measure, found.half, found.slack, risk)
    unit = "" if measure.unit == "1" else f" {measure.unit}"
    asked = f"{'may be at most' if truth == 'at most' else 'must be at least'} {number(limit)}{unit}"
    other: Literal["at least", "at most"] = "at least" if truth == "at most" else "at most"
    far = interval.lower(risk.alpha) if truth == "at most" else interval.upper(risk.alpha)
    value = f"{number(interval.value)}{unit}"
    kept = limited(measure.label, value, bound_text(truth, found.bound, risk.alpha, unit), asked)
    return replace(
        claim,
        why={
            claim.otherwise: f"{kept}: {missing(measure, required)}",
            "pass": kept,
            "fail": limited(measure.label, value, bound_text(other, far, risk.alpha, unit), asked),
        },
        held=found.held,
        p_value=found.p_value,
        estimate=measure.estimate(risk.alpha),
        limit=limit,
        n_needed=required,
    )
