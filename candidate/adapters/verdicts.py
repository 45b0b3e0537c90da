"""What an approver says of a bundle: the decision, and the same in the words of formats that other tools read.

Every statement is a function of decision, evidence and policy alone, so whoever has these can make it
again and compare; ``candidate audit`` does.

Sources: in-toto eval-result draft v0.2 (field names), in-toto test-result v0.1, SLSA verification
summary v1.
"""

import decimal
from collections.abc import Iterator, Sequence

from candidate.documents.decision import Decision, Estimate, Finding, Outcome
from candidate.documents.evidence import EVIDENCE_FILE, POLICY_FILE, Evidence
from candidate.documents.manifest import ShaDigest
from candidate.documents.names import DECISION_TYPE, EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE
from candidate.documents.policy import Policy
from candidate.documents.predicates import (
    Bounds,
    EvaluationClaim,
    EvaluationPredicate,
    Evaluator,
    Named,
    PolicyResource,
    Predicate,
    PreRegistration,
    Resource,
    SummaryPredicate,
    TestResultPredicate,
    Verifier,
)
from candidate.documents.statement import Statement, Subject
from candidate.errors import IntegrityError

EVALUATOR_ID = "https://candidate.dev/evaluator/local"
"""A comparison on somebody's machine or CI; whoever attests it is known by the key."""
VERIFIER_ID = "https://candidate.dev/verifier/local"
GO_LEVEL = "CANDIDATE_GO"
RESULTS: dict[Outcome, str] = {"go": "PASSED", "no-go": "FAILED", "inconclusive": "WARNED"}
VERSION_KEY = "candidate"
"""Where the evidence's environment says which version of us measured."""
STATEMENT_MEDIA_TYPE = "application/vnd.in-toto+json"
OVERALL = "overall"


def decision_statement(decision: Decision) -> Statement:
    """Return the in-toto statement that is signed: the decision about the challenger."""
    return _about(decision, DECISION_TYPE, decision.model_dump(mode="json"))


def evaluation_statement(decision: Decision, evidence: Evidence, policy: Policy) -> Statement:
    """Return what was measured, and every number that was held against a threshold.

    Args:
        decision: its findings are the claims.
        evidence: that the decision rests on.
        policy: that the evidence was measured for.
    """
    version = evidence.environment.get(VERSION_KEY)
    predicate = EvaluationPredicate(
        evaluator=Evaluator(id=EVALUATOR_ID),
        evaluated_at=decision.issued,
        suite=Named(name=policy.kind, version=str(policy.version)),
        claims=tuple(_claims(decision, policy)),
        sample_size=decision.data.rows,
        model=Resource(name=_name(decision), digest=_sha(decision.challenger.digest)),
        dataset=Resource(name="blackbox", digest=_sha(decision.data.file)),
        pre_registration=PreRegistration(value=decision.policy.removeprefix("sha256:")),
        evidence=(_file(EVIDENCE_FILE, decision.evidence),),
        harness=None if version is None else Named(name=VERSION_KEY, version=version),
    )
    return _about(decision, EVALUATION_TYPE, _fields(predicate))


def outcome_statement(decision: Decision) -> Statement:
    """Return which rules and which required lines of the checklist held, for tools that know only tests."""
    told: dict[str, list[str]] = {"pass": [], "warn": [], "fail": []}
    for finding in decision.findings:
        told[finding.status if finding.status in told else "warn"].append(rule_name(finding))
    for item in decision.checklist:
        if item.required:
            told[item.status if item.status in told else "warn"].append(f"checklist.{item.line}")
    predicate = TestResultPredicate.model_validate(
        {
            "result": RESULTS[decision.outcome],
            "configuration": (_file(POLICY_FILE, decision.policy), _file(EVIDENCE_FILE, decision.evidence)),
            "passedTests": tuple(told["pass"]),
            "warnedTests": tuple(told["warn"]),
            "failedTests": tuple(told["fail"]),
        }
    )
    return _about(decision, TEST_RESULT_TYPE, _fields(predicate))


