"""Garbage collection: what no champion, no way back and no decision needs is moved out of the way, later deleted.

Nothing is deleted that was not in the trash for the whole grace first, and readers find what is
there as if it were in its place. So it does not matter who promotes what meanwhile: what came to
be needed again is put back before anything is deleted.
"""

import math

from candidate.adapters.stores import keeping
from candidate.documents.upkeep import Collected
from candidate.errors import CandidateError, InputError, IntegrityError
from candidate.flows.registry import Registry
from candidate.judgement.channel import LogState, cited_by

GRACE_HOURS = 24.0
LEAST_HOURS = 1.0
"""A promotion that found its blobs in place an hour ago has written its entry, or failed."""


def gc(registry: Registry, *, apply: bool = False, grace_hours: float = GRACE_HOURS) -> Collected:
    """Collect garbage, or say what would be.

    What a champion is made of, what any rollback target is made of, and every decision that a
    promotion cites is never touched; no argument changes that.

    Args:
        registry: which. A registry that is damaged is left alone: who knows what is live in it?
        apply: do it; by default only say what would be done.
        grace_hours: how old a blob must be before it is moved to the trash, and how long it waits
            there; at least ``LEAST_HOURS``.

    Raises:
        InputError: a grace that is no time.
        IntegrityError: the log or something that is live is damaged; nothing was changed.
        UnavailableError: the disk refuses; run it again.
    """
    if not math.isfinite(grace_hours) or grace_hours < LEAST_HOURS:
        raise InputError(
            f"{grace_hours:g} hours are too few",
            where="--grace-hours",
            hint=f"{LEAST_HOURS:g} or more: others may be at it",
        )
    live, grace = _live(registry), grace_hours * 3600
    store = registry.store
    restored = [digest for digest in keeping.trashed_digests(store) if digest in live]
    for digest in restored if apply else ():
        keeping.restore(store, digest)
    deleted, waiting, freed = [], 0, 0
    for digest in [digest for digest in keeping.trashed_digests(store) if digest not in live]:
        if keeping.age_seconds(store.trash(digest)) < grace:
            waiting += 1
            continue
        deleted.append(digest)
        freed += keeping.delete_for_good(store.trash(digest)) if apply else store.trash(digest).stat().st_size
    garbage = [digest for digest in keeping.blob_digests(store) if digest not in live]
    trashed = [digest for digest in garbage if keeping.age_seconds(store.home(digest)) >= grace]
    for digest in trashed if apply else ():
        keeping.move_to_trash(store, digest)
    for path in list(keeping.strays(store)) if apply else ():
        if keeping.age_seconds(path) >= grace:  # before that somebody may be writing it
            freed += keeping.delete_for_good(path)
    return Collected(
        registry=registry.genesis.registry,
        dry_run=not apply,
        live=len(live),
        young=len(garbage) - len(trashed),
        trashed=tuple(trashed),
        restored=tuple(restored),
        deleted=tuple(deleted),
        waiting=waiting + (len(trashed) if apply else 0),
        freed_bytes=freed,
    )


def _live(registry: Registry) -> frozenset[str]:
    """Return the digest of every blob that something needs.

    Raises:
        IntegrityError: that cannot be said for certain.
    """
    found: set[str] = set()
    state: LogState | None = None
    try:
        for after, logged in registry.log():
            state = after
            found.update(digest for move in logged.entry.moves for digest in cited_by(move))
        for channel in () if state is None else state.channels.values():
            for artifact in (*(() if channel.champion is None else (channel.champion,)), *channel.rollback):
                found.add(artifact.index)
                found.update(registry.store.bundle(artifact).sizes)
        for digest in sorted(found):
            registry.store.blob_size(digest)
    except CandidateError as error:
        raise IntegrityError(
            f"nothing is collected in a damaged registry: {error.message}",
            where=error.where,
            hint="candidate fsck lists the damage; candidate registry repair mends it",
        ) from error
    return frozenset(found)
