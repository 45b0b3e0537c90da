"""Fold the log into who is champion, and the rules by which an entry may follow.

Nothing but the log says who is champion. The fold checks every rule that needs neither a key nor a
clock, at commit and again in every reader, so that a writer with a bug cannot talk a deploy host
into anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from candidate.errors import InputError, IntegrityError, RefusedError, StaleError, UnavailableError

if TYPE_CHECKING:  # entries come as documents or as views of them; whoever rolls back waits for no document
    from candidate.documents.entry import Artifact, Entry, Genesis, Mark, Move

NAMED = 8
"""So much of the way back is written into an entry; whoever folds the log knows all of it."""


@dataclass(frozen=True)
class Hold:
    """That nothing is promoted to a channel for now; whoever must can still roll back."""

    sequence: int
    reason: str
    until: str | None
    """When it ends by itself."""

    def stands(self, time: str) -> bool:
        """Return whether it still holds at a time as our documents write it, which sort as text."""
        return self.until is None or time < self.until


@dataclass(frozen=True)
class ChannelState:
    """One channel as of some entry of the log."""

    champion: "Artifact | None" = None
    sequence: int = 0
    """Entry that made it champion."""
    time: str = ""
    rollback: "tuple[Artifact, ...]" = ()
    """Where to return to, nearest first: earlier champions that nobody rolled back from."""
    quarantined: frozenset[str] = frozenset()
    """Bundles that were rolled back from here; only a new decision brings one back."""
    barred: frozenset[str] = frozenset()
    """Bundles that somebody put under quarantine here; not even a new decision brings one back before its release."""
    hold: Hold | None = None


@dataclass(frozen=True)
class LogState:
    """What the log says, as of its head."""

    registry: str
    head: int
    head_digest: str
    channels: Mapping[str, ChannelState] = field(default_factory=dict)
    decisions: frozenset[str] = frozenset()
    """Digests of the decisions that were used; each is good for one promotion."""
    replayed: Mapping[str, str] = field(default_factory=dict)
    """When a bundle's golden rows were last replayed before an entry that says so, by its digest."""

    def channel(self, name: str) -> ChannelState:
        """Return a channel; one that nothing was promoted to is empty."""
        return self.channels.get(name, ChannelState())


def start(genesis: "Genesis") -> LogState:
    """Return the state before the first entry."""
    return LogState(registry=genesis.registry, head=0, head_digest=genesis.digest)


def channels_of(entry: "Entry") -> tuple[str, ...]:
    """Return every channel that an entry is about, as often as it names it."""
    return (*(move.channel for move in entry.moves), *(mark.channel for mark in entry.marks))


def cited_by(move: "Move") -> tuple[str, ...]:
    """Return the digests of the decision and of the override that a move cites, as far as there are any."""
    return tuple(digest for digest in (move.decision, move.override) if digest is not None)


def extend(state: LogState, entry: "Entry", entry_digest: str) -> LogState:
    """Return the state after one more entry.

    Args:
        state: as of the entry before.
        entry: the next one.
        entry_digest: digest of the exact bytes it is stored as.

    Raises:
        IntegrityError: the entry does not chain to the head, or is of another registry.
        StaleError: it moves a channel from a champion that is not there.
        RefusedError: it uses a decision again, or goes where the log does not allow.
    """
    where = f"log entry {entry.sequence}"
    if entry.registry != state.registry:
        raise IntegrityError(f"is of registry {entry.registry}, not {state.registry}", where=where)
    if entry.sequence != state.head + 1:
        raise IntegrityError(f"follows entry {state.head}", where=where)
    if entry.previous != state.head_digest:
        raise IntegrityError(f"chains to {entry.previous}, the entry before is {state.head_digest}", where=where)
    channels, decisions, replayed = dict(state.channels), state.decisions, dict(state.replayed)
    named = channels_of(entry)
    if len(set(named)) != len(named):
        raise RefusedError("names a channel twice", where=where)
    for mark in entry.marks:
        channels[mark.channel] = marked(state.channel(mark.channel), mark, entry)
    for move in entry.moves:
        before = state.channel(move.channel)
        replayed.update((preflight.bundle, entry.time) for preflight in move.preflight)
        champion = None if before.champion is None else before.champion.bundle
        if move.from_ != champion:
            raise StaleError(
                f"{move.channel} has champion {champion or 'none'}, the entry moves it from {move.from_ or 'none'}",
                where=where,
                hint="compare again with the champion of now",
            )
        if entry.action == "promote":
            decisions = _used(decisions, move, where)
            check_open(before, move.channel, move.to.bundle, entry.time, where)
            after = _promoted(before, move, where)
        else:
            after = _rolled_back(before, move, where)
        channels[move.channel] = replace(after, champion=move.to, sequence=entry.sequence, time=entry.time)
    return LogState(state.registry, entry.sequence, entry_digest, channels, decisions, replayed)


def check_open(before: ChannelState, channel: str, bundle: str, time: str, where: str) -> None:
    """Refuse a promotion to a channel that is held, or of a bundle that is barred from it.

    Args:
        before: the channel as it is.
        channel: its name.
        bundle: digest of the bundle to be promoted.
        time: of the promotion.
        where: the entry or the option, for the message.

    Raises:
        RefusedError: it is.
    """
    if before.hold is not None and before.hold.stands(time):
        until = "" if before.hold.until is None else f" until {before.hold.until}"
        raise RefusedError(
            f"{channel} is held{until} since entry {before.hold.sequence}: {before.hold.reason}",
            where=where,
            hint="promote when it is over, or end it: candidate unhold",
        )
    if bundle in before.barred:
        raise RefusedError(
            f"{bundle} is under quarantine on {channel}",
            where=where,
            hint="`candidate why` says since when and why; candidate quarantine --release lets it on again",
        )


