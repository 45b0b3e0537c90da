"""Compare a challenger with the champion on rows neither has seen, and sign what follows."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from candidate import __version__
from candidate.adapters import runtime
from candidate.adapters.archive import Archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.verdicts import VERSION_KEY, verdict_statements
from candidate.canonical import digest_of
from candidate.documents.decision import Decision, Verdict
from candidate.documents.evidence import (
    BINS_FILE,
    EVIDENCE_FILE,
    HISTOGRAMS_FILE,
    LATENCY_FILE,
    POLICY_FILE,
    STATE_FILE,
    BundleFacts,
    Evidence,
    EvidenceFile,
    HoldoutFacts,
    LatencyAxes,
    ModelRole,
)
from candidate.documents.plan import Plan
from candidate.documents.policy import Policy
from candidate.documents.recalibrated import calibration_data
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError
from candidate.flows.contaminating import Tainted, look_for_training_rows
from candidate.flows.engines import parse_engine
from candidate.flows.heuristics import read_heuristic
from candidate.flows.holdouts import check_apart, look, record
from candidate.flows.latency import ROLES, THREADS, time_bundles
from candidate.flows.measuring import Measured, Scorer, is_attested, measure, read_policy
from candidate.flows.outcomes import array_bytes, refuse_existing, tainted_files, write_outcome
from candidate.flows.progress import Progress, silent
from candidate.flows.registry import Registry, timestamp
from candidate.flows.scored import Writer
from candidate.flows.verifying import Bundle, inspect, replay
from candidate.judgement.gate import Arrays, judge


@dataclass(frozen=True)
class Comparison:
    """What a comparison leaves: the decision, its signed form, and the evidence it rests on."""

    decision: Decision
    attestation: bytes | None
    """Signed decision; null when no key was given."""
    evidence: Evidence
    files: dict[str, bytes]
    """The evidence folder: file name to content."""
    path: Path | None
    """Where the decision was written."""
    claims: tuple[bytes, ...] = ()
    """Everything that was signed: the decision, then the same in the words of other formats."""

    @property
    def signed(self) -> bytes:
        """The signed decision.

        Raises:
            InputError: the comparison was given no key.
        """
        if self.attestation is None:
            raise InputError("the decision is not signed", where="signer", hint="compare again with an approver's key")
        return self.attestation


@dataclass(frozen=True)
class Incumbent:
    """Whom the challenger is compared with, and how that was known."""

    bundle: Bundle | None
    registry: Registry | None = None
    channel: str | None = None
    sequence: int | None = None


def facts_of(scorer: Scorer, *, attested: bool) -> BundleFacts:
    """Return what the evidence says of a bundle; its golden rows are replayed for it."""
    bundle = scorer.bundle
    promised = bundle.manifest.serving_features
    record = bundle.experiment
    return BundleFacts(
        bundle=bundle.ref,
        size_bytes=bundle.size_bytes,
        model_size_bytes=bundle.model_size_bytes,
        features=bundle.signature.features,
        promised_features=None if promised is None else tuple(feature.name for feature in promised),
        parity=bundle.manifest.parity,
        replay=replay(bundle, scorer.session),
        commit=record.code.commit,
        dirty=record.code.dirty,
        source_digest=record.code.source_digest,
        train_data=record.data.digest,
        train_label_mean=record.data.label_mean,
        train_label_shares=record.data.label_shares or (),
        calibration_data=calibration_data(bundle.manifest),
        seeds_recorded=bool(record.seeds),
        libraries=len(record.libraries),
        attested=attested,
    )


def find_incumbent(
    champion: str,
    *,
    policy: Policy,
    registry: str | None,
    channel: str | None,
    stack: ExitStack,
) -> Incumbent:
    """Read the champion from a bundle file, a ``REGISTRY#CHANNEL`` or ``none``.

    Raises:
        InputError: the policy and the argument disagree on whether there is a champion, or the
            channel has none.
    """
    if champion != "none" and "#" in champion:
        registry, channel = champion.rsplit("#", 1)
    opened = Registry.open(Path(registry)) if registry is not None else None
    if (registry is None) != (channel is None):
        raise InputError("a registry and a channel go together", where="--registry, --channel")
    if (champion == "none") != (policy.champion == "none"):
        raise InputError(
            f"the policy says champion = {policy.champion!r}, the comparison was asked for with {champion!r}",
            where="policy champion",
            hint="a first release needs champion = 'none' in the policy and --champion none, and no other does",
        )
    bundle, sequence = None, None
    if opened is not None and channel is not None:
        bundle, sequence = opened.champion(channel)
    if champion == "none":
        if bundle is not None:
            raise InputError(
                f"{channel} already has a champion, {bundle.ref.name} {bundle.ref.version}",
                where="--champion none",
                hint=f"compare with it: --champion {registry}#{channel}",
            )
        return Incumbent(None, opened, channel, sequence)
    if opened is None:
        if Path(champion).is_dir():
            raise InputError(
                "a folder is no champion", where=champion, hint=f"name its channel: {champion}#MODEL/ENVIRONMENT"
            )
        bundle = inspect(stack.enter_context(Archive.open(Path(champion))))
    if bundle is None:
        raise InputError(
            f"{channel} has no champion yet",
            where=champion,
            hint="for a first release use --champion none and a policy with champion = 'none'",
        )
    return Incumbent(bundle, opened, channel, sequence)


def _look(
    policy: Policy, ledger: Path | str | None, data: Path, bundles: Sequence[str], progress: Progress
) -> HoldoutFacts | None:
    """Count the look at the blackbox, if the policy limits how often it may be looked at."""
    if policy.holdout is None:
        return None
    if ledger is None:
        raise InputError(
            "the policy limits how often these rows are looked at, and nobody counts it",
            where="policy [holdout]",
            hint="give --ledger FILE, the same file for every comparison on these rows",
        )
    champion = bundles[1] if len(bundles) > 1 else None
    return look(Path(ledger), policy, data, challenger=bundles[0], champion=champion, progress=progress)


def _keeper(path: Path | str, policy: Policy, scorers: Sequence[Scorer], engine: str) -> Writer:
    """Return who keeps every row's scores; whatever is wrong with that is told before the rows are looked at."""
    if parse_engine(engine)[0] != "serial":
        raise InputError("predictions are kept by one process alone", where="--engine", hint="leave --engine out")
    if policy.reviewed is not None:
        hint = "leave --predictions out, or give people's error and n"
        raise InputError("people's answers are not kept in predictions", where="--predictions", hint=hint)
    roles: tuple[ModelRole, ...] = tuple(scorer.role for scorer in scorers)
    return Writer(Path(path), policy, roles if policy.baselines.heuristic is None else (*roles, "heuristic"))


