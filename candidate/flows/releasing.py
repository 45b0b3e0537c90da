"""Move a channel's champion: forward on a signed go, back on a word. The way back is checked first."""

from datetime import datetime
from pathlib import Path

from candidate.adapters.archive import Archive, write_archive
from candidate.adapters.attest import Signer
from candidate.documents.decision import Decision
from candidate.documents.entry import Action, Artifact, Entry, Move, Preflight
from candidate.documents.results import Moved
from candidate.errors import (
    CandidateError,
    IndeterminateError,
    InputError,
    RefusedError,
    StaleError,
    UnavailableError,
)
from candidate.flows.deciding import SignedDecision, check_decision, check_fresh
from candidate.flows.overridden import SignedOverride, check_says_yes
from candidate.flows.registry import Registry, check_builder, check_role, moment, played, ref_of, timestamp
from candidate.flows.verifying import inspect
from candidate.judgement.channel import (
    NAMED,
    ChannelState,
    LogState,
    chain_after_promotion,
    chain_after_rollback,
    check_open,
    plan_rollback,
    same_target,
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
            f"the champion is {_said(before.champion)}, the challenger was compared with {compared or 'none'}",
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
            move = _forward(before, artifact, channel, signed.digest, tuple(way_back), by)
            return _moved("promote", move, before.champion, state.head + 1, dry_run=True)
        for digest in archive.sizes:
            registry.store.put_chunks(digest, archive.chunks(digest))
        registry.store.put_blob(archive.index)
    registry.store.put_blob(signed.data)
    reason = f"{signed.decision.outcome} by {signed.key_id[:12]}"
    if by is not None and override is not None:
        registry.store.put_blob(override)
        reason += f", overridden by {' and '.join(key[:12] for key in by.key_ids)}: {by.override.reason}"
    move = _forward(before, artifact, channel, signed.digest, (*way_back, registry.preflight(artifact)), by)
    registry.commit(_entry(registry, state, "promote", move, reason, signed.digest, now), signer)
    return _moved("promote", move, before.champion, state.head + 1)


def _forward(
    before: ChannelState,
    to: Artifact,
    channel: str,
    decision: str,
    preflight: tuple[Preflight, ...],
    by: SignedOverride | None,
) -> Move:
    return Move(
        channel=channel,
        from_=None if before.champion is None else before.champion.bundle,
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


def _said(artifact: Artifact | None) -> str:
    return "none" if artifact is None else f"{artifact.name} {artifact.version}"


def _preflighted(registry: Registry, artifact: Artifact) -> Preflight:
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
    return _moved("promote", found, None, sequence, already=True)


def _entry(
    registry: Registry, state: LogState, action: Action, move: Move, reason: str, same: str, now: datetime
) -> Entry:
    return Entry(
        registry=registry.genesis.registry,
        sequence=state.head + 1,
        previous=state.head_digest,
        time=timestamp(now),
        action=action,
        moves=(move,),
        reason=reason,
        idempotency=same,
    )


def _moved(
    action: Action,
    move: Move,
    before: Artifact | None,
    sequence: int,
    *,
    already: bool = False,
    skipped: tuple[str, ...] = (),
    dry_run: bool = False,
) -> Moved:
    return Moved(
        action=action,
        channel=move.channel,
        from_=None if before is None else ref_of(before),
        to=ref_of(move.to),
        rollback_target=ref_of(move.rollback[0]) if move.rollback else None,
        sequence=sequence,
        already=already,
        skipped=skipped,
        dry_run=dry_run,
        override=move.override,
    )


def rollback(
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    to: str | None = None,
    steps: int = 1,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Moved:
    """Return a channel to its last good champion, or to the one named.

    Each target is verified, loaded and replayed before the entry is written; one that fails is
    skipped for the next. The bundle returned from is quarantined. Nothing else of the registry
    needs to be whole, least of all the present champion.

    Args:
        registry: where.
        channel: ``MODEL/ENVIRONMENT``.
        signer: an oncall's or a promoter's key.
        reason: why; signed and kept.
        to: digest, beginning of one, or version; by default the nearest target that works.
        steps: how many good champions back, where ``to`` does not say it.
        now: time of the entry; by default this moment.
        dry_run: check everything, the targets too, and write nothing.

    Raises:
        InputError: no reason, no such channel, or ``to`` fits nothing.
        UnavailableError: there is no target that can be relied on.
        RefusedError: a key without the role.
        StaleError: somebody else was first.
        IndeterminateError: it may or may not be written; run it again with ``to``, as the hint says.
    """
    now = moment(now)
    if not reason.strip():
        raise InputError(
            "a rollback needs a reason", where="--reason", hint="one line that the morning shift understands"
        )
    check_role(registry.genesis.trust, "rollback", signer.key_id, [channel], "--key", now=now)
    state = registry.state(decisions=False)
    before = state.channel(channel)
    if to is not None and before.champion is not None and same_target(before.champion, to):
        _check_only_one(before, before.champion, to)
        standing = Move(
            channel=channel, from_=None, to=before.champion, rollback=before.rollback, decision=None, preflight=()
        )
        registry.store.settle(before.sequence)
        return _moved("rollback", standing, before.champion, before.sequence, already=True)
    skipped = []
    for target in _targets(state, channel, to, steps):
        try:
            checked = registry.preflight(target)
        except CandidateError as error:
            skipped.append(f"{_said(target)}: {error.message}")
            continue
        move = Move(
            channel=channel,
            from_=None if before.champion is None else before.champion.bundle,
            to=target,
            rollback=chain_after_rollback(before, target)[:NAMED],
            decision=None,
            preflight=(checked,),
        )
        same = f"rollback:{state.head_digest}:{target.bundle}"
        try:
            if not dry_run:
                registry.commit(_entry(registry, state, "rollback", move, reason.strip(), same, now), signer)
        except IndeterminateError as error:  # a bare rollback again would go one further, if this one is there
            hint = f"run it again with --to {target.bundle} and nothing happens twice"
            raise IndeterminateError(error.message, where=error.where, hint=hint) from error
        return _moved("rollback", move, before.champion, state.head + 1, skipped=tuple(skipped), dry_run=dry_run)
    raise UnavailableError(
        f"no rollback target can be relied on: {'; '.join(skipped)}",
        where=channel,
        hint="restore the registry's blobs from a copy, or take the channel out of service",
    )


def _targets(state: LogState, channel: str, to: str | None, steps: int) -> tuple[Artifact, ...]:
    targets = plan_rollback(state, channel, to)
    if steps < 1 or (to is not None and steps != 1):
        raise InputError(
            "say how many champions back, or which one", where="--steps", hint="a whole number from 1 on, without --to"
        )
    if steps > len(targets):
        names = ", ".join(f"{artifact.version} ({artifact.bundle[7:19]})" for artifact in targets)
        raise UnavailableError(
            f"{channel} can go back {len(targets)} steps, not {steps}", where="--steps", hint=f"nearest first: {names}"
        )
    return targets[steps - 1 :]


def _check_only_one(before: ChannelState, champion: Artifact, to: str) -> None:
    """The champion's version may be a target's too; to take that for done would leave a bad champion serving."""
    others = [target for target in before.rollback if same_target(target, to)]
    if others:
        names = ", ".join(target.bundle[7:19] for target in others)
        raise InputError(
            f"{to!r} is the champion and a rollback target",
            where="--to",
            hint=f"say which by digest: the champion is {champion.bundle[7:19]}, it can return to {names}",
        )


def export(registry: Registry, artifact: Artifact, path: Path) -> str:
    """Write a stored bundle as the very file it came as; return the file's digest."""
    stored = registry.store.bundle(artifact)
    return write_archive(path, index=stored.index, blobs={digest: stored.source(digest) for digest in stored.sizes})