def marked(before: ChannelState, mark: "Mark", entry: "Entry") -> ChannelState:
    """Return a channel after a hold, a quarantine, or the end of one."""
    where = f"log entry {entry.sequence}"
    if entry.action == "hold":
        return replace(before, hold=Hold(sequence=entry.sequence, reason=entry.reason, until=mark.until))
    if entry.action == "unhold":
        if before.hold is None:
            raise RefusedError(f"{mark.channel} is not held", where=where)
        return replace(before, hold=None)
    bundle = str(mark.bundle)
    if entry.action == "release":
        if bundle not in before.barred:
            raise RefusedError(f"{bundle} is not under quarantine on {mark.channel}", where=where)
        return replace(before, barred=before.barred - {bundle})
    if before.champion is not None and before.champion.bundle == bundle:
        raise RefusedError(
            f"{bundle} is champion of {mark.channel}",
            where=where,
            hint="roll back: that puts it under quarantine, and something better in its place",
        )
    rest = tuple(artifact for artifact in before.rollback if artifact.bundle != bundle)
    return replace(before, barred=before.barred | {bundle}, rollback=rest)


def _used(decisions: frozenset[str], move: "Move", where: str) -> frozenset[str]:
    if move.decision is None:
        raise RefusedError("promotes without a decision", where=where)
    if move.decision in decisions:
        raise RefusedError(
            f"decision {move.decision} was used before",
            where=where,
            hint="a decision is good for one promotion: compare again",
        )
    return decisions | {move.decision}


def _promoted(before: ChannelState, move: "Move", where: str) -> ChannelState:
    expected = chain_after_promotion(before, move.to)
    if move.rollback != expected[:NAMED]:
        raise RefusedError("names another way back than the log does", where=where)
    return replace(before, rollback=expected, quarantined=before.quarantined - {move.to.bundle}, hold=None)


def chain_after_promotion(before: ChannelState, to: "Artifact") -> "tuple[Artifact, ...]":
    """Return where a newly promoted champion can return to, nearest first, each once and never to itself."""
    chain = (() if before.champion is None else (before.champion,)) + before.rollback
    nearest: dict[str, Artifact] = {}
    for artifact in chain:
        nearest.setdefault(artifact.bundle, artifact)
    nearest.pop(to.bundle, None)
    return tuple(nearest.values())


def _rolled_back(before: ChannelState, move: "Move", where: str) -> ChannelState:
    if move.decision is not None:
        raise RefusedError("a rollback cites a decision", where=where)
    if move.override is not None:
        raise RefusedError("a rollback cites an override", where=where)
    if before.champion is None or move.to not in before.rollback:
        raise RefusedError(
            f"{move.to.bundle} was never a good champion of {move.channel}",
            where=where,
            hint="a rollback goes back; promote what was never champion",
        )
    expected = chain_after_rollback(before, move.to)
    if move.rollback != expected[:NAMED]:
        raise RefusedError("names another way back than the log does", where=where)
    return replace(before, rollback=expected, quarantined=before.quarantined | {before.champion.bundle})


def chain_after_rollback(before: ChannelState, to: "Artifact") -> "tuple[Artifact, ...]":
    """Return what is left to return to: rolling back again goes further, never forth again."""
    return before.rollback[before.rollback.index(to) + 1 :]


def plan_rollback(state: LogState, channel: str, to: str | None) -> "tuple[Artifact, ...]":
    """Return the targets to try, in order.

    Args:
        state: the log.
        channel: ``MODEL/ENVIRONMENT``.
        to: a digest, the beginning of one (8 digits or more), or a version; null for the nearest.

    Raises:
        InputError: the channel is not known, or ``to`` fits no target or several.
        UnavailableError: there is nothing to return to.
    """
    now = state.channel(channel)
    if now.champion is None:
        known = ", ".join(sorted(state.channels)) or "none"
        raise InputError(f"no channel {channel!r}", where="channel", hint=f"this registry has: {known}")
    if to is None:
        if not now.rollback:
            raise UnavailableError(
                f"{channel} has no earlier champion to return to",
                where=f"{now.champion.name} {now.champion.version}",
                hint="promote a bundle that earned a go, or take the channel out of service",
            )
        return now.rollback
    fits = tuple(artifact for artifact in now.rollback if same_target(artifact, to))
    if len(fits) == 1:
        return fits
    names = ", ".join(f"{artifact.version} ({artifact.bundle[7:19]})" for artifact in now.rollback) or "nothing"
    problem = "is no" if not fits else "is more than one"
    raise InputError(f"{to!r} {problem} rollback target of {channel}", where="--to", hint=f"it can return to: {names}")


def fitting(before: ChannelState, name: str) -> tuple[str, ...]:
    """Return the digests of the bundles of a channel that a person may mean by a version or part of a digest.

    Args:
        before: the channel; its champion, what it can return to, and what is under quarantine are looked through.
        name: a version, or the beginning of a digest (8 digits or more).
    """
    artifacts = (*(() if before.champion is None else (before.champion,)), *before.rollback)
    found = {artifact.bundle for artifact in artifacts if same_target(artifact, name)}
    return tuple(sorted(found | {digest for digest in before.quarantined | before.barred if _begins(digest, name)}))


def _begins(digest: str, name: str) -> bool:
    shortest = 8
    digits = name.removeprefix("sha256:")
    return len(digits) >= shortest and digest.removeprefix("sha256:").startswith(digits)


def same_target(artifact: "Artifact", to: str) -> bool:
    """Return whether a person who wrote this version, digest or beginning of a digest meant this bundle."""
    return to == artifact.version or _begins(artifact.bundle, to)