def summary_statement(decision: Decision, evidence: Evidence, inputs: tuple[Statement, ...]) -> Statement:
    """Return the verdict as a SLSA verification summary; anything but a go has FAILED.

    Args:
        decision: the verdict.
        evidence: that it rests on.
        inputs: the statements that it sums up.
    """
    go = decision.outcome == "go"
    version = evidence.environment.get(VERSION_KEY)
    predicate = SummaryPredicate(
        verifier=Verifier(id=VERIFIER_ID, version=None if version is None else {VERSION_KEY: version}),
        time_verified=decision.issued,
        resource_uri=f"candidate:{decision.channel or decision.challenger.name}",
        policy=PolicyResource(uri=f"candidate:policy/{decision.policy}", digest=_sha(decision.policy)),
        input_attestations=tuple(
            Resource(name=each.predicate_type, digest=_sha(each.digest), media_type=STATEMENT_MEDIA_TYPE)
            for each in inputs
        ),
        verification_result="PASSED" if go else "FAILED",
        verified_levels=("CANDIDATE_GO",) if go else ("FAILED",),
    )
    return _about(decision, VSA_TYPE, _fields(predicate))


def verdict_statements(decision: Decision, evidence: Evidence, policy: Policy) -> tuple[Statement, ...]:
    """Return all that an approver signs of a comparison: decision, evaluation, test result, summary.

    Args:
        decision: the verdict, bound to bundles and channel.
        evidence: that it rests on.
        policy: that the evidence was measured for.
    """
    said = (
        decision_statement(decision),
        evaluation_statement(decision, evidence, policy),
        outcome_statement(decision),
    )
    return (*said, summary_statement(decision, evidence, said))


def claims_bytes(attestations: Sequence[bytes]) -> bytes:
    """Return the bytes of a ``claims.jsonl``: one attestation a line."""
    return b"".join(data + b"\n" for data in attestations)


def claims_in(data: bytes, *, where: str) -> tuple[bytes, ...]:
    """Return the attestations of a ``claims.jsonl``; nothing inside them is looked at.

    Raises:
        IntegrityError: the last line has no end, or a line is empty.
    """
    *lines, rest = data.split(b"\n")
    if rest or not lines or not all(lines):
        raise IntegrityError("not one attestation on each line", where=where, hint="fetch the file again")
    return tuple(lines)


def rule_name(finding: Finding) -> str:
    """Return the name of a finding as a test: its rule, and the slice if it is one of several."""
    return finding.rule if finding.slice in {None, OVERALL} else f"{finding.rule} [{finding.slice}]"


def decimal_text(value: float) -> str:
    """Return a number as a decimal string that reads back as the same double; no exponent."""
    return format(decimal.Decimal(repr(value)), "f")


def _claims(decision: Decision, policy: Policy) -> Iterator[EvaluationClaim]:
    """Yield the findings that held a number against a threshold; what is known exactly is not one of them."""
    for finding in decision.findings:
        if finding.limit is None:
            continue
        estimate = finding.estimate
        yield EvaluationClaim.model_validate(
            {
                "rule": finding.rule,
                "metric": finding.metric,
                "slice": finding.slice,
                "comparator": _comparator(finding.rule, policy),
                "threshold": decimal_text(finding.limit),
                "passed": finding.status == "pass",
                "value": None if estimate is None else decimal_text(estimate.value),
                "unit": None if estimate is None else estimate.unit,
                "confidenceInterval": None if estimate is None else _bounds(estimate),
                "method": None if estimate is None else estimate.method,
                "sampleSize": None if estimate is None else estimate.n,
            }
        )


def _bounds(estimate: Estimate) -> Bounds | None:
    if estimate.lower is None and estimate.upper is None:
        return None
    low, high = (None if bound is None else decimal_text(bound) for bound in (estimate.lower, estimate.upper))
    return Bounds(lower_bound=low, upper_bound=high)


def _comparator(rule: str, policy: Policy) -> str:
    """Return how a rule holds its number against its limit: gains must exceed it, levels may reach it."""
    if rule.startswith("satisficing["):
        position = int(rule.removeprefix("satisficing[").removesuffix("]"))
        return "<=" if policy.satisficing[position].max is not None else ">="
    return "<=" if rule in {"calibration", "skew.parity"} else ">"


def _about(decision: Decision, kind: str, predicate: dict[str, object]) -> Statement:
    subject = Subject(name=_name(decision), digest=_sha(decision.challenger.digest))
    return Statement.model_validate({"subject": (subject,), "predicateType": kind, "predicate": predicate})


def _fields(predicate: Predicate) -> dict[str, object]:
    return predicate.model_dump(mode="json", exclude_none=predicate.omit_none)


def _name(decision: Decision) -> str:
    return f"{decision.challenger.name}-{decision.challenger.version}"


def _sha(digest: str) -> ShaDigest:
    return ShaDigest(sha256=digest.removeprefix("sha256:"))


def _file(name: str, digest: str) -> Resource:
    return Resource(name=name, digest=_sha(digest), media_type="application/json")