def _bundle_evidence(
    scorers: Sequence[Scorer],
    facts: Sequence[BundleFacts],
    policy: Policy,
    measured: Measured,
    timed: tuple[NDArray[np.int64], LatencyAxes],
    spent: HoldoutFacts | None,
    planned: Plan | None,
    keeper: Writer | None,
    known: Tainted | None,
) -> tuple[Evidence, dict[str, bytes]]:
    files = {
        POLICY_FILE: policy.to_bytes(),
        STATE_FILE: array_bytes(measured.state.counts),
        BINS_FILE: array_bytes(measured.state.bins),
        LATENCY_FILE: array_bytes(timed[0]),
        **measured.files,
    }
    if measured.axes.ranked:
        files[HISTOGRAMS_FILE] = array_bytes(measured.state.histograms)
    if known is not None and measured.tainted is not None:
        files |= tainted_files(known.rows, measured.tainted)
    evidence = Evidence(
        challenger=facts[0],
        champion=facts[1] if len(scorers) > 1 else None,
        policy=policy.digest,
        data=measured.data,
        state=measured.axes,
        holdout=spent,
        robustness=measured.robustness,
        plan=None if planned is None else planned.digest,
        contamination=None if known is None else known.facts,
        latency=timed[1],
        environment={**runtime.fingerprint(THREADS), VERSION_KEY: __version__},
        files=tuple(
            EvidenceFile(name=name, digest=digest_of(data), size=len(data)) for name, data in sorted(files.items())
        ),
        predictions=None if keeper is None else keeper.root(),
    )
    return evidence, {**files, EVIDENCE_FILE: evidence.to_bytes()}


def _decide(verdict: Verdict, evidence: Evidence, incumbent: Incumbent, *, now: datetime, hours: int) -> Decision:
    champion = evidence.champion.bundle if evidence.champion is not None else None
    return Decision(
        outcome=verdict.outcome,
        challenger=evidence.challenger.bundle,
        champion=champion,
        rollback_target=champion,
        policy=evidence.policy,
        evidence=evidence.digest,
        data=evidence.data,
        registry=None if incumbent.registry is None else incumbent.registry.genesis.registry,
        channel=incumbent.channel,
        sequence=incumbent.sequence,
        issued=timestamp(now),
        expires=timestamp(now + timedelta(hours=hours)),
        findings=verdict.findings,
        checklist=verdict.checklist,
        risks=verdict.risks,
    )


