"""What a finding means to people: which side of its limit it must be on, and how far from it it is."""

import math
import re
from typing import Literal, NamedTuple

from candidate.documents.decision import Decision, Finding, Outcome
from candidate.documents.policy import Policy
from candidate.report.text import deciding, number

Side = Literal["at least", "at most"]

RANK = {"fail": 0, "open": 1, "blind": 2, "pass": 3}

MOST_TIMES = 100
"""Nobody will find more rows than so many times those that were measured."""

LINES = {
    "optimizing": "Gain of the optimizing metric",
    "satisficing": "Satisficing limit",
    "slices": "No hidden regression",
    "calibration": "Calibration",
    "availability": "Features at serving",
    "skew": "Training and serving agree",
    "reproducibility": "Reproducibility",
    "packaging": "Packaging",
    "rollback": "The way back",
}
MEANING: dict[str, str] = {
    "optimizing": "The challenger must improve the one metric that is optimized, beyond doubt and by enough.",
    "satisficing": "Good enough is enough, but it must be proven: the bound of the interval must keep the limit.",
    "slices": "No part of the rows may lose more than its margin. A guard needs proof; a watch stops proven harm.",
    "calibration": "Predicted probabilities must be as frequent as they say, on rows that nobody has trained on.",
    "availability": "Every feature that the graph reads must be promised by the serving side.",
    "skew": "The graph that serves must predict what the trained pipeline predicts.",
    "reproducibility": "What is needed to train the model again must be on record.",
    "packaging": "The bundle must be whole, and its golden rows must replay.",
    "rollback": "The way back must be known and rehearsed.",
}


class Gap(NamedTuple):
    """How far the deciding bound of a finding is from its limit.

    Attributes:
        finding: whose.
        bound: the bound that decides.
        room: distance to the limit, above zero on the good side.
        relative: the same in widths of half the interval, or of the limit if there is no width.
    """

    finding: Finding
    bound: float
    room: float
    relative: float


def where(finding: Finding) -> str:
    """Return the rows a finding is about, ``all rows`` if it is about all of them."""
    return finding.slice if finding.slice not in {None, "overall"} and finding.slice is not None else "all rows"


def called(metric: str) -> str:
    """Return a metric's name as people say it."""
    return metric.replace("_", " ")


def side_of(finding: Finding, policy: Policy | None) -> Side | None:
    """Return on which side of its limit a value must be; null if neither finding nor policy tells."""
    if finding.limit is None:
        return None
    if finding.line in {"optimizing", "slices"}:
        return "at least"
    if finding.line != "satisficing":
        return "at most"
    place = re.fullmatch(r"satisficing\[(\d+)\]", finding.rule)
    if policy is not None and place is not None and int(place[1]) < len(policy.satisficing):
        return "at most" if policy.satisficing[int(place[1])].max is not None else "at least"
    estimate = finding.estimate
    if estimate is None or finding.status not in {"pass", "fail"}:
        return None
    above = estimate.value >= finding.limit
    return "at least" if above == (finding.status == "pass") else "at most"


def gap_of(finding: Finding, policy: Policy | None) -> Gap | None:
    """Return how far the bound that decides is from the limit; null where nothing was measured."""
    side, estimate, limit = side_of(finding, policy), finding.estimate, finding.limit
    if side is None or estimate is None or limit is None:
        return None
    failed = finding.status == "fail"
    bound = estimate.lower if (side == "at least") != failed else estimate.upper
    if bound is None:
        return None
    room = bound - limit if side == "at least" else limit - bound
    width = abs(estimate.value - bound) or abs(limit) or 1.0
    return Gap(finding, bound, room, room / width)


def closest(decision: Decision, policy: Policy | None, count: int) -> list[Gap]:
    """Return the findings that hold and that a go needs, nearest to their limits first."""
    gaps = [gap_of(finding, policy) for finding in decision.findings if finding.blocks and finding.status == "pass"]
    known = [gap for gap in gaps if gap is not None and math.isfinite(gap.relative)]
    return sorted(known, key=lambda gap: (gap.relative, gap.finding.rule, gap.finding.slice or ""))[:count]


