"""Where things are drawn: numbers to places on a page, in per cent or in the units of a drawing."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from candidate.documents.decision import Estimate, Finding
from candidate.documents.plotted import LatencyCurve, Reliability
from candidate.documents.policy import Policy
from candidate.report.findings import RANK, called, side_of, where
from candidate.report.text import number

MINUS = "\N{MINUS SIGN}"

MOST_ROWS = 30
"""Slices that a forest plot draws; the table below it has all."""
MARKED = (0.5, 0.95, 0.99)
"""Quantiles of latency that are told in words."""


def figure(value: float) -> str:
    """Return a number for a column of figures: four significant digits, thousands apart, a true minus."""
    text = number(value) if value == int(value) else f"{value:.4g}"
    return text.replace("-", MINUS)


def bounds(estimate: Estimate) -> str:
    """Return an interval in words."""
    low, high = estimate.lower, estimate.upper
    if low is None and high is None:
        return "no interval"
    if low == high:
        return "exact"
    return f"{'?' if low is None else figure(low)} to {'?' if high is None else figure(high)}"


class Scale(NamedTuple):
    """Numbers from ``low`` to ``high`` on 0 to 100 per cent of a width.

    Attributes:
        low: number at the left end.
        high: number at the right end.
    """

    low: float
    high: float

    def place(self, value: float) -> float:
        """Return the place of a number in per cent, kept within the width."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(1.0, max(0.0, share)), 2)

    def outside(self, value: float) -> bool:
        """Return whether a number is off the scale."""
        return not self.low <= value <= self.high


class Mark(NamedTuple):
    """A number and its place.

    Attributes:
        text: the number.
        at: its place, per cent or drawing units.
    """

    text: str
    at: float


class Bar(NamedTuple):
    """An estimate with its interval and its limit, each with its place in per cent.

    Attributes:
        finding: what is drawn.
        about: which rows.
        value: the estimate in words.
        interval: the bounds in words.
        at: place of the estimate.
        ends: places of the bounds; null where there are none.
        cut: whether the left and the right end are off the scale.
        limit: place of the limit.
        good: place and width of the side on which the value must be; null if that is not known.
        told: all of it in one sentence.
    """

    finding: Finding
    about: str
    value: str
    interval: str
    at: float
    ends: tuple[float, float] | None
    cut: tuple[bool, bool]
    limit: float
    good: tuple[float, float] | None
    told: str


