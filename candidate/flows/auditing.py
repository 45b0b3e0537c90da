"""Recompute a verdict from its evidence, without the data, the bundles or our word for it."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candidate.adapters.attest import unverified_statement
from candidate.adapters.verdicts import claims_in, verdict_statements
from candidate.canonical import digest_of
from candidate.documents.audited import Audit, AuditLevel
from candidate.documents.decision import Decision, Verdict
from candidate.documents.evidence import (
    BINS_FILE,
    EVIDENCE_FILE,
    HISTOGRAMS_FILE,
    LATENCY_FILE,
    POLICY_FILE,
    STATE_FILE,
    TAINTED_BINS_FILE,
    TAINTED_FILE,
    TAINTED_HISTOGRAMS_FILE,
    TAINTED_ROWS_FILE,
    Evidence,
)
from candidate.documents.policy import Policy
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, IntegrityError
from candidate.flows.deciding import check_decision
from candidate.flows.heuristics import heuristic_of
from candidate.flows.holdouts import check_look
from candidate.flows.outcomes import claims_file, evidence_folder
from candidate.flows.progress import Progress, silent
from candidate.flows.remeasuring import Basis, bundles_again, rows_again
from candidate.flows.showing import read_decision
from candidate.flows.trusting import check_said
from candidate.judgement.gate import Arrays, bins_shape, judge
from candidate.judgement.histograms import RANK_BINS
from candidate.judgement.state import Layout, State

MAX_FILE_BYTES = 1 << 30


def read_evidence(folder: Path) -> tuple[Evidence, Policy, Arrays]:
    """Read an evidence folder, checking every digest and every shape.

    Raises:
        InputError: there is no such folder.
        IntegrityError: a file is missing, altered or of another shape than the evidence says.
    """
    if not folder.is_dir():
        raise InputError("no evidence folder", where=str(folder), hint="name it with --evidence DIR")
    evidence = Evidence.from_bytes(_read(folder, EVIDENCE_FILE), where=EVIDENCE_FILE)
    files = {}
    for file in evidence.files:
        data = _read(folder, file.name)
        if digest_of(data) != file.digest:
            raise IntegrityError(f"evidence file is {digest_of(data)}, listed as {file.digest}", where=file.name)
        files[file.name] = data
    policy = Policy.from_bytes(files.get(POLICY_FILE, b""), where=POLICY_FILE)
    if policy.digest != evidence.policy:
        raise IntegrityError("the policy beside the evidence is not the one it was measured for", where=POLICY_FILE)
    return evidence, policy, arrays_of(evidence, files)


def _read(folder: Path, name: str) -> bytes:
    try:
        with (folder / name).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise IntegrityError("evidence file cannot be read", where=name) from error
    if len(data) > MAX_FILE_BYTES:
        raise IntegrityError(f"evidence file of more than {MAX_FILE_BYTES} bytes", where=name)
    return data


def _array(files: dict[str, bytes], name: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
    try:
        array = np.lib.format.read_array(io.BytesIO(files.get(name, b"")), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise IntegrityError("not an array file", where=name) from error
    if array.dtype != np.dtype("<i8") or array.shape != shape:
        raise IntegrityError(f"array of {array.dtype} {array.shape}, not int64 {shape}", where=name)
    return array


def arrays_of(evidence: Evidence, files: dict[str, bytes]) -> Arrays:
    """Return the numbers of an evidence folder.

    Args:
        evidence: says what they are.
        files: the folder's files by name, their digests checked.

    Raises:
        IntegrityError: a file is missing or of another shape than the evidence says.
    """
    timed = evidence.latency
    latency = None
    if timed is not None:
        latency = _array(files, LATENCY_FILE, (timed.rounds, len(timed.models), timed.calls))
    names = (STATE_FILE, BINS_FILE, HISTOGRAMS_FILE)
    tainted = (TAINTED_FILE, TAINTED_BINS_FILE, TAINTED_HISTOGRAMS_FILE)
    said = evidence.contamination
    return Arrays(
        state=_state(evidence, files, names),
        latency=latency,
        tainted=_state(evidence, files, tainted) if said is not None and said.rows else None,
    )


def _state(evidence: Evidence, files: dict[str, bytes], names: tuple[str, str, str]) -> State:
    """Return a State out of its counts, its bins and, where there are any, its histograms."""
    axes, layout = evidence.state, Layout.of(evidence.state)
    if layout is None:
        raise IntegrityError(f"no State is counted of a {axes.task} task", where=EVIDENCE_FILE)
    counts = _array(files, names[0], (len(axes.slices), axes.buckets, len(axes.statistics)))
    bins = _array(files, names[1], bins_shape(axes, layout))
    if not axes.ranked:
        return State(counts=counts, bins=bins, calibrated=axes.calibrated)
    shape = (len(axes.ranked), axes.buckets, len(axes.models), 2, RANK_BINS)
    return State(counts, bins, _array(files, names[2], shape), axes.ranked, axes.calibrated)


def tainted_rows(evidence: Evidence, folder: Path) -> NDArray[np.int64] | None:
    """Return the numbers of the blackbox rows that the evidence says are training rows, if there are any.

    Raises:
        IntegrityError: the file is missing, altered or of another shape than the evidence says.
    """
    said = evidence.contamination
    if said is None or not said.rows:
        return None
    data = _read(folder, TAINTED_ROWS_FILE)
    if digest_of(data) not in {file.digest for file in evidence.files if file.name == TAINTED_ROWS_FILE}:
        raise IntegrityError("is not the file that the evidence lists", where=TAINTED_ROWS_FILE)
    return _array({TAINTED_ROWS_FILE: data}, TAINTED_ROWS_FILE, (said.rows,))


def recompute(folder: Path) -> tuple[Verdict, Evidence]:
    """Return the verdict that policy and evidence force: a pure function of the folder's bytes."""
    evidence, policy, arrays = read_evidence(folder)
    return judge(policy, evidence, arrays), evidence


