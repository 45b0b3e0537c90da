"""Move a channel's champion: forward on a signed go, back on a word. The way back is checked first."""

from datetime import datetime
from pathlib import Path
from typing import Any

from candidate.adapters.archive import Archive, write_archive
from candidate.adapters.attest import Signer
from candidate.documents.decision import Decision
from candidate.documents.entry import Artifact, Entry
from candidate.documents.results import Moved
from candidate.documents.view import View
from candidate.errors import (
    CandidateError,
    RefusedError,
    StaleError,
    UnavailableError,
)
from candidate.flows.deciding import SignedDecision, check_decision, check_fresh
from candidate.flows.entries import entry_of, move_fields
from candidate.flows.overridden import SignedOverride, check_says_yes
from candidate.flows.registry import Registry, check_builder, check_role, moment, played, timestamp
from candidate.flows.returning import Movement, rollback, said
from candidate.flows.verifying import inspect
from candidate.judgement.channel import (
    NAMED,
    ChannelState,
    LogState,
    chain_after_promotion,
    check_open,
)

__all__ = ["Registry", "export", "promote", "rollback"]


def promote(
    bundle: Path | str,
    *,
    decision: bytes,
    registry: Registry,
    channel: str,
    signer: Signer,
    override: bytes | None = None,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Moved:
    """Make a challenger the champion of a channel.

    The decision must be a signed go for this bundle, this registry, this channel and the champion
    of now; or inconclusive, and overridden by who may, where its policy allows that. The way back,
    which is that champion, is verified, loaded and replayed before anything is written.

    Args:
        bundle: the challenger's file.
        decision: bytes of the signed decision.
        registry: where.
        channel: ``MODEL/ENVIRONMENT``.
        signer: a promoter's key.
        override: bytes of the override of a decision that is inconclusive.
        now: time of the entry; by default this moment.
        dry_run: check everything and write nothing.

    Raises:
        StaleError: the champion is not the one the challenger was compared with.
        RefusedError: no go, not for here, expired, used before, or a key without the role.
        IntegrityError: bundle, decision or log is broken.
        UnavailableError: the rollback target cannot be relied on.
        IndeterminateError: run it again.
    """
    now = moment(now)
    policy = registry.genesis.trust
    check_role(policy, "promote", signer.key_id, [channel], "--key", now=now)
    signed = check_decision(decision, policy, now=now, channel=channel)
    _check_is_for(signed.decision, registry, channel)
    state = registry.state()
    before = state.channel(channel)
    if signed.digest in state.decisions:
        return _already(registry, signed, channel)
    by = check_says_yes(signed, override, policy, now=now)
    check_fresh(signed.decision, now, max_age_hours=policy.max_decision_age_hours)
    check_open(before, channel, signed.decision.challenger.digest, timestamp(now), "--channel")
    champion = None if before.champion is None else before.champion.bundle
    compared = None if signed.decision.champion is None else signed.decision.champion.digest
    if champion != compared:
        raise StaleError(
            f"the champion is {said(before.champion)}, the challenger was compared with {compared or 'none'}",
            where=channel,
            hint=f"compare again: --champion {registry.path}#{channel}",
        )
    with Archive.open(Path(bundle)) as archive:
        opened = inspect(archive)
        if opened.ref.digest != signed.decision.challenger.digest:
            raise RefusedError(
                f"the go is for {signed.decision.challenger.digest}, the bundle is {opened.ref.digest}",
                where="decision",
            )
        check_builder(opened, policy, now=now)
        artifact = Artifact(
            bundle=opened.ref.digest, index=opened.index_digest, name=opened.ref.name, version=opened.ref.version
        )
        way_back = [] if before.champion is None else [_preflighted(registry, before.champion)]
        if dry_run:
            played(opened)
            return _moved(channel, before, artifact, state.head + 1, by, dry_run=True)
        for digest in archive.sizes:
            registry.store.put_chunks(digest, archive.chunks(digest))
        registry.store.put_blob(archive.index)
    registry.store.put_blob(signed.data)
    reason = f"{signed.decision.outcome} by {signed.key_id[:12]}"
    if by is not None and override is not None:
        registry.store.put_blob(override)
        reason += f", overridden by {' and '.join(key[:12] for key in by.key_ids)}: {by.override.reason}"
    move = _forward(before, artifact, channel, signed.digest, (*way_back, registry.preflight(artifact)), by)
    registry.commit(_entry(registry, state, move, reason, signed.digest, now), signer, state=state)
    return _moved(channel, before, artifact, state.head + 1, by)


def _forward(
    before: ChannelState,
    to: Artifact,
    channel: str,
    decision: str,
    preflight: tuple[View, ...],
    by: SignedOverride | None,
) -> dict[str, Any]:
    return move_fields(
        channel,
        before=before.champion,
        to=to,
        rollback=chain_after_promotion(before, to)[:NAMED],
        decision=decision,
        preflight=preflight,
        override=None if by is None else by.digest,
    )


def _check_is_for(decision: Decision, registry: Registry, channel: str) -> None:
    here = registry.genesis.registry
    if decision.registry != here or decision.channel != channel:
        bound = "no channel" if decision.channel is None else f"{decision.channel} of registry {decision.registry}"
        raise RefusedError(
            f"the decision is for {bound}, not for {channel} of registry {here}",
            where="decision",
            hint=f"compare again with --champion {registry.path}#{channel}",
        )


def _preflighted(registry: Registry, artifact: Artifact) -> View:
    try:
        return registry.preflight(artifact)
    except CandidateError as error:
        raise UnavailableError(
            f"the champion could not be returned to: {error.message}",
            where=f"{artifact.name} {artifact.version}",
            hint="mend it before replacing it: without a way back nothing is promoted",
        ) from error


def _already(registry: Registry, signed: SignedDecision, channel: str) -> Moved:
    """The same promotion again: done already if its champion still stands, refused if it does not."""
    found, sequence = next(
        (move, logged.entry.sequence)
        for _, logged in registry.log()
        for move in logged.entry.moves
        if move.decision == signed.digest
    )
    champion = registry.state().channel(channel).champion
    if champion is None or champion.bundle != signed.decision.challenger.digest:
        raise RefusedError(
            f"the decision was used in entry {sequence}, and its bundle is no longer champion",
            where="decision",
            hint="a decision is good for one promotion: compare again",
        )
    registry.store.settle(sequence)
    return Movement.of(
        "promote",
        channel,
        before=None,
        to=found.to,
        chain=found.rollback,
        sequence=sequence,
        already=True,
        override=found.override,
    ).document()


def _moved(
    channel: str,
    before: ChannelState,
    to: Artifact,
    sequence: int,
    by: SignedOverride | None,
    *,
    dry_run: bool = False,
) -> Moved:
    return Movement.of(
        "promote",
        channel,
        before=before.champion,
        to=to,
        chain=chain_after_promotion(before, to),
        sequence=sequence,
        dry_run=dry_run,
        override=None if by is None else by.digest,
    ).document()


def _entry(registry: Registry, state: LogState, move: dict[str, Any], reason: str, same: str, now: datetime) -> Entry:
    return entry_of(
        registry=registry.genesis.registry,
        sequence=state.head + 1,
        previous=state.head_digest,
        time=timestamp(now),
        action="promote",
        moves=(move,),
        reason=reason,
        idempotency=same,
    )


def export(registry: Registry, artifact: Artifact, path: Path) -> str:
    """Write a stored bundle as the very file it came as; return the file's digest."""
    stored = registry.store.bundle(artifact)
    return write_archive(path, index=stored.index, blobs={digest: stored.source(digest) for digest in stored.sizes})
