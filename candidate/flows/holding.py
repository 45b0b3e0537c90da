"""Stop what must not happen: hold a channel, keep a bundle off it; and let it go on again."""

from datetime import UTC, datetime

from candidate.adapters.attest import Signer
from candidate.documents.entry import Entry, Mark
from candidate.documents.names import Action
from candidate.documents.results import Marked
from candidate.errors import InputError
from candidate.flows.entries import entry_of
from candidate.flows.registry import Registry, check_role, moment, timestamp
from candidate.judgement.channel import ChannelState, LogState, fitting, marked

__all__ = ["hold", "quarantine", "release", "unhold"]


def hold(
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    until: datetime | None = None,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Marked:
    """Stop promotions to a channel; a rollback stays possible.

    Args:
        registry: where.
        channel: ``MODEL/ENVIRONMENT``; nothing need have been promoted to it.
        signer: an oncall's or a promoter's key.
        reason: why; signed and kept.
        until: when it ends by itself, with a time zone; by default not before ``unhold``.
        now: time of the entry; by default this moment.
        dry_run: check everything and write nothing.

    Raises:
        InputError: no reason, or a time that is over.
        RefusedError: a key without the role.
        StaleError: somebody else was first; run it again.
        IndeterminateError: it may or may not be written; run it again.
    """
    now = moment(now)
    if until is not None and (until.tzinfo is None or until <= now):
        raise InputError(
            f"{until.isoformat()} is over, or has no time zone",
            where="--until",
            hint="for example 2026-11-02T09:00:00Z",
        )
    ends = None if until is None else timestamp(until.astimezone(UTC))
    mark = Mark(channel=channel, bundle=None, until=ends)
    return _mark(registry, "hold", mark, signer, reason, now, dry_run=dry_run)


def unhold(
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Marked:
    """End a hold; with none there is nothing to do. Arguments and errors as of ``hold``."""
    mark = Mark(channel=channel, bundle=None, until=None)
    return _mark(registry, "unhold", mark, signer, reason, moment(now), dry_run=dry_run)


def quarantine(
    bundle: str,
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Marked:
    """Keep a bundle off a channel: nobody promotes it there, no rollback returns to it.

    Args:
        bundle: its digest, whether it was ever here or not; or, of those the channel can return to,
            a version or the beginning of a digest.
        registry: where.
        channel: ``MODEL/ENVIRONMENT``.
        signer: an oncall's or a promoter's key.
        reason: why; signed and kept.
        now: time of the entry; by default this moment.
        dry_run: check everything and write nothing.

    Raises:
        InputError: no reason, or no such bundle.
        RefusedError: it is the champion, or a key without the role.
        StaleError: somebody else was first; run it again.
        IndeterminateError: it may or may not be written; run it again.
    """
    mark = Mark(channel=channel, bundle=_digest(registry, channel, bundle), until=None)
    return _mark(registry, "quarantine", mark, signer, reason, moment(now), dry_run=dry_run)


def release(
    bundle: str,
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Marked:
    """End a quarantine: the bundle may be promoted again, on a decision. Only a promoter's key does; else as above."""
    mark = Mark(channel=channel, bundle=_digest(registry, channel, bundle), until=None)
    return _mark(registry, "release", mark, signer, reason, moment(now), dry_run=dry_run)


def _digest(registry: Registry, channel: str, bundle: str) -> str:
    """Return the digest of what a person wrote."""
    digits = bundle.removeprefix("sha256:")
    if len(digits) == 64 and set(digits) <= set("0123456789abcdef"):  # noqa: PLR2004 - of a sha256
        return f"sha256:{digits}"
    now = registry.state(decisions=False).channel(channel)
    fits = fitting(now, bundle)
    if len(fits) != 1:
        problem = "is no" if not fits else "is more than one"
        raise InputError(
            f"{bundle!r} {problem} bundle of {channel}", where="BUNDLE", hint="give its digest: sha256:…, 64 digits"
        )
    return fits[0]


def _mark(
    registry: Registry, action: Action, mark: Mark, signer: Signer, reason: str, now: datetime, *, dry_run: bool
) -> Marked:
    if not reason.strip():
        raise InputError(
            f"a {action} needs a reason", where="--reason", hint="one line that the morning shift understands"
        )
    check_role(registry.genesis.trust, action, signer.key_id, [mark.channel], "--key", now=now)
    state = registry.state(decisions=False)
    entry = _entry(registry, state, action, mark, reason.strip(), now)
    standing = _standing(state.channel(mark.channel), action, mark)
    if standing is None and not dry_run:
        registry.commit(entry, signer, state=state)
    elif standing is None:
        marked(state.channel(mark.channel), mark, entry)  # refuses what the commit would refuse
    elif standing:
        registry.store.settle(standing)
    return Marked(
        action=action,
        channel=mark.channel,
        bundle=mark.bundle,
        until=mark.until,
        reason=reason.strip(),
        sequence=entry.sequence if standing is None else standing,
        already=standing is not None,
        dry_run=dry_run,
    )


def _standing(before: ChannelState, action: Action, mark: Mark) -> int | None:
    """Return the entry that already made it so, 0 if nothing had to; None if it is not so."""
    if action == "hold":
        same = before.hold is not None and before.hold.until == mark.until
        return before.hold.sequence if same and before.hold is not None else None
    if action == "unhold":
        return 0 if before.hold is None else None
    barred = mark.bundle in before.barred
    return 0 if barred == (action == "quarantine") else None


def _entry(registry: Registry, state: LogState, action: Action, mark: Mark, reason: str, now: datetime) -> Entry:
    return entry_of(
        registry=registry.genesis.registry,
        sequence=state.head + 1,
        previous=state.head_digest,
        time=timestamp(now),
        action=action,
        marks=(mark.model_dump(mode="json"),),
        reason=reason,
        idempotency=f"{action}:{state.head_digest}",
    )