def compare(
    challenger: Path | str,
    *,
    champion: Path | str,
    policy: Policy | Path | str,
    data: Path | str,
    out: Path | str | None = None,
    name: str = "decision",
    signer: Signer | None = None,
    trust: TrustPolicy | None = None,
    registry: str | Path | None = None,
    channel: str | None = None,
    now: datetime | None = None,
    engine: str = "serial",
    root: Path | str | None = None,
    ledger: Path | str | None = None,
    eyeball: Path | str | None = None,
    train: Path | str | None = None,
    planned: Plan | None = None,
    predictions: Path | str | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Measure the challenger beside the champion and decide.

    Args:
        challenger: bundle file.
        champion: bundle file, ``REGISTRY#CHANNEL`` or ``none``.
        policy: what must hold, fixed before the run.
        data: blackbox rows.
        out: folder to write ``NAME.json`` and its evidence to; nothing is written without it.
        name: stem of the decision's file.
        signer: approver's key; without it the decision is not signed and cannot be promoted.
        trust: whose bundles are accepted; by default the registry's own trust.
        registry: for a first release, the registry it is meant for.
        channel: for a first release, the channel it is meant for.
        now: time of the decision, aware; by default this moment.
        engine: where the rows are counted: ``serial``, ``pool[:WORKERS]`` or ``dask[:ADDRESS]``.
        root: folder of the policy's heuristic; by default the policy's own, else the working directory.
        ledger: file that counts the looks at these rows; a policy with ``[holdout]`` needs it.
        planned: what was planned before by this policy; the evidence names it.
        eyeball: rows that were looked at while developing; the blackbox may not share any with them.
        train: the rows the challenger was trained on, where the policy asks which of them are in the blackbox.
        predictions: Parquet file to keep every row's scores in; the evidence then commits to them.
        progress: told what is being done and how far it is.

    Raises:
        InputError: policy, data or bundle cannot be used together.
        IntegrityError: a bundle or the registry is not what it should be.
        RefusedError: no trusted builder attested a bundle.
    """
    now = datetime.now(UTC) if now is None else now
    rules = policy if isinstance(policy, Policy) else read_policy(Path(policy))
    heuristic = read_heuristic(rules, policy if root is None else root)
    data, out = Path(data), None if out is None else Path(out)
    if planned is not None and planned.policy != rules.digest:
        raise InputError(
            f"planned by the policy {planned.policy}, not by {rules.digest}",
            where="plan",
            hint="a policy is fixed before the blackbox is opened: plan again, on fresh rows if these were seen",
        )
    if out is not None:
        refuse_existing(out, name)  # before the long work, not after it
    with ExitStack() as stack:
        incumbent = find_incumbent(
            str(champion),
            policy=rules,
            registry=None if registry is None else str(registry),
            channel=channel,
            stack=stack,
        )
        if trust is None and incumbent.registry is not None:
            trust = incumbent.registry.genesis.trust
        bundles = [inspect(stack.enter_context(Archive.open(Path(challenger))))]
        if incumbent.bundle is not None:
            bundles.append(incumbent.bundle)
        attested = [is_attested(bundle, trust, now) for bundle in bundles]
        scorers = [
            Scorer(role=role, bundle=bundle, session=bundle.session(threads=THREADS))
            for role, bundle in zip(ROLES, bundles, strict=False)
        ]
        if eyeball is not None:
            check_apart(data, Path(eyeball), progress=progress)
        keeper = None if predictions is None else stack.enter_context(_keeper(predictions, rules, scorers, engine))
        spent = _look(rules, ledger, data, [bundle.ref.digest for bundle in bundles], progress)
        facts = [facts_of(scorer, attested=known) for scorer, known in zip(scorers, attested, strict=True)]
        known = look_for_training_rows(
            bundles[0], rules, train=None if train is None else Path(train), data=data, progress=progress
        )
        measured = measure(
            scorers,
            data=data,
            policy=rules,
            engine=engine,
            heuristic=heuristic,
            progress=progress,
            keeper=keeper,
            tainted=None if known is None else known.rows,
        )
        timed = time_bundles(bundles, data=data, rounds=rules.bench.rounds, calls=rules.bench.calls, progress=progress)
        evidence, files = _bundle_evidence(scorers, facts, rules, measured, timed, spent, planned, keeper, known)
        verdict = judge(rules, evidence, Arrays(state=measured.state, latency=timed[0], tainted=measured.tainted))
        if ledger is not None and spent is not None:
            record(Path(ledger), spent, rules.digest, verdict)
        hours = 24 if trust is None else trust.max_decision_age_hours
        decision = _decide(verdict, evidence, incumbent, now=now, hours=hours)
        statements = () if signer is None else verdict_statements(decision, evidence, rules)
        claims = tuple(attest(each, signer).to_bytes() for each in statements if signer is not None)
        attestation = claims[0] if claims else None
        path = None if out is None else write_outcome(out, name, attestation or decision.to_bytes(), files, claims)
        if keeper is not None:
            keeper.publish()
    return Comparison(
        decision=decision, attestation=attestation, evidence=evidence, files=files, path=path, claims=claims
    )
