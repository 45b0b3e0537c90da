"""What a comparison could tell with so many rows, from a pilot: power, detectable effects, rows needed.

Everything follows from the half-widths of the pilot's intervals, which shrink with the root of the
rows; clusters and pairing are in them already. A guard must pass together with every other rule, so
with G guards each is planned at beta / G. Harm in one of many watched slices is claimed by Holm's
method, whose first step, alpha over the number of claims, is what a lone harm must survive.

Source: the formulas are those of a one-sided test on a normal estimate, n = ((z_a + z_b) sd / effect)**2
(for example Chow, Shao, Wang and Lokhnygina 2017, chapter 3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from candidate.documents.evidence import Evidence
from candidate.documents.plan import Aim, PlanLine
from candidate.documents.policy import Policy
from candidate.judgement.gate import Arrays, claims_of
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.claims import Claim
from candidate.judgement.gate.measures import LARGEST
from candidate.judgement.holdout import alpha_of
from candidate.judgement.intervals import t_quantile, t_share_below
from candidate.judgement.state import Totals

ERRORS = {"error_rate", "accuracy"}


@dataclass(frozen=True)
class Planned:
    """What a pilot says of a policy's rules.

    Attributes:
        lines: one for each rule and slice that a bound is known of.
        undecidable: the others, each with why.
        look_alpha: error rate of the optimizing metric.
        guard_power: power of each guard.
        claims: size of the family of no-go claims.
        go_power: lower bound of the chance of a go.
    """

    lines: tuple[PlanLine, ...]
    undecidable: tuple[str, ...]
    look_alpha: float
    guard_power: float
    claims: int
    go_power: float


def rows_needed(spread: float, effect: float, alpha: float, power: float) -> int | None:
    """Return the rows at which an effect is told from none; null where it is none, or beyond all data.

    Args:
        spread: standard deviation of one row.
        effect: distance to be told from none.
        alpha: one-sided.
        power: chance of telling it.
    """
    if not effect > 0:
        return None
    reach = t_quantile(1 - alpha, None) + t_quantile(power, None)
    needed = (reach * spread / effect) ** 2
    return max(1, math.ceil(needed - 1e-9)) if needed < LARGEST else None


def _aim(claim: Claim) -> Aim:
    if claim.rule.startswith("slices.guard"):
        return "no harm"
    if claim.rule.startswith("slices.watch"):
        return "harm seen"
    return "gain" if claim.rule == "optimizing" or claim.rule.startswith("baselines") else "limit"


def _errors(totals: Totals, spread: float) -> tuple[float, float | None]:
    """Return the share of rows in which exactly one is right, and the design effect."""
    whole = totals.summed()
    weight = max(float(whole["n"]), 1.0)
    gained, lost = float(whole["gained"]) / weight, float(whole["lost"]) / weight
    independent = gained + lost - (gained - lost) ** 2
    return gained + lost, spread**2 / independent if independent > 0 else None


def _line(claim: Claim, case: Case, scale: float, plan: "_Rates") -> PlanLine | str:
    """Return what a rule could tell of a slice with so many times the pilot's rows, or why nothing is known."""
    where = f"{claim.rule} {claim.slice or ''}".strip()
    known, limit = claim.estimate, claim.limit
    if known is None or limit is None or known.lower is None or known.upper is None or known.units is None:
        return f"{where}: {claim.why.get(claim.otherwise, 'nothing is measured of it')}"
    aim = _aim(claim)
    alpha = plan.look_alpha if claim.rule == "optimizing" else plan.alpha
    above = aim != "limit" or claim.rule in plan.floors
    half = known.value - known.lower if above else known.upper - known.value
    error = half / t_quantile(1 - plan.alpha, max(known.units - 1, 1))
    spread, rows = error * math.sqrt(known.n), max(1, round(known.n * scale))
    at = spread / math.sqrt(rows)
    slack = -limit if aim in {"no harm", "harm seen"} else known.value - limit if above else limit - known.value
    wanted = {"no harm": plan.guard_power}.get(aim, plan.power)
    critical, reach = t_quantile(1 - alpha, None), t_quantile(plan.power, None)
    sees = at * (critical + reach)
    if aim == "harm seen":
        blind = sees > plan.max_mde.get(claim.rule, math.inf)
        needed = rows_needed(spread, plan.max_mde.get(claim.rule, -limit), alpha, plan.power)
        sees = at * (t_quantile(1 - plan.alpha / max(plan.claims, 1), None) + reach)
    else:
        needed = rows_needed(spread, slack, alpha, wanted)
        blind = needed is None or rows < needed
    index = next((i for i, key in enumerate(case.evidence.state.slices) if key.name == claim.slice), None)
    discordance = effect = None
    paired = not claim.rule.startswith("baselines") and case.evidence.champion is not None
    if claim.metric in ERRORS and aim != "limit" and index is not None and paired:
        discordance, effect = _errors(case.totals(index), spread)
    return PlanLine(
        rule=claim.rule,
        metric=claim.metric,
        slice=claim.slice,
        aim=aim,
        pilot_rows=known.n,
        rows=rows,
        effect=known.value,
        limit=limit,
        spread=spread,
        discordance=discordance,
        design_effect=effect,
        detects=sees,
        power=t_share_below(slack / at - critical, None) if at > 0 else float(slack > 0),
        n_needed=needed,
        blind=blind,
    )


