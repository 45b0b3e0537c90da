"""A claim: one rule's answer before the family of no-go claims has been corrected."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from candidate.documents.decision import Estimate, Finding, Status
from candidate.documents.policy import ChecklistLine
from candidate.judgement.gate.measures import LARGEST, Measure
from candidate.judgement.gate.wording import confidence, number, shortage
from candidate.judgement.intervals import MIN_UNITS, Interval, t_quantile


@dataclass(frozen=True)
class Claim:
    """One rule's answer, whichever way the correction for many claims turns out.

    Attributes:
        rule: which rule of the policy.
        line: line of the checklist that it bears on.
        metric: what was measured.
        slice: in which slice, if in one.
        blocks: whether a go needs it to pass.
        otherwise: status if the rule is neither proven to hold nor proven broken.
        why: for each status that is possible, the sentence that explains it.
        held: whether the rule is proven to hold.
        p_value: of the claim that the rule is broken; null if no such claim is made.
        estimate: what was measured, if it could be.
        limit: what the bound was held against.
        n_needed: observations at which the rule would be decided.
    """

    rule: str
    line: ChecklistLine
    metric: str
    slice: str | None
    blocks: bool
    otherwise: Status
    why: Mapping[Status, str]
    held: bool = False
    p_value: float | None = None
    estimate: Estimate | None = None
    limit: float | None = None
    n_needed: int | None = None

    def finding(self, *, proven: bool) -> Finding:
        """Return the finding, once it is known whether the claim survived the correction."""
        status: Status = "fail" if proven else "pass" if self.held else self.otherwise
        return Finding(
            rule=self.rule,
            line=self.line,
            metric=self.metric,
            slice=self.slice,
            status=status,
            blocks=self.blocks,
            estimate=self.estimate,
            limit=self.limit,
            p_value=self.p_value,
            n_needed=self.n_needed if status in {"open", "blind"} else None,
            why=self.why[status],
        )


def exact(rule: str, line: ChecklistLine, metric: str, status: Status, why: str, *, blocks: bool = True) -> Claim:
    """Return the answer of a rule that leaves nothing to chance."""
    return Claim(rule, line, metric, None, blocks, status, {status: why})


@dataclass(frozen=True)
class Risk:
    """The error rates that claims are made with.

    Attributes:
        alpha: one-sided, of each bound.
        power: at which the observations still needed are planned.
    """

    alpha: float
    power: float

    @property
    def reach(self) -> float:
        """How many times its half-width an interval sees, at this power."""
        critical = t_quantile(1 - self.alpha, None)
        return (critical + t_quantile(self.power, None)) / critical


@dataclass(frozen=True)
class Holding:
    """One bound held against one limit.

    Attributes:
        held: the bound is on the right side.
        p_value: of the claim that the truth is on the wrong side; null if it is not a number.
        bound: the bound that decides a pass.
        slack: how far the value is on the right side; below 0 it is on the wrong one.
        half: distance of value and bound.
    """

    held: bool
    p_value: float | None
    bound: float
    slack: float
    half: float


def hold(interval: Interval, limit: float, *, truth: Literal["above", "at least", "at most"], alpha: float) -> Holding:
    """Hold the truth to be above, at least or at most a limit."""
    value = interval.value
    if truth == "at most":
        bound, p_value, slack = interval.upper(alpha), interval.above(limit), limit - value
        held = bound <= limit
    else:
        bound, p_value, slack = interval.lower(alpha), interval.below(limit), value - limit
        held = bound > limit if truth == "above" else bound >= limit
    held = held and math.isfinite(bound) and math.isfinite(value)
    return Holding(held, p_value if math.isfinite(p_value) else None, bound, slack, abs(value - bound))


def needed(measure: Measure, half: float, slack: float, risk: Risk) -> int | None:
    """Return the observations at which a half-width would fit into a slack with the power asked for.

    A half-width shrinks with the root of the observations. None where that says nothing: no slack,
    no width, or enough observations already.

    Args:
        measure: what was measured.
        half: half-width of its interval at the observations there are.
        slack: distance to be told apart from none.
        risk: error rates.
    """
    enough = float(measure.least)
    if slack > 0 and math.isfinite(half) and math.isfinite(slack):
        enough = max(enough, measure.n * (half * risk.reach / slack) ** 2)
    if 0 < measure.units < MIN_UNITS:
        enough = max(enough, measure.n * MIN_UNITS / measure.units)
    return math.ceil(enough) if measure.n < enough < LARGEST else None


def missing(measure: Measure, required: int | None) -> str:
    """Return why a measure decides nothing and what is missing."""
    text = shortage(required, measure.n, measure.counted)
    return f"{measure.reason}; {text}" if measure.reason and required is not None else measure.reason or text


def bound_text(word: Literal["at least", "at most"], value: float, alpha: float, unit: str = "") -> str:
    """Return a bound with its confidence; that there is none, if there is none."""
    if not math.isfinite(value):
        return "no bound at that confidence"
    return f"{word} {number(value)}{unit} with {confidence(alpha)}"
