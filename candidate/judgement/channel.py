"""Fold the log into who is champion, and the rules by which an entry may follow.

Nothing but the log says who is champion. The fold checks every rule that needs neither a key nor a
clock, at commit and again in every reader, so that a writer with a bug cannot talk a deploy host
into anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from candidate.documents.entry import Artifact, Entry, Genesis, Move
from candidate.errors import InputError, IntegrityError, RefusedError, StaleError, UnavailableError


@dataclass(frozen=True)
class ChannelState:
    """One channel as of some entry of the log."""

    champion: Artifact | None = None
    sequence: int = 0
    """Entry that made it champion."""
    time: str = ""
    rollback: tuple[Artifact, ...] = ()
    """Where to return to, nearest first: earlier champions that nobody rolled back from."""
    quarantined: frozenset[str] = frozenset()
    """Bundles that were rolled back from here; only a new decision brings one back."""


@dataclass(frozen=True)
class LogState:
    """What the log says, as of its head."""

    registry: str
    head: int
    head_digest: str
    channels: Mapping[str, ChannelState] = field(default_factory=dict)
    decisions: frozenset[str] = frozenset()
    """Digests of the decisions that were used; each is good for one promotion."""

    def channel(self, name: str) -> ChannelState:
        """Return a channel; one that nothing was promoted to is empty."""
        return self.channels.get(name, ChannelState())


def start(genesis: Genesis) -> LogState:
    """Return the state before the first entry."""
    return LogState(registry=genesis.registry, head=0, head_digest=genesis.digest)


def extend(state: LogState, entry: Entry, entry_digest: str) -> LogState:
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
    channels, decisions = dict(state.channels), state.decisions
    touched = [move.channel for move in entry.moves]
    if len(set(touched)) != len(touched):
        raise RefusedError("moves a channel twice", where=where)
    for move in entry.moves:
        before = state.channel(move.channel)
        champion = None if before.champion is None else before.champion.bundle
        if move.from_ != champion:
            raise StaleError(
                f"{move.channel} has champion {champion or 'none'}, the entry moves it from {move.from_ or 'none'}",
                where=where,
                hint="compare again with the champion of now",
            )
        if entry.action == "promote":
            decisions = _used(decisions, move, where)
            after = _promoted(before, move, where)
        else:
            after = _rolled_back(before, move, where)
        channels[move.channel] = replace(after, champion=move.to, sequence=entry.sequence, time=entry.time)
    return LogState(state.registry, entry.sequence, entry_digest, channels, decisions)


def _used(decisions: frozenset[str], move: Move, where: str) -> frozenset[str]:
    if move.decision is None:
        raise RefusedError("promotes without a decision", where=where)
    if move.decision in decisions:
        raise RefusedError(
            f"decision {move.decision} was used before",
            where=where,
            hint="a decision is good for one promotion: compare again",
        )
    return decisions | {move.decision}


def _promoted(before: ChannelState, move: Move, where: str) -> ChannelState:
    expected = chain_after_promotion(before, move.to)
    if move.rollback != expected:
        raise RefusedError("names another way back than the log does", where=where)
    return ChannelState(rollback=expected, quarantined=before.quarantined - {move.to.bundle})


def chain_after_promotion(before: ChannelState, to: Artifact) -> tuple[Artifact, ...]:
    """Return where a newly promoted champion can return to, nearest first, each once and never to itself."""
    chain = (() if before.champion is None else (before.champion,)) + before.rollback
    nearest: dict[str, Artifact] = {}
    for artifact in chain:
        nearest.setdefault(artifact.bundle, artifact)
    nearest.pop(to.bundle, None)
    return tuple(nearest.values())


def _rolled_back(before: ChannelState, move: Move, where: str) -> ChannelState:
    if move.decision is not None:
        raise RefusedError("a rollback cites a decision", where=where)
    if before.champion is None or move.to not in before.rollback:
        raise RefusedError(
            f"{move.to.bundle} was never a good champion of {move.channel}",
            where=where,
            hint="a rollback goes back; promote what was never champion",
        )
    expected = chain_after_rollback(before, move.to)
    if move.rollback != expected:
        raise RefusedError("names another way back than the log does", where=where)
    return ChannelState(rollback=expected, quarantined=before.quarantined | {before.champion.bundle})


def chain_after_rollback(before: ChannelState, to: Artifact) -> tuple[Artifact, ...]:
    """Return what is left to return to: rolling back again goes further, never forth again."""
    return before.rollback[before.rollback.index(to) + 1 :]


def plan_rollback(state: LogState, channel: str, to: str | None) -> tuple[Artifact, ...]:
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


def same_target(artifact: Artifact, to: str) -> bool:
    """Return whether a person who wrote this version, digest or beginning of a digest meant this bundle."""
    shortest = 8
    digits = to.removeprefix("sha256:")
    return to == artifact.version or (
        len(digits) >= shortest and artifact.bundle.removeprefix("sha256:").startswith(digits)
    )