LEVELS = ("signatures and digests", "the verdict from the State", "the State from predictions", "both bundles again")
DEEPEST = len(LEVELS) - 1


def _told(decision: Decision, levels: Sequence[AuditLevel]) -> Audit:
    """Return the answer of an audit: all that was established, and what the deepest level leaves open."""
    return Audit(
        outcome=decision.outcome,
        decision=decision.digest,
        evidence=decision.evidence,
        policy=decision.policy,
        levels=tuple(levels),
        establishes=tuple(claim for level in levels for claim in level.establishes),
        does_not=levels[-1].does_not,
    )


def _digests(decision: Decision, folder: Path, *, attested: bool, said: Sequence[str] = ()) -> tuple[Basis, AuditLevel]:
    """Hold the bytes of the evidence to what the decision cites: level 0.

    Args:
        decision: as read.
        folder: of the evidence.
        attested: whether an approver's key was checked before.
        said: what else was checked of the signatures.
    """
    basis = read_evidence(folder)
    found = basis[0]
    if found.digest != decision.evidence:
        raise IntegrityError(
            f"the evidence is {found.digest}, the decision cites {decision.evidence}", where=str(folder.name)
        )
    _check_bound(decision, found)
    who = ("signed by a trusted approver",) if attested else ()
    return basis, AuditLevel(
        level=0,
        name=LEVELS[0],
        establishes=(
            *who,
            "every digest of the evidence",
            "bundles, policy and data that the decision names are those that were measured",
            *said,
        ),
        does_not=(*_unknown(attested=attested), "that the verdict follows from the evidence (level 1)"),
    )


def _unknown(*, attested: bool) -> tuple[str, ...]:
    return () if attested else ("who decided (give --trust)",)