def changes(decision: Decision, policy: Policy | None, count: int = 5) -> list[str]:
    """Return, a sentence each, what would change the verdict."""
    forced = deciding(decision)
    if decision.outcome == "go":
        return [f"{_subject(gap.finding)} {_room(gap)}" for gap in closest(decision, policy, count)]
    said = []
    for finding in forced[:count]:
        gap, estimate = gap_of(finding, policy), finding.estimate
        text = f"{_subject(finding)} "
        if gap is not None:
            text += _short_of(gap, side_of(finding, policy))
        else:
            text += "has no bound to hold against its limit"
        if finding.n_needed is not None and estimate is not None and finding.status != "fail":
            text += _rows(finding.n_needed, estimate.n)
        said.append(text)
    if len(forced) > count:
        said.append(f"{len(forced) - count} more findings stand in the way; they are in the complete table.")
    lines = [item for item in decision.checklist if item.required and item.status != "pass"]
    if not forced:
        said += [f"Line {item.number} of the checklist must hold: {item.claim}." for item in lines]
    return said


def _rows(needed: int, had: int) -> str:
    """Return how many rows would decide; so many that nobody has them are not counted out."""
    if needed > MOST_TIMES * had:
        return f" What was seen is so close to the limit that even {MOST_TIMES} times the {had:,} rows would not do."
    digits = max(0, len(str(needed)) - 3)
    rounded = math.ceil(needed / 10**digits) * 10**digits
    return f" About {rounded:,} rows would decide it if the effect is as seen; there were {had:,}."


def _subject(finding: Finding) -> str:
    return f"{finding.rule}, {called(finding.metric)} on {where(finding)}:"


def _unit(finding: Finding) -> str:
    unit = "1" if finding.estimate is None else finding.estimate.unit
    return "" if unit == "1" else f" {unit}"


def _room(gap: Gap) -> str:
    limit, unit = gap.finding.limit or 0.0, _unit(gap.finding)
    return f"its bound {number(gap.bound)} would have to move by {number(abs(gap.room))}{unit} to reach {number(limit)}"


def _short_of(gap: Gap, side: Side | None) -> str:
    limit, unit = number(gap.finding.limit or 0.0), _unit(gap.finding)
    if gap.finding.status == "fail":
        said = f"even its kindest bound, {number(gap.bound)}{unit}, misses {limit} by {number(abs(gap.room))}."
        return f"{said} More rows would only make that surer: the model must change."
    return f"its bound, {number(gap.bound)}{unit}, must be {side} {limit}: it lacks {number(abs(gap.room))}."


def sentence(decision: Decision) -> str:
    """Return which rule decided, in a sentence that somebody woken up at night understands."""
    forced = deciding(decision)
    if decision.outcome == "go":
        needed = sum(finding.blocks for finding in decision.findings)
        lines = sum(item.status == "pass" for item in decision.checklist)
        return f"All {needed} findings that a release needs hold, and {lines} of the 9 lines of the checklist."
    if not forced:
        missing = [item for item in decision.checklist if item.required and item.status != "pass"]
        if not missing:
            return "Nothing was found at all, and nothing found is never a go."
        return f"Line {missing[0].number} of the checklist does not hold: {missing[0].claim} ({missing[0].why})."
    first = forced[0]
    place = "" if first.slice in {None, "overall"} else f" on {first.slice}"
    word = "is broken" if first.status == "fail" else "is not decided"
    more = "" if len(forced) == 1 else f" And {len(forced) - 1} more."
    return f"Rule {first.rule} {word}{place}: {first.why}.{more}"


WHAT_NOW: dict[Outcome, str] = {
    "go": "It may be promoted until this decision expires, as long as the champion is still the one named here.",
    "no-go": "Do not promote it. What serves now keeps serving; more rows will not help, a better model will.",
    "inconclusive": "Do not promote it yet. What serves now keeps serving; this is neither proof of harm nor of gain.",
}
