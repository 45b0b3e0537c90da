"""A decision's outcome follows from its findings, or it is no decision."""

import json
from typing import Any

import pytest

from candidate.documents.decision import (
    EXIT_CODES,
    ChecklistItem,
    Decision,
    Finding,
    LineStatus,
    Outcome,
    Risks,
    Status,
    Verdict,
    outcome_of,
)
from candidate.documents.evidence import BundleRef, DataFacts
from candidate.documents.policy import CHECKLIST
from candidate.errors import IntegrityError

RISKS = Risks(false_go=0.05, false_no_go=0.05, power=0.8, no_go_claims=3)


def finding(status: Status, *, blocks: bool = True) -> Finding:
    """A finding of this status."""
    return Finding(rule="optimizing", line="optimizing", metric="f1", status=status, blocks=blocks, why="so")


def checklist(status: LineStatus = "pass", *, required: bool = True) -> tuple[ChecklistItem, ...]:
    """Nine lines, the last of this status."""
    return tuple(
        ChecklistItem(
            number=number + 1,
            line=line,
            claim="holds",
            status=status if number == 8 else "pass",
            required=required or number < 8,
            evidence=(),
            why="so",
        )
        for number, line in enumerate(CHECKLIST)
    )


def bundle(letter: str) -> BundleRef:
    """A bundle that is easy to tell from others."""
    return BundleRef(name="late-flights", version=letter, digest="sha256:" + letter * 64)


def decision(**changes: Any) -> Decision:
    """A go, with some fields different."""
    digest = "sha256:" + "c" * 64
    whole: dict[str, Any] = {
        "outcome": "go",
        "challenger": bundle("a"),
        "champion": bundle("b"),
        "rollback_target": bundle("b"),
        "policy": digest,
        "evidence": digest,
        "data": DataFacts(file=digest, rows=10, units=5, label="late", unit="day"),
        "registry": None,
        "channel": None,
        "sequence": None,
        "issued": "2026-11-23T00:00:00Z",
        "expires": "2026-11-24T00:00:00Z",
        "findings": (finding("pass"),),
        "checklist": checklist(),
        "risks": RISKS,
    }
    return Decision(**{**whole, **changes})


@pytest.mark.parametrize(
    ("findings", "lines", "outcome"),
    [
        ((finding("pass"),), checklist(), "go"),
        ((finding("pass"), finding("open", blocks=False), finding("blind", blocks=False)), checklist(), "go"),
        ((finding("pass"), finding("open")), checklist(), "inconclusive"),
        ((finding("blind"),), checklist(), "inconclusive"),
        ((finding("pass"), finding("fail", blocks=False)), checklist(), "no-go"),
        ((finding("open"), finding("fail")), checklist("fail"), "no-go"),
        ((finding("pass"),), checklist("absent"), "inconclusive"),
        ((finding("pass"),), checklist("open"), "inconclusive"),
        ((finding("pass"),), checklist("absent", required=False), "go"),
        ((), checklist(), "inconclusive"),
        ((finding("pass"),), (), "inconclusive"),
    ],
)
def test_the_outcome_is_what_the_findings_force(
    findings: tuple[Finding, ...], lines: tuple[ChecklistItem, ...], outcome: Outcome
) -> None:
    """A failure stops, an open question leaves open, and nothing found is never a go."""
    assert outcome_of(findings, lines) == outcome


def test_each_outcome_has_its_exit_code() -> None:
    """Neither 1 (a crash of Python) nor 2 (a usage error)."""
    assert EXIT_CODES == {"go": 0, "no-go": 3, "inconclusive": 4}


@pytest.mark.parametrize("outcome", ["no-go", "inconclusive"])
def test_an_outcome_that_does_not_follow_is_refused(outcome: Outcome) -> None:
    """In a verdict and in a decision, read from bytes as well."""
    with pytest.raises(ValueError, match="outcome does not follow from the findings"):
        Verdict(outcome=outcome, findings=(finding("pass"),), checklist=checklist(), risks=RISKS)
    with pytest.raises(ValueError, match="outcome does not follow from the findings"):
        decision(outcome=outcome)
    forged = json.loads(decision().to_bytes()) | {"outcome": outcome}
    data = json.dumps(forged, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(IntegrityError, match="outcome does not follow from the findings"):
        Decision.from_bytes(data)


def test_the_checklist_has_its_nine_lines_in_order() -> None:
    """A line cannot be dropped or told twice."""
    swapped = (checklist()[1], checklist()[0], *checklist()[2:])

    with pytest.raises(ValueError, match="nine lines in order"):
        Verdict(outcome="go", findings=(finding("pass"),), checklist=swapped, risks=RISKS)
    with pytest.raises(ValueError, match="nine lines in order"):
        decision(checklist=swapped)
    with pytest.raises(ValueError, match="at least 9"):
        decision(checklist=checklist()[:8])


def test_the_rollback_target_is_the_champion() -> None:
    """The way back was rehearsed for exactly that bundle."""
    with pytest.raises(ValueError, match="rollback target is the champion"):
        decision(rollback_target=bundle("d"))
    assert decision(champion=None, rollback_target=None).champion is None


def test_a_decision_holds_its_verdict() -> None:
    """The part that anyone can recompute from policy and evidence."""
    found = decision()

    assert found.verdict == Verdict(outcome="go", findings=found.findings, checklist=found.checklist, risks=RISKS)
    assert Decision.from_bytes(found.to_bytes()) == found