def _verdict(decision: Decision, basis: Basis, *, attested: bool, where: str) -> AuditLevel:
    """Recompute every interval and the verdict from the State: level 1. It needs no row and no bundle."""
    evidence, policy, arrays = basis
    verdict = judge(policy, evidence, arrays)
    if verdict.to_bytes() != decision.verdict.to_bytes():
        raise IntegrityError(
            f"recomputed outcome is {verdict.outcome}, the decision says {decision.outcome}"
            if verdict.outcome != decision.outcome
            else "the findings do not follow from the evidence",
            where=where,
            hint="do not act on this decision; ask for a new comparison",
        )
    return AuditLevel(
        level=1,
        name=LEVELS[1],
        establishes=("verdict, intervals and checklist recomputed, equal in every bit",),
        does_not=(
            *_unknown(attested=attested),
            "that the counts came from the data (level 2 needs the predictions, level 3 the rows and both bundles)",
        ),
    )


def judge_again(decision: Decision, *, evidence: Path, attested: bool) -> Audit:
    """Hold a decision against the verdict recomputed from its evidence: levels 0 and 1.

    Args:
        decision: as read; whether somebody signed it is ``attested``.
        evidence: folder of the evidence.
        attested: whether an approver's key was checked before.

    Raises:
        IntegrityError: the evidence is not the one decided on, or the verdict does not follow.
    """
    basis, first = _digests(decision, evidence, attested=attested)
    return _told(decision, (first, _verdict(decision, basis, attested=attested, where=evidence.name)))


def audit(
    decision: Path | str,
    *,
    evidence: Path | str | None = None,
    trust: TrustPolicy | None = None,
    ledger: Path | str | None = None,
    predictions: Path | str | None = None,
    data: Path | str | None = None,
    challenger: Path | str | None = None,
    champion: Path | str | None = None,
    override: bytes | None = None,
    level: int | None = None,
    engine: str = "serial",
    now: datetime | None = None,
    progress: Progress = silent,
) -> Audit:
    """Recompute the verdict of a decision file from the evidence beside it, and measure again if there is what with.

    Args:
        decision: ``NAME.json`` as ``compare`` wrote it.
        evidence: its evidence folder; by default the one beside it.
        trust: if given, a trusted approver must have signed the decision.
        ledger: if given, the look that the decision was made at must be in it, in its place.
        predictions: what ``compare --predictions`` wrote, for level 2.
        data: the rows that were measured, for level 3.
        challenger: its bundle, for level 3.
        champion: its bundle, for level 3 unless it was a first release.
        override: bytes of an override of the decision, to be checked and shown; it needs a trust policy.
        level: the deepest level to make; by default the deepest that the arguments allow.
        engine: where level 3 counts rows: ``serial``, ``pool[:WORKERS]`` or ``dask[:ADDRESS]``.
        now: time at which the trust is looked at; by default this moment.
        progress: told how far level 3 is.

    Raises:
        InputError: no decision, or no evidence, is there; or not what the level needs.
        IntegrityError: the verdict, or an attestation in the claims beside it, does not follow from
            the evidence, or something is broken.
        RefusedError: no trusted approver signed it.
    """
    decision = Path(decision)
    given = {"--predictions": predictions, "--data": data, "--challenger": challenger, "--champion": champion}
    deepest = _deepest(level, {name for name, path in given.items() if path is not None})
    found = read_decision(decision)
    now = datetime.now(UTC) if now is None else now
    attested = trust is not None
    if trust is not None:
        check_decision(decision.read_bytes(), trust, now=now)
    passed = _overridden(override, found, decision, trust)
    folder = decision.parent / evidence_folder(decision.stem) if evidence is None else Path(evidence)
    claims = decision.parent / claims_file(decision.stem)
    lines = _claims_beside(claims, found, trust, now=now)
    signed = (f"{len(lines)} attestations in {claims.name}, each signed by who may",) if lines and attested else ()
    basis, first = _digests(found, folder, attested=attested, said=(*signed, *passed))
    if ledger is not None:
        check_look(Path(ledger), found, basis[0])
        more = "the look at the holdout is in its place in an unbroken ledger"
        first = first.model_copy(update={"establishes": (*first.establishes, more)})
    levels = [first]
    if deepest > 0:
        levels.append(_verdict(found, basis, attested=attested, where=folder.name))
    if deepest > 0 and lines:
        _check_claims(lines, found, basis, where=claims.name)
        same = f"{len(lines)} attestations in {claims.name}, each recomputed and equal"
        levels[-1] = levels[-1].model_copy(update={"establishes": (*levels[-1].establishes, same)})
    if deepest > 1 and predictions is not None:
        levels.append(rows_again(Path(predictions), basis, name=LEVELS[2], tainted=tainted_rows(basis[0], folder)))
    if deepest == DEEPEST and data is not None and challenger is not None:
        levels.append(
            bundles_again(
                basis,
                data=Path(data),
                challenger=Path(challenger),
                champion=None if champion is None else Path(champion),
                name=LEVELS[DEEPEST],
                engine=engine,
                heuristic=heuristic_of(basis[1], folder),
                tainted=tainted_rows(basis[0], folder),
                progress=progress,
            )
        )
    return _told(found, levels)


