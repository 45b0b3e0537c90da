"""What an approver says in other people's words: the same verdict, never a better one."""

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2 as result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement as ForeignStatement

from candidate.adapters.verdicts import (
    claims_bytes,
    claims_in,
    decimal_text,
    rule_name,
    verdict_statements,
)
from candidate.canonical import canonical
from candidate.document import Document
from candidate.documents.decision import Decision, Finding
from candidate.documents.evidence import Evidence
from candidate.documents.names import DECISION_TYPE, EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE
from candidate.documents.policy import Policy
from candidate.documents.predicates import EvaluationPredicate, SummaryPredicate, TestResultPredicate
from candidate.documents.statement import Statement
from candidate.errors import IntegrityError
from candidate.judgement.gate import judge
from tests.judgement.worlds import durations, policy, simulate, world

WORLDS: dict[str, dict[str, Any]] = {
    "go": {"rows": 40_000, "noise": (0.2, 2.0)},
    "no-go": {"rows": 40_000, "noise": (2.0, 0.2)},
    "inconclusive": {"rows": 600, "noise": (0.5, 0.5)},
}
VSA_FIELDS = {
    "verifier",
    "timeVerified",
    "resourceUri",
    "policy",
    "inputAttestations",
    "verificationResult",
    "verifiedLevels",
    "dependencyLevels",
    "slsaVersion",
}
"""Of the SLSA verification summary, v1.1 of its text."""
VSA_REQUIRED = {"verifier", "resourceUri", "policy", "verificationResult", "verifiedLevels"}


def decided(outcome: str, *, channel: str | None = "late-flights/prod") -> tuple[Decision, Evidence, Policy]:
    """A decision with the outcome, as the gate made it of simulated rows."""
    rng = np.random.default_rng(7)
    rules = policy(
        satisficing=[
            {"metric": "size_bytes", "max": 1_000_000.0},
            {"metric": "accuracy", "min": 0.01, "by": "origin"},
            {"metric": "latency_p99_ms", "max": 5.0},
        ]
    )
    made = world(simulate(rng, **WORLDS[outcome]), latency=durations(rng), rules=rules)
    evidence = made.evidence.model_copy(update={"environment": {"candidate": "0.1.0"}})
    verdict = judge(rules, evidence, made.arrays)
    assert evidence.champion is not None
    decision = Decision(
        outcome=verdict.outcome,
        challenger=evidence.challenger.bundle,
        champion=evidence.champion.bundle,
        rollback_target=evidence.champion.bundle,
        policy=evidence.policy,
        evidence=evidence.digest,
        data=evidence.data,
        registry=None,
        channel=channel,
        sequence=None,
        issued="2026-11-01T11:00:00Z",
        expires="2026-11-02T11:00:00Z",
        findings=verdict.findings,
        checklist=verdict.checklist,
        risks=verdict.risks,
    )
    assert decision.outcome == outcome
    return decision, evidence, rules


def said(outcome: str, **more: Any) -> dict[str, Statement]:
    """The statements of a decision by predicate type."""
    return {each.predicate_type: each for each in verdict_statements(*decided(outcome, **more))}


@pytest.mark.parametrize("outcome", WORLDS)
def test_every_statement_is_about_the_challenger_and_follows_from_the_evidence(outcome: str) -> None:
    """One subject, its content manifest; made twice the same bytes; the decision comes first."""
    decision, evidence, rules = decided(outcome)
    made = verdict_statements(decision, evidence, rules)
    digest = decision.challenger.digest.removeprefix("sha256:")

    assert [each.predicate_type for each in made] == [DECISION_TYPE, EVALUATION_TYPE, TEST_RESULT_TYPE, VSA_TYPE]
    assert {subject.digest.sha256 for each in made for subject in each.subject} == {digest}
    assert [each.to_bytes() for each in made] == [each.to_bytes() for each in verdict_statements(*decided(outcome))]


@pytest.mark.parametrize("outcome", WORLDS)
def test_the_predicates_are_the_closed_documents_they_say_they_are(outcome: str) -> None:
    """What is signed reads back as its own model, and not with one field more."""
    found = said(outcome)
    models: dict[str, type[Document]] = {
        EVALUATION_TYPE: EvaluationPredicate,
        TEST_RESULT_TYPE: TestResultPredicate,
        VSA_TYPE: SummaryPredicate,
    }
    for kind, model in models.items():
        fields = found[kind].predicate
        assert model.from_bytes(canonical(fields)).to_bytes() == canonical(fields)
        with pytest.raises(IntegrityError, match="unknown key"):
            model.from_bytes(canonical({**fields, "more": 1}))


@pytest.mark.parametrize("outcome", WORLDS)
def test_in_totos_own_library_reads_the_statements_and_the_test_result(outcome: str) -> None:
    """Statement and ResourceDescriptor as in-toto's protobufs have them; an unknown field would be refused."""
    for statement in said(outcome).values():
        parsed: Message = json_format.Parse(statement.to_bytes(), statement_pb2.Statement())
        ForeignStatement.copy_from_pb(parsed).validate()
    predicate = json.dumps(said(outcome)[TEST_RESULT_TYPE].predicate)
    result = json_format.Parse(predicate, result_pb2.TestResult())

    assert result.result == {"go": "PASSED", "no-go": "FAILED", "inconclusive": "WARNED"}[outcome]
    assert [each.name for each in result.configuration] == ["policy.json", "evidence.json"]
    with pytest.raises(json_format.ParseError):
        json_format.Parse('{"colour": "red"}', result_pb2.TestResult())