@dataclass(frozen=True)
class _Rates:
    """Error rates and powers that lines are planned with."""

    alpha: float
    look_alpha: float
    power: float
    guard_power: float
    claims: int
    max_mde: dict[str, float]
    floors: frozenset[str]


def planned(policy: Policy, evidence: Evidence, arrays: Arrays, rows: int) -> Planned:
    """Return what a comparison on so many rows could tell, from the evidence of a pilot.

    Args:
        policy: what will be held.
        evidence: of the pilot, measured for this policy.
        arrays: the numbers that it describes.
        rows: of the blackbox.

    Raises:
        InputError: as ``judge``.
        IntegrityError: as ``judge``.
    """
    case = Case(policy, evidence, arrays.state, arrays.latency)
    claims = [
        claim
        for claim in claims_of(policy, evidence, arrays)
        if claim.line in {"optimizing", "satisficing", "slices", "calibration"}
    ]
    measured = [claim for claim in claims if claim.estimate is None or claim.estimate.units is not None]
    measured = [claim for claim in measured if claim.rule not in {"contamination", "holdout", "slices"}]
    guards = sum(claim.rule.startswith("slices.guard") for claim in measured)
    family = sum(claim.p_value is not None for claim in claims)
    watched = policy.slices.watch
    rates = _Rates(
        alpha=policy.alpha,
        look_alpha=policy.alpha if policy.holdout is None else alpha_of(1, policy.alpha, policy.holdout),
        power=policy.power,
        guard_power=1 - (1 - policy.power) / max(guards, 1),
        claims=family,
        max_mde={
            f"slices.watch[{position}]": rule.margin if policy.slices.max_mde is None else policy.slices.max_mde
            for position, rule in enumerate(watched)
        },
        floors=frozenset(
            f"satisficing[{position}]" for position, limit in enumerate(policy.satisficing) if limit.min is not None
        ),
    )
    found = [_line(claim, case, rows / max(evidence.data.rows, 1), rates) for claim in measured]
    lines = tuple(line for line in found if isinstance(line, PlanLine))
    blocking = {(claim.rule, claim.slice, claim.metric) for claim in measured if claim.blocks}
    return Planned(
        lines=lines,
        undecidable=tuple(line for line in found if isinstance(line, str)),
        look_alpha=rates.look_alpha,
        guard_power=rates.guard_power,
        claims=family,
        go_power=_together([line for line in lines if (line.rule, line.slice, line.metric) in blocking]),
    )


def _together(lines: Sequence[PlanLine]) -> float:
    """Return a lower bound of the chance that all pass, however they depend on each other (Bonferroni)."""
    return max(0.0, 1.0 - sum(1.0 - line.power for line in lines))
