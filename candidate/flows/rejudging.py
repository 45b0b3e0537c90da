"""Judge evidence anew under another policy: exploratory, unsigned, and never a go.

Rules about slices that were not counted are open, and say so. A policy that reads the rows otherwise, such as by
another label or unit, asks about other evidence, and is refused.
"""

from pathlib import Path

from candidate.documents.decision import Outcome
from candidate.documents.evidence import Evidence
from candidate.documents.exploratory import Exploratory
from candidate.documents.policy import Policy, columns_of
from candidate.errors import InputError
from candidate.flows.auditing import judge_again, read_evidence
from candidate.flows.measuring import read_policy
from candidate.flows.outcomes import evidence_folder
from candidate.flows.showing import read_decision
from candidate.judgement.gate import judge

EXIT_CODES: dict[Outcome, int] = {"go": 4, "inconclusive": 4, "no-go": 3}
"""By what it would be: nothing that waits for a go may take this for one."""


def rejudge(decision: Path | str, *, policy: Policy | Path | str, evidence: Path | str | None = None) -> Exploratory:
    """Return what another policy would have said of the evidence of a decision.

    Args:
        decision: ``NAME.json`` as ``compare`` wrote it; it must follow from its evidence.
        policy: the other one.
        evidence: the decision's evidence folder; by default the one beside it.

    Raises:
        InputError: the policy reads the rows otherwise than they were measured.
        IntegrityError: the decision does not follow from its evidence, or something is broken.
    """
    path = Path(decision)
    found = read_decision(path)
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy))
    folder = path.parent / evidence_folder(path.stem) if evidence is None else Path(evidence)
    judge_again(found, evidence=folder, attested=False)
    measured, before, arrays = read_evidence(folder)
    _check_same_rows(rules, before, measured)
    missing = _not_measured(rules, measured)
    verdict = judge(rules, measured, arrays)
    return Exploratory(
        would_be="inconclusive" if missing and verdict.outcome == "go" else verdict.outcome,
        was=found.outcome,
        decision=found.digest,
        evidence=measured.digest,
        policy=rules.digest,
        not_measured=missing,
        findings=verdict.findings,
        checklist=verdict.checklist,
        risks=verdict.risks,
    )


def _check_same_rows(rules: Policy, before: Policy, evidence: Evidence) -> None:
    """Refuse a policy under which the rows would have been counted otherwise: nothing of it can be answered.

    Raises:
        InputError: it is one; the message names every key.
    """
    data, axes = rules.data, evidence.state
    asked: dict[str, tuple[object, object]] = {"task": (rules.kind_of_task, before.kind_of_task)}
    for name in ("label", "unit", "weight", "scale", "buckets"):
        asked[f"data.{name}"] = (getattr(data, name), getattr(before.data, name))
    asked["columns that metrics sum"] = (rules.summed, before.summed)
    asked["data.blackbox"] = (data.blackbox or evidence.data.file, evidence.data.file)
    if evidence.holdout is not None:  # what this look may claim was settled before it was taken
        asked["holdout"] = (rules.holdout, before.holdout)
        asked["alpha"] = (rules.alpha, before.alpha)
    if rules.quantile is not None:
        asked["quantile"] = (rules.quantile, before.quantile or 0.5)
    if rules.calibration is not None and axes.calibration_bins:
        asked["calibration.bins"] = (rules.calibration.bins, axes.calibration_bins)
    wrong = [f"{name} = {said!r}, measured was {found!r}" for name, (said, found) in asked.items() if said != found]
    if wrong:
        raise InputError(
            f"the policy reads the rows otherwise: {'; '.join(wrong)}",
            where="--policy",
            hint="keep these as they were, or compare again under this policy",
        )


def _not_measured(rules: Policy, evidence: Evidence) -> tuple[str, ...]:
    """Return the slices that a policy names and the State does not count, and those without a histogram of scores."""
    slices = evidence.state.slices
    found: dict[tuple[tuple[str, ...], str | None], list[int]] = {}
    for place, key in enumerate(slices):
        found.setdefault((key.by, key.where), []).append(place)
    each = (*rules.slices.guard, *rules.slices.watch)
    selectors = [(columns_of(rule.by), rule.where) for rule in each]
    selectors += [(columns_of(limit.by), None) for limit in rules.satisficing if limit.by is not None]
    by_calibration = () if rules.calibration is None else columns_of(rules.calibration.by)
    if by_calibration:
        selectors.append((by_calibration, None))
    missing = [f"slices of {_said(at)}" for at in dict.fromkeys(selectors) if at not in found]
    unranked = [at for at in rules.ranked if not set(found.get(at, ())) <= set(evidence.state.ranked)]
    missing += [f"the order of scores in {_said(at)}" for at in unranked]
    if not set(found.get((by_calibration, None), ()) if by_calibration else ()) <= set(evidence.state.calibrated):
        missing.append(f"calibration in slices of {' & '.join(by_calibration)}")
    return tuple(missing)


def _said(selector: tuple[tuple[str, ...], str | None]) -> str:
    columns, where = selector
    return where or " & ".join(columns) or "all rows"