def test_a_claim_carries_the_numbers_of_its_finding() -> None:
    """Threshold, value and bounds read back as the very doubles; the comparator follows from the rule."""
    decision, evidence, rules = decided("go")
    predicate = said("go")[EVALUATION_TYPE].predicate
    claims = EvaluationPredicate.from_bytes(canonical(predicate)).claims
    held = [finding for finding in decision.findings if finding.limit is not None]

    assert len(claims) == len(held)
    for claim, finding in zip(claims, held, strict=True):
        assert (claim.rule, claim.metric, claim.slice) == (finding.rule, finding.metric, finding.slice)
        assert (float(claim.threshold), claim.passed) == (finding.limit, finding.status == "pass")
        estimate = finding.estimate
        assert estimate is not None
        assert (float(claim.value or "nan"), claim.sample_size) == (estimate.value, estimate.n)
        bounds = claim.confidence_interval
        assert bounds is not None
        assert float(bounds.lower_bound or "nan") == estimate.lower
    comparators = {claim.rule: claim.comparator for claim in claims}
    assert comparators == {
        "optimizing": ">",
        "baselines.zero_rule": ">",
        "satisficing[0]": "<=",
        "satisficing[1]": ">=",
        "satisficing[2]": "<=",
        "slices.guard[0]": ">",
        "calibration": "<=",
        "skew.parity": "<=",
    }
    assert predicate["preRegistration"] == {"alg": "sha256", "value": rules.digest.removeprefix("sha256:")}
    assert predicate["dataset"] == {
        "name": "blackbox",
        "digest": {"sha256": evidence.data.file.removeprefix("sha256:")},
    }
    assert predicate["harness"] == {"name": "candidate", "version": "0.1.0"}


@pytest.mark.parametrize("outcome", WORLDS)
def test_a_summary_has_the_fields_of_the_specification_and_passes_for_a_go_alone(outcome: str) -> None:
    """Required fields present, none that SLSA does not have, no level of SLSA's own, all inputs by digest."""
    found = said(outcome)
    fields = found[VSA_TYPE].predicate
    go = outcome == "go"

    assert VSA_REQUIRED <= fields.keys() <= VSA_FIELDS
    assert fields["verificationResult"] == ("PASSED" if go else "FAILED")
    assert fields["verifiedLevels"] == (["CANDIDATE_GO"] if go else ["FAILED"])
    assert fields["resourceUri"] == "candidate:late-flights/prod"
    assert fields["verifier"] == {"id": "https://candidate.dev/verifier/local", "version": {"candidate": "0.1.0"}}
    inputs: Any = fields["inputAttestations"]
    expected = {kind: each.digest.removeprefix("sha256:") for kind, each in found.items() if kind != VSA_TYPE}
    assert {each["name"]: each["digest"]["sha256"] for each in inputs} == expected


def test_a_summary_without_a_channel_names_the_model() -> None:
    """A verdict that is bound to no channel must not look like one that is."""
    assert said("go", channel=None)[VSA_TYPE].predicate["resourceUri"] == "candidate:late-flights"


def test_evidence_that_does_not_say_who_measured_leaves_the_version_out() -> None:
    """An absent field says nothing; a made-up one would."""
    decision, evidence, rules = decided("go")
    made = verdict_statements(decision, evidence.model_copy(update={"environment": {}}), rules)

    assert "harness" not in made[1].predicate
    assert made[3].predicate["verifier"] == {"id": "https://candidate.dev/verifier/local"}


@pytest.mark.parametrize("outcome", WORLDS)
def test_every_rule_and_every_required_line_is_one_test(outcome: str) -> None:
    """Names do not repeat; what failed is the reason for a no-go, and a go has nothing but passes that block."""
    decision, *_ = decided(outcome)
    fields = said(outcome)[TEST_RESULT_TYPE].predicate
    result = TestResultPredicate.from_bytes(canonical(fields))
    lists = {"passed": result.passed_tests, "warned": result.warned_tests, "failed": result.failed_tests}
    names = [name for each in lists.values() for name in each]

    assert len(set(names)) == len(names) == len(decision.findings) + 9
    assert bool(lists["failed"]) == (outcome == "no-go")
    assert outcome != "inconclusive" or lists["warned"]
    blocking = {rule_name(finding) for finding in decision.findings if finding.blocks}
    assert outcome != "go" or blocking <= set(lists["passed"])


@pytest.mark.parametrize("value", [0.1, 1e-7, -2.5e-12, 1e22, 3.0, 0.0, 1 / 3, 5e-324])
def test_a_decimal_string_reads_back_as_the_same_double(value: float) -> None:
    """No exponent, no digit lost."""
    text = decimal_text(value)

    assert float(text) == value
    assert "e" not in text.lower()


def test_a_slice_is_part_of_a_rules_name_where_there_are_several() -> None:
    """The overall slice needs no telling apart."""
    finding = Finding(rule="slices.guard[0]", line="slices", metric="log_loss", status="pass", blocks=True, why="so")

    assert rule_name(finding) == "slices.guard[0]"
    assert rule_name(finding.model_copy(update={"slice": "overall"})) == "slices.guard[0]"
    assert rule_name(finding.model_copy(update={"slice": "origin=EWR"})) == "slices.guard[0] [origin=EWR]"


def test_claims_are_one_attestation_a_line() -> None:
    """Reading inverts writing; a cut or an empty line is not read over."""
    assert claims_in(claims_bytes([b"a", b"b"]), where="x") == (b"a", b"b")
    for broken in (b"", b"a", b"a\nb", b"a\n\nb\n", b"\n"):
        with pytest.raises(IntegrityError, match="not one attestation on each line"):
            claims_in(broken, where="x")
