"""Which release a host serves: trials, marks and fallbacks, as a pure function of what was and what happens.

A release that nobody has marked good is on trial. It has so many starts; when they are used up the
host returns to the newest good release by itself, with no network and nobody awake. One that
failed here is not installed again before the log moves to it anew.
"""

from candidate.documents.slot import Installed, Seen, SlotState
from candidate.errors import IntegrityError, RefusedError

KEPT = 3
"""So many good releases are kept on a host."""


def check_follows(state: SlotState, registry: str, genesis: str, seen: Seen | None) -> None:
    """Refuse a registry that is not the one this host follows, or a log that lost what it has seen.

    Args:
        state: of the slot.
        registry: identity of the registry offered.
        genesis: digest of its ``registry.json``.
        seen: the entry that its log has at the number that this host has seen last; null if it has none.

    Raises:
        RefusedError: it is another registry.
        IntegrityError: its log is shorter than what was seen, or another.
    """
    if (state.registry, state.genesis) != (registry, genesis):
        raise RefusedError(
            f"the slot follows registry {state.registry}, this is {registry}",
            where="--registry",
            hint="make a new slot for another registry",
        )
    if seen != state.seen:
        what = "ends before it" if seen is None else "has another"
        raise IntegrityError(
            f"the slot has seen log entry {state.seen.sequence} ({state.seen.digest}), the registry {what}",
            where="log",
            hint="the log was cut or forked: this host keeps serving what it has; find out who wrote to the registry",
        )


def offered(state: SlotState, champion: Installed, seen: Seen, *, tries: int, time: str) -> SlotState:
    """Return the state after the channel's champion was installed.

    Args:
        state: before.
        champion: what the log says.
        seen: the newest entry of the log.
        tries: starts that a release gets to be marked good.
        time: now.

    Raises:
        RefusedError: it failed on this host, and the log has not moved to it anew.
    """
    followed = state.model_copy(update={"generation": state.generation + 1, "seen": seen, "synced": time})
    if state.active is not None and state.active.bundle.digest == champion.bundle.digest:
        return followed.model_copy(update={"active": champion})
    for failure in state.failed:
        if failure.bundle.digest == champion.bundle.digest and failure.sequence >= champion.sequence:
            raise RefusedError(
                f"{champion.bundle.name} {champion.bundle.version} failed on this host",
                where="slot",
                hint="roll the channel back, or find out why it failed and promote it anew",
            )
    known = champion.bundle.digest in {release.bundle.digest for release in state.good}
    return followed.model_copy(
        update={
            "active": champion,
            "tries_left": None if known else tries,
            "failed": _without(state.failed, champion),
            "good": (champion, *_without(state.good, champion)) if known else state.good,
        }
    )


def started(state: SlotState) -> SlotState:
    """Return the state after a start: a trial has one less, and one that has none left gives way to a good release.

    Where there is no good release to return to, the one on trial is started once more: something
    that may fail is better than nothing that serves.
    """
    if state.tries_left is None or state.active is None:
        return state
    if state.tries_left > 0:
        return state.model_copy(update={"generation": state.generation + 1, "tries_left": state.tries_left - 1})
    if not state.good:
        return state
    return state.model_copy(
        update={
            "generation": state.generation + 1,
            "active": state.good[0],
            "tries_left": None,
            "failed": (state.active, *_without(state.failed, state.active)),
        }
    )


def marked_good(state: SlotState) -> SlotState:
    """Return the state after somebody saw the active release serve well; again is nothing."""
    if state.tries_left is None or state.active is None:
        return state
    return state.model_copy(
        update={
            "generation": state.generation + 1,
            "tries_left": None,
            "good": (state.active, *_without(state.good, state.active))[:KEPT],
        }
    )


def fallback(state: SlotState) -> Installed | None:
    """Return what the active release would give way to."""
    others = () if state.active is None else _without(state.good, state.active)
    return others[0] if others else None


def needed(state: SlotState) -> frozenset[str]:
    """Return the digests of the releases that must stay on the host."""
    active = () if state.active is None else (state.active,)
    return frozenset(release.bundle.digest for release in (*active, *state.good))


def _without(releases: tuple[Installed, ...], one: Installed) -> tuple[Installed, ...]:
    return tuple(release for release in releases if release.bundle.digest != one.bundle.digest)
