"""The baselines that somebody names: a heuristic, and how well people do it."""

from collections.abc import Iterator
from dataclasses import replace

from candidate.documents.policy import HumanLevel
from candidate.judgement.gate.answers import is_superior
from candidate.judgement.gate.case import OVERALL, Case
from candidate.judgement.gate.claims import Claim, Risk
from candidate.judgement.gate.measures import Measure, gain, level
from candidate.judgement.gate.wording import confidence, number
from candidate.judgement.intervals import MIN_UNITS, Interval, Share, ShareGap
from candidate.judgement.metrics import METRICS
from candidate.judgement.state import HUMAN

WRONG = METRICS["error_rate"]


def baseline_claims(case: Case) -> Iterator[Claim]:
    """Hold the challenger against the heuristic and against people, where the policy names them.

    What must be beaten joins the family of no-go claims; what is only reported claims nothing.
    """
    rules, metric = case.policy.baselines, case.policy.optimizing.metric
    if rules.heuristic is not None:
        yield _answer(case, "heuristic", metric, case.over_heuristic(metric), rules.heuristic.require)
    if rules.human is not None:
        name, measure = over_people(case, rules.human)
        yield _answer(case, "human", name, measure, rules.human.require)


def _answer(case: Case, baseline: str, metric: str, measure: Measure, require: str) -> Claim:
    """Answer whether the challenger is better than a baseline."""
    must = require == "must_beat"
    claim = Claim(f"baselines.{baseline}", "optimizing", metric, OVERALL, blocks=must, otherwise="open", why={})
    answer = is_superior(measure, 0.0, case.risk, claim)
    if must:
        return answer
    interval, told = measure.claimable, dict(answer.why)
    if interval is not None:
        told["open"] = _reported(measure, interval, case.risk)
    return replace(answer, p_value=None, n_needed=None, why=told)


def _reported(measure: Measure, interval: Interval, risk: Risk) -> str:
    """Return a gain with both of its bounds, where nothing has to be proven of it."""
    ends = [number(bound(risk.alpha)) for bound in (interval.lower, interval.upper)]
    bounds = f"from {ends[0]} to {ends[1]}, each with {confidence(risk.alpha)}"
    return f"gain of {measure.label} {number(interval.value)} ({bounds}), only reported"


def over_people(case: Case, rule: HumanLevel) -> tuple[str, Measure]:
    """Return a metric's name and the challenger's gain over people, larger is better.

    Their answers to the same rows are compared in pairs, by the optimizing metric where it is one of
    classes. A share of wrong answers that was found elsewhere is another sample: the gap of the two
    error rates then has the width of both.
    """
    name = case.policy.optimizing.metric
    metric, totals = case.metrics[name], case.totals(0)
    if rule.column is not None:
        # People give answers, not probabilities: there is no log loss of them.
        name, metric = ("error_rate", WRONG) if metric.of_scores else (name, metric)
        return name, replace(gain(totals, metric, HUMAN), label=f"{metric.label} over people")
    label, n = "error rate over people", rule.n or 0
    ours = level(totals, WRONG, "challenger")
    if not isinstance(ours.interval, Share):
        return "error_rate", replace(ours, label=label)
    theirs = Share((rule.error or 0.0) * n, n)
    few = "" if n >= MIN_UNITS else f"people were seen on only {n} rows, at least {MIN_UNITS} are needed for any claim"
    return "error_rate", replace(ours, label=label, interval=ShareGap(theirs, ours.interval), reason=ours.reason or few)