class Forest(NamedTuple):
    """The slices of one metric on one scale, the most harmed first.

    Attributes:
        metric: whose gain it is, as people say it.
        unit: of the gain; empty if it has none.
        bars: what is drawn.
        hidden: how many more there are.
        zero: place of no gain and no loss.
        ticks: numbers below the axis.
    """

    metric: str
    unit: str
    bars: tuple[Bar, ...]
    hidden: int
    zero: float
    ticks: tuple[Mark, ...]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return at most about ``count`` round numbers between two."""
    raw = (high - low) / count
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(each * base for each in (1, 2, 2.5, 5, 10) if each * base >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(step * place, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _unit(finding: Finding) -> str:
    return "" if finding.estimate is None or finding.estimate.unit == "1" else finding.estimate.unit


def _bounds(finding: Finding) -> list[float]:
    estimate = finding.estimate
    if estimate is None:
        return []
    known = [each for each in (estimate.lower, estimate.upper) if each is not None]
    return [*known, estimate.value]


def scale_of(findings: Sequence[Finding]) -> Scale:
    """Return a scale that shows zero, every limit, and every interval that somebody relies on.

    Blind findings may be far wider than the rest: they are cut where they go further than half as
    far again, or nothing else could be seen.
    """
    sure = [value for finding in findings if finding.status != "blind" for value in _bounds(finding)]
    limits = [finding.limit for finding in findings if finding.limit is not None]
    inner = [0.0, *limits, *sure]
    low, high = min(inner), max(inner)
    rest = [value for finding in findings for value in _bounds(finding)]
    reach = 0.5 * (high - low) or max((abs(value) for value in rest), default=0.0) or 1.0
    low, high = max(low - reach, min(low, *rest, low)), min(high + reach, max(high, *rest, high))
    pad = 0.04 * (high - low) or 1.0
    return Scale(low - pad, high + pad)


def bar(finding: Finding, scale: Scale, policy: Policy | None) -> Bar:
    """Return an estimate as it is drawn; the finding must have an estimate and a limit."""
    estimate, limit = finding.estimate, finding.limit
    if estimate is None or limit is None:
        raise AssertionError  # the caller drew something that was not measured
    unit = f" {_unit(finding)}".rstrip()
    low, high = estimate.lower, estimate.upper
    ends = (scale.place(low), scale.place(high)) if low is not None and high is not None else None
    cut = (low is not None and scale.outside(low), high is not None and scale.outside(high))
    interval = bounds(estimate)
    at = scale.place(limit)
    side = side_of(finding, policy)
    good = None if side is None else ((at, round(100 - at, 2)) if side == "at least" else (0.0, at))
    told = (
        f"{where(finding)}: {figure(estimate.value)}{unit}, {interval}; limit {figure(limit)}{unit}; {finding.status}"
    )
    return Bar(
        finding=finding,
        about=where(finding),
        value=figure(estimate.value),
        interval=interval,
        at=scale.place(estimate.value),
        ends=ends,
        cut=cut,
        limit=at,
        good=good,
        told=told,
    )


def _harm(finding: Finding) -> tuple[int, float, str, str]:
    value = 0.0 if finding.estimate is None else finding.estimate.value
    return min(RANK[finding.status], 2), value, finding.slice or "", finding.rule


def forests(findings: Sequence[Finding], policy: Policy | None) -> list[Forest]:
    """Return a forest plot for each metric that slices were held to, in the order of the policy."""
    drawn = [f for f in findings if f.line == "slices" and f.estimate is not None and f.limit is not None]
    found = []
    for metric, unit in dict.fromkeys((finding.metric, _unit(finding)) for finding in drawn):
        rows = sorted((f for f in drawn if (f.metric, _unit(f)) == (metric, unit)), key=_harm)
        shown = rows[:MOST_ROWS]
        scale = scale_of(shown)
        bars = tuple(bar(finding, scale, policy) for finding in shown)
        marks = tuple(Mark(figure(value), scale.place(value)) for value in ticks(*scale, count=4))
        found.append(Forest(called(metric), unit, bars, len(rows) - len(shown), scale.place(0.0), marks))
    return found


def limits(findings: Sequence[Finding], policy: Policy | None) -> list[Bar]:
    """Return every measured value outside the slices with its limit, each on a scale of its own."""
    drawn = [f for f in findings if f.line != "slices" and f.estimate is not None and f.limit is not None]
    return [bar(finding, scale_of([finding]), policy) for finding in drawn]


class Dot(NamedTuple):
    """A bin of a reliability diagram, in units of the drawing.

    Attributes:
        x: of the mean score.
        y: of the share of positives.
        radius: grows with the root of the rows.
        left: left edge of the bin's column of the histogram.
        width: of the column.
        height: of the column.
    """

    x: float
    y: float
    radius: float
    left: float
    width: float
    height: float


PLOT = 240.0
"""Side of the square of a reliability diagram."""
COLUMNS = 48.0
"""Height of the histogram below it."""


def dots(diagram: Reliability) -> list[Dot]:
    """Return the bins of a reliability diagram as they are drawn."""
    most = max((each.rows for each in diagram.bins), default=1)
    return [
        Dot(
            x=round(PLOT * min(1.0, max(0.0, each.predicted)), 2),
            y=round(PLOT * (1 - min(1.0, max(0.0, each.observed))), 2),
            radius=round(2.5 + 4.5 * math.sqrt(each.rows / most), 2),
            left=round(PLOT * each.lower, 2),
            width=round(PLOT * (each.upper - each.lower), 2),
            height=round(max(1.0, COLUMNS * each.rows / most), 2),
        )
        for each in diagram.bins
    ]


class Latency(NamedTuple):
    """Distributions of latency on one logarithmic scale.

    Attributes:
        paths: per model, the line of its distribution.
        ticks: numbers below the axis.
        limits: limits that are on the scale.
        beyond: limits that are not, in milliseconds.
    """

    paths: tuple[tuple[str, str], ...]
    ticks: tuple[Mark, ...]
    limits: tuple[Mark, ...]
    beyond: tuple[str, ...]


WIDE, HIGH = 440.0, 200.0
"""Width and height of the drawing of latency."""


def latency(curves: Sequence[LatencyCurve], findings: Sequence[Finding]) -> Latency | None:
    """Return distributions of latency as they are drawn; null where there are none."""
    times = [time for curve in curves for _, time in curve.points if time > 0]
    if not times:
        return None
    low, high = math.log10(min(times)), math.log10(max(times))
    pad = max(0.03, 0.05 * (high - low))
    scale = Scale(low - pad, high + pad)

    def across(time: float) -> float:
        return round(WIDE * scale.place(math.log10(time)) / 100, 2)

    paths = []
    for curve in curves:
        places = [f"{across(time):g} {HIGH * (1 - share):g}" for share, time in curve.points if time > 0]
        paths.append((curve.model, "M" + " L".join(places)))
    asked = [
        finding.limit
        for finding in findings
        if finding.limit is not None and finding.limit > 0 and _unit(finding) == "ms" and finding.line == "satisficing"
    ]
    held = sorted(set(asked))
    on = [value for value in held if not scale.outside(math.log10(value))]
    lowest, highest = 10**scale.low, 10**scale.high
    marks = [value for value in _decades(lowest, highest) if lowest <= value <= highest]
    if len(marks) < 3:  # noqa: PLR2004 - less than a decade: round numbers instead of powers
        marks = [value for value in ticks(lowest, highest) if value > 0]
    return Latency(
        paths=tuple(paths),
        ticks=tuple(Mark(number(value), across(value)) for value in marks),
        limits=tuple(Mark(number(value), across(value)) for value in on),
        beyond=tuple(number(value) for value in held if value not in on),
    )


def _decades(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [float(f"{each}e{power}") for power in powers for each in (1, 2, 5)]
