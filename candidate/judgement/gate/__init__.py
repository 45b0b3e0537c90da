"""The verdict: a pure and total function of policy and evidence.

A go is an intersection of rules, so each may be held at alpha and a wrong go is no more likely than
alpha. A no-go is a union of claims, so all of them share alpha by Holm's method. What is neither
proven to hold nor proven broken is open; a value that is undefined is open, never a pass.

Sources: Berger 1982 (intersection-union tests); Holm 1979.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candidate.documents.decision import Outcome, Risks, Verdict, outcome_of
from candidate.documents.evidence import Evidence, ModelRole, StateAxes
from candidate.documents.policy import Policy
from candidate.errors import InputError, IntegrityError
from candidate.judgement.gate.baselines import baseline_claims
from candidate.judgement.gate.calibrated import calibration_claims
from candidate.judgement.gate.case import Case
from candidate.judgement.gate.checklist import checklist
from candidate.judgement.gate.claims import Claim
from candidate.judgement.gate.facts import (
    availability_claims,
    contamination_claims,
    holdout_claims,
    packaging_claims,
    reproducibility_claims,
    rollback_claims,
    skew_claims,
)
from candidate.judgement.gate.measures import estimate_metric
from candidate.judgement.gate.robust import robustness_claims
from candidate.judgement.gate.rules import (
    optimizing_claims,
    satisficing_claims,
    slice_claims,
)
from candidate.judgement.gate.tainted import tainted_claims
from candidate.judgement.histograms import RANK_BINS
from candidate.judgement.holdout import alpha_of
from candidate.judgement.multiplicity import holm
from candidate.judgement.state import BIN_STATISTICS, Layout, State

__all__ = ["Arrays", "bins_shape", "claims_of", "estimate_metric", "judge"]

_RULES = (
    optimizing_claims,
    baseline_claims,
    contamination_claims,
    tainted_claims,
    holdout_claims,
    satisficing_claims,
    robustness_claims,
    slice_claims,
    calibration_claims,
    availability_claims,
    skew_claims,
    reproducibility_claims,
    packaging_claims,
    rollback_claims,
)


@dataclass(frozen=True)
class Arrays:
    """The numbers that the evidence document describes.

    Attributes:
        state: counts of the rows.
        latency: durations in nanoseconds, shape (rounds, models, calls); None if none were measured.
        tainted: counts of the rows among them that the challenger was trained on; None if there are none.
    """

    state: State
    latency: NDArray[np.int64] | None
    tainted: State | None = None


def _check(policy: Policy, evidence: Evidence, arrays: Arrays) -> None:
    """Refuse a policy and evidence that do not belong together, and arrays that are not described."""
    if (policy.champion == "none") != (evidence.champion is None):
        measured = "no champion" if evidence.champion is None else "a champion"
        raise InputError(
            f"the evidence has {measured}, the policy says champion = {policy.champion!r}",
            where="policy champion",
            hint="a first release needs champion = 'none' in the policy, and no other does",
        )
    axes, timed = evidence.state, evidence.latency
    alone: tuple[ModelRole, ...] = ("challenger",)
    models = alone if evidence.champion is None else (*alone, "champion")
    models = models if policy.baselines.heuristic is None else (*models, "heuristic")
    layout = Layout.of(axes)
    if layout is None or axes.models != models or axes.statistics != layout.statistics or not axes.slices:
        raise IntegrityError("the axes of the state are not those of this comparison", where="state")
    asked = (policy.kind_of_task, policy.data.weight is not None, policy.summed, policy.reviewed is not None)
    if (axes.task, axes.weighted, axes.columns, axes.human) != asked:
        raise IntegrityError("the state was not counted as the policy asks", where="state")
    spent, rule = evidence.holdout, policy.holdout
    if spent is not None and (rule is None or spent.alpha != alpha_of(spent.look, policy.alpha, rule)):
        raise IntegrityError("the look is not held at the alpha that the policy gives it", where="holdout")
    ranked = axes.ranked
    if ranked != arrays.state.ranked or (ranked and not 0 <= min(ranked) <= max(ranked) < len(axes.slices)):
        raise IntegrityError("the histograms are not those of the slices that the evidence names", where="histograms")
    _check_panels(axes.calibrated, arrays.state.calibrated, len(axes.slices))
    ordered = (axes.buckets, len(axes.models)) if ranked else (0, 0)
    expected = {
        "histograms": (len(ranked), *ordered, 2, RANK_BINS),
        "state": (len(axes.slices), axes.buckets, len(axes.statistics)),
        "calibration": bins_shape(axes, layout),
        "latency": None if timed is None else (timed.rounds, len(timed.models), timed.calls),
    }
    found = {
        "histograms": arrays.state.histograms.shape,
        "state": arrays.state.counts.shape,
        "calibration": arrays.state.bins.shape,
        "latency": None if arrays.latency is None else arrays.latency.shape,
    }
    for name, shape in expected.items():
        if found[name] != shape:
            raise IntegrityError(f"array of shape {found[name]}, the evidence says {shape}", where=name)
    _check_tainted(evidence, arrays)


def _check_panels(said: tuple[int, ...], counted: tuple[int, ...], slices: int) -> None:
    """Refuse calibration bins of other slices than are named."""
    if said != counted or (said and not 0 < min(said) <= max(said) < slices):
        raise IntegrityError("the bins are not those of the slices that the evidence names", where="calibration")


def bins_shape(axes: StateAxes, layout: Layout) -> tuple[int, ...]:
    """Return the shape of ``calibration.npy``."""
    panels = 1 + len(axes.calibrated)
    return (panels, layout.curves, axes.buckets, len(axes.models), axes.calibration_bins, len(BIN_STATISTICS))


def _check_tainted(evidence: Evidence, arrays: Arrays) -> None:
    """Refuse tainted rows that are not described, or that are not among all rows."""
    said = 0 if evidence.contamination is None else evidence.contamination.rows
    if (arrays.tainted is not None) != (said > 0):
        raise IntegrityError("tainted rows are said and not counted, or the reverse", where="contamination")
    if arrays.tainted is None:
        return
    try:
        clean = arrays.state - arrays.tainted
    except InputError as error:
        raise IntegrityError(error.message, where="tainted") from error
    rows = arrays.tainted.counts[:, :, 0]
    if (rows < 0).any() or (clean.counts[:, :, 0] < 0).any() or not 0 < said <= evidence.data.rows:
        raise IntegrityError("the tainted rows are not among the rows", where="tainted")


def _outcomes(policy: Policy, evidence: Evidence, arrays: Arrays) -> tuple[Outcome, Outcome] | None:
    """Return what the other rules say of all rows, and of all but the tainted ones."""
    if policy.contamination is None or arrays.tainted is None:
        return None
    bare, plain = policy.model_copy(update={"contamination": None}), evidence.model_copy(update={"contamination": None})
    whole, clean = (
        judge(bare, plain, Arrays(state, arrays.latency)) for state in (arrays.state, arrays.state - arrays.tainted)
    )
    return whole.outcome, clean.outcome


def claims_of(policy: Policy, evidence: Evidence, arrays: Arrays) -> list[Claim]:
    """Return the answer of every rule, before the family of no-go claims is corrected.

    Raises:
        InputError: policy and evidence disagree on whether there is a champion.
        IntegrityError: the arrays are not those that the evidence describes.
    """
    _check(policy, evidence, arrays)
    case = Case(policy, evidence, arrays.state, arrays.latency, arrays.tainted, _outcomes(policy, evidence, arrays))
    return [claim for rule in _RULES for claim in rule(case)]


def judge(policy: Policy, evidence: Evidence, arrays: Arrays) -> Verdict:
    """Return what the policy says of the evidence; the same bytes for the same input, anywhere.

    Args:
        policy: what must hold.
        evidence: what was measured.
        arrays: the numbers that the evidence describes.

    Raises:
        InputError: policy and evidence disagree on whether there is a champion.
        IntegrityError: the arrays are not those that the evidence describes.
    """
    claims = claims_of(policy, evidence, arrays)
    family = [position for position, claim in enumerate(claims) if claim.p_value is not None]
    proven = holm([claims[position].p_value or 0.0 for position in family], policy.alpha)
    broken = {position for position, is_proven in zip(family, proven, strict=True) if is_proven}
    findings = tuple(claim.finding(proven=position in broken) for position, claim in enumerate(claims))
    lines = checklist(policy, evidence, findings)
    return Verdict(
        outcome=outcome_of(findings, lines),
        findings=findings,
        checklist=lines,
        risks=Risks(
            false_go=policy.alpha,
            false_no_go=policy.alpha,
            power=policy.power,
            no_go_claims=len(family),
        ),
    )