NEEDED: dict[int, set[str]] = {2: {"--predictions"}, 3: {"--data", "--challenger"}}
"""What a level cannot do without, beside the decision and its evidence."""


def _deepest(level: int | None, given: set[str]) -> int:
    """Return the deepest level to make."""
    if level is not None and not 0 <= level <= DEEPEST:
        raise InputError(f"no level {level}", where="--level", hint=f"there are 0 to {DEEPEST}: see docs/audit.md")
    for number in sorted(NEEDED, reverse=True):
        missing = NEEDED[number] - given
        useful = NEEDED[number] | ({"--champion"} if number == DEEPEST else set())
        asked = level == number or (level is None and bool(useful & given))
        if asked and missing:
            raise InputError(f"level {number} needs {' and '.join(sorted(missing))}", where="--level")
        if asked:
            return number
    return 1 if level is None else level


def _overridden(data: bytes | None, decision: Decision, path: Path, trust: TrustPolicy | None) -> tuple[str, ...]:
    """Say who let a decision pass that is no go, and until when; whether it was used, a registry's log says."""
    if data is None:
        return ()
    if trust is None:
        raise InputError("nobody is trusted to override", where="--override", hint="give --trust too")
    from candidate.flows.overridden import check_override

    by = check_override(data, decision, digest_of(path.read_bytes()), trust, at=None)
    who = " and ".join(key_id[:12] for key_id in by.key_ids)
    return (f"overridden by {who} until {by.override.expires}, for want of {', '.join(by.override.rules)}",)


def _claims_beside(path: Path, decision: Decision, trust: TrustPolicy | None, *, now: datetime) -> tuple[bytes, ...]:
    """Return the attestations beside a decision, each signed by who may say it if there is a trust policy."""
    if not path.is_file():
        return ()
    lines = claims_in(_read(path.parent, path.name), where=path.name)
    for number, line in enumerate(lines, start=1):
        if trust is not None:
            check_said(line, trust, now=now, channel=decision.channel, where=f"{path.name}, line {number}")
    return lines


def _check_claims(lines: Sequence[bytes], decision: Decision, basis: Basis, *, where: str) -> None:
    """Hold every attestation beside a decision against the statements that follow from it."""
    evidence, policy, _ = basis
    follow = {each.to_bytes() for each in verdict_statements(decision, evidence, policy)}
    for number, line in enumerate(lines, start=1):
        place = f"{where}, line {number}"
        statement = unverified_statement(line, where=place)
        if statement.to_bytes() not in follow:
            raise IntegrityError(
                f"{statement.predicate_type} does not follow from the decision and its evidence",
                where=place,
                hint="do not act on this file; compare again",
            )


def _check_bound(decision: Decision, evidence: Evidence) -> None:
    """The decision must speak of the bundles, the policy and the data that were measured."""
    champion = None if evidence.champion is None else evidence.champion.bundle
    pairs = {
        "challenger": (decision.challenger, evidence.challenger.bundle),
        "champion": (decision.champion, champion),
        "policy": (decision.policy, evidence.policy),
        "data": (decision.data, evidence.data),
    }
    for name, (said, measured) in pairs.items():
        if said != measured:
            raise IntegrityError(f"the decision names another {name} than was measured", where=name)
