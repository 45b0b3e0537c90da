"""Change a byte, a count or a finding of evidence that was decided on, and see whether an audit notices."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from candidate.adapters.attest import attest, load_signer, new_key
from candidate.adapters.verdicts import decision_statement
from candidate.canonical import canonical, digest_of
from candidate.documents.decision import Decision
from candidate.documents.evidence import (
    BINS_FILE,
    EVIDENCE_FILE,
    HISTOGRAMS_FILE,
    POLICY_FILE,
    STATE_FILE,
    EvidenceFile,
)
from candidate.documents.trust import RoleKeys, TrustPolicy
from candidate.errors import CandidateError
from candidate.flows.auditing import judge_again
from candidate.flows.deciding import check_decision
from candidate.flows.outcomes import array_bytes
from candidate.flows.selftesting.gate import counted, equal_pair, evidence_of
from candidate.flows.selftesting.rows import Rows
from candidate.judgement.gate import Arrays, judge
from candidate.judgement.state import State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISSUED, EXPIRES = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


@dataclass(frozen=True)
class Case:
    """A decision, signed, and the evidence that it follows from.

    Attributes:
        files: the evidence folder.
        decision: as it was made.
        signed: its attestation.
        trust: who may decide.
        state: the counts.
    """

    files: dict[str, bytes]
    decision: Decision
    signed: bytes
    trust: TrustPolicy
    state: State


def made(rows: Rows, rng: np.random.Generator) -> Case:
    """Return a signed decision about two equal models; the key is made for it and forgotten."""
    pair = equal_pair(rows, rng)
    state = counted(pair, rng)
    files = {
        POLICY_FILE: rows.policy.to_bytes(),
        STATE_FILE: array_bytes(state.counts),
        BINS_FILE: array_bytes(state.bins),
    }
    if state.ranked:
        files[HISTOGRAMS_FILE] = array_bytes(state.histograms)
    listed = tuple(
        EvidenceFile(name=name, digest=digest_of(data), size=len(data)) for name, data in sorted(files.items())
    )
    evidence = evidence_of(pair, state).model_copy(update={"files": listed})
    verdict = judge(rows.policy, evidence, Arrays(state, None))
    champion = pair.champion.bundle
    decision = Decision(
        outcome=verdict.outcome,
        challenger=pair.challenger.bundle,
        champion=champion,
        rollback_target=champion,
        policy=evidence.policy,
        evidence=evidence.digest,
        data=evidence.data,
        registry=None,
        channel=None,
        sequence=None,
        issued=ISSUED,
        expires=EXPIRES,
        findings=verdict.findings,
        checklist=verdict.checklist,
        risks=verdict.risks,
    )
    approver = load_signer(new_key(None), None)
    signed = attest(decision_statement(decision), approver).to_bytes()
    trust = TrustPolicy(roles={"approver": RoleKeys(keys=(approver.public_pem,))})
    return Case({**files, EVIDENCE_FILE: evidence.to_bytes()}, decision, signed, trust, state)


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """Return the bytes with one bit changed."""
    changed = bytearray(data)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _bit(case: Case, rng: np.random.Generator) -> None:
    name = sorted(case.files)[int(rng.integers(len(case.files)))]
    _audit({**case.files, name: _flipped(case.files[name], rng)}, case.decision)


def _count(case: Case, rng: np.random.Generator) -> None:
    """Change a count, and list the file anew as if it belonged there."""
    counts = case.state.counts.copy()
    counts.reshape(-1)[int(rng.integers(counts.size))] += 1
    data = array_bytes(counts)
    fields = json.loads(case.files[EVIDENCE_FILE])
    for file in fields["files"]:
        if file["name"] == STATE_FILE:
            file |= {"digest": digest_of(data), "size": len(data)}
    _audit({**case.files, STATE_FILE: data, EVIDENCE_FILE: canonical(fields)}, case.decision)


def _finding(case: Case, rng: np.random.Generator) -> None:
    """Make one finding say something nicer."""
    place = int(rng.integers(len(case.decision.findings)))
    better = case.decision.findings[place].model_copy(update={"why": "it is fine"})
    findings = (*case.decision.findings[:place], better, *case.decision.findings[place + 1 :])
    _audit(case.files, case.decision.model_copy(update={"findings": findings}))


def _signature(case: Case, rng: np.random.Generator) -> None:
    check_decision(_flipped(case.signed, rng), case.trust, now=NOW)


def _audit(files: dict[str, bytes], decision: Decision) -> None:
    with tempfile.TemporaryDirectory(prefix="candidate-") as folder:
        for name, data in files.items():
            Path(folder, name).write_bytes(data)
        judge_again(decision, evidence=Path(folder), attested=False)


WAYS: tuple[Callable[[Case, np.random.Generator], None], ...] = (_bit, _count, _finding, _signature)


def noticed(case: Case, rng: np.random.Generator, run: int) -> str | None:
    """Tamper in one of the ways, in turn; return the message of the error that it raised, None if nobody noticed."""
    try:
        WAYS[run % len(WAYS)](case, rng)
    except CandidateError as error:
        return error.message
    return None


def untouched(case: Case) -> None:
    """Audit the case as it is: what is refused untouched would prove nothing.

    Raises:
        CandidateError: it is refused.
    """
    check_decision(case.signed, case.trust, now=NOW)
    _audit(case.files, case.decision)
