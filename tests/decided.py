"""A decision of a made-up world on the disk, with the evidence it follows from."""

from pathlib import Path

import numpy as np

from candidate.canonical import digest_of
from candidate.documents.decision import Decision
from candidate.documents.evidence import EvidenceFile
from candidate.documents.policy import Policy
from candidate.flows.outcomes import array_bytes, write_outcome
from candidate.judgement.gate import judge
from candidate.judgement.state import State
from tests.judgement.worlds import durations, world


def decided(out: Path, rules: Policy, state: State) -> Path:
    """Write ``decision.json`` and its evidence folder, and return the decision's path; nobody signed it."""
    timed = durations(np.random.default_rng(2))
    made = world(state, latency=timed, rules=rules)
    files = {
        "policy.json": rules.to_bytes(),
        "state.npy": array_bytes(state.counts),
        "calibration.npy": array_bytes(state.bins),
        "latency.npy": array_bytes(timed),
    }
    listed = tuple(
        EvidenceFile(name=name, digest=digest_of(data), size=len(data)) for name, data in sorted(files.items())
    )
    evidence = made.evidence.model_copy(update={"files": listed})
    verdict = judge(rules, evidence, made.arrays)
    champion = None if evidence.champion is None else evidence.champion.bundle
    said = Decision(
        outcome=verdict.outcome,
        challenger=evidence.challenger.bundle,
        champion=champion,
        rollback_target=champion,
        policy=evidence.policy,
        evidence=evidence.digest,
        data=evidence.data,
        registry=None,
        channel=None,
        sequence=None,
        issued="2026-11-01T12:00:00Z",
        expires="2026-11-02T12:00:00Z",
        findings=verdict.findings,
        checklist=verdict.checklist,
        risks=verdict.risks,
    )
    return write_outcome(out, "decision", said.to_bytes(), {**files, "evidence.json": evidence.to_bytes()})
