"""The rules of calibration: probabilities against frequencies, means against means."""

from collections.abc import Iterator
from dataclasses import replace

from candidate.documents.policy import CalibrationRule, columns_of
from candidate.judgement.calibration import Calibration, Magnitude, calibration_of
from candidate.judgement.gate.answers import is_within
from candidate.judgement.gate.case import OVERALL, Case
from candidate.judgement.gate.claims import Claim
from candidate.judgement.gate.measures import Measure, no_numbers, too_few
from candidate.judgement.intervals import Interval, jackknife
from candidate.judgement.metrics import mean_of
from candidate.judgement.state import Layout

BIAS = "in_the_large"


def calibration_claims(case: Case) -> Iterator[Claim]:
    """Hold the challenger's calibration, if the policy limits it: overall, in slices, for each class."""
    rule = case.policy.calibration
    if rule is None:
        return
    claim = Claim("calibration", "calibration", rule.metric, OVERALL, blocks=True, otherwise="open", why={})
    if case.policy.kind_of_task == "regression":
        yield from _of_numbers(case, rule, claim)
        return
    layout = Layout.of(case.evidence.state)
    places = list(enumerate(_places(case, rule, claim.slice or OVERALL)))
    if rule.by is not None and len(places) == 1:
        yield replace(claim, slice=None, why={"open": f"no slice of {' & '.join(columns_of(rule.by))} has rows"})
    for panel, name in places:
        for curve in range(layout.curves if layout is not None else 0):
            found = calibration_of(case.state, case.evidence.state, "challenger", panel, curve)
            yield from _held(case, rule, found, replace(claim, slice=_named(case, name, curve)))


def _places(case: Case, rule: CalibrationRule, overall: str) -> list[str]:
    """Return the names of all rows and of the slices that have calibration bins, in the order of the bins."""
    axes = case.evidence.state
    return [overall, *(axes.slices[index].name for index in axes.calibrated)] if rule.by is not None else [overall]


def _named(case: Case, name: str, curve: int) -> str:
    classes = case.evidence.state.classes
    if not classes:
        return name
    return f"class {classes[curve]}" if name == OVERALL else f"{name}, class {classes[curve]}"


def _held(case: Case, rule: CalibrationRule, found: Calibration, claim: Claim) -> Iterator[Claim]:
    reason = "the calibration error is undefined" if found.interval is None else too_few(found.units)
    measure = Measure("calibration error", "1", found.rows, found.units, found.interval, reason)
    yield is_within(measure, rule.max or 0.0, "at most", case.risk, claim)
    if rule.in_the_large is not None:
        interval: Interval | None = found.in_the_large
        reason = "the mean prediction is undefined" if interval is None else too_few(found.units)
        measure = Measure("mean prediction less mean outcome", "1", found.rows, found.units, interval, reason)
        yield is_within(measure, rule.in_the_large, "at most", case.risk, replace(claim, metric=BIAS))


def _of_numbers(case: Case, rule: CalibrationRule, claim: Claim) -> Iterator[Claim]:
    """Hold the mean error of predicted numbers, overall and in every slice that the rule names."""
    found = case.slices(by=columns_of(rule.by), where=None) if rule.by is not None else []
    for index, name in [(0, OVERALL), *((index, key.name) for index, key in found)]:
        totals = case.totals(index)
        blank = no_numbers(totals)
        mean = mean_of("sum_error", case.policy.data.scale or 1.0)
        error = jackknife(
            mean(totals.without_each(), "challenger"), float(mean(totals.summed(), "challenger")), totals["n"] > 0
        )
        units = int((totals["n"] > 0).sum())
        measure = Measure(
            "mean prediction less mean outcome",
            "label units",
            int(totals.rows.sum()),
            units,
            Magnitude(error),
            blank or too_few(units),
        )
        yield is_within(
            measure, rule.in_the_large or 0.0, "at most", case.risk, replace(claim, slice=name, metric=BIAS)
        )
