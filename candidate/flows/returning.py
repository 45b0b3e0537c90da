"""Move a channel's champion back. Whoever does that is in a hurry: no document, no runtime and no parser is loaded."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from candidate.adapters.attest import Signer
from candidate.documents.names import Action
from candidate.documents.view import View
from candidate.errors import (
    CandidateError,
    IndeterminateError,
    InputError,
    UnavailableError,
)
from candidate.flows.entries import entry_of, move_fields
from candidate.flows.registry import Registry, check_role, moment, played, timestamp
from candidate.judgement.channel import (
    NAMED,
    ChannelState,
    LogState,
    chain_after_rollback,
    plan_rollback,
    same_target,
)

if TYPE_CHECKING:
    from candidate.documents.entry import Artifact
    from candidate.documents.results import Moved

FRESH_DAYS = 30
"""For so long the replay that the log records of a rollback target is believed."""


@dataclass(frozen=True)
class Movement:
    """What was moved: the fields of a ``Moved``, as plain values and views."""

    action: Action
    channel: str
    from_: View | None
    to: View
    rollback_target: View | None
    sequence: int
    already: bool = False
    skipped: tuple[str, ...] = ()
    dry_run: bool = False
    override: str | None = None

    @classmethod
    def of(
        cls,
        action: Action,
        channel: str,
        *,
        before: "Artifact | None",
        to: "Artifact",
        chain: "tuple[Artifact, ...]",
        sequence: int,
        **other: Any,
    ) -> "Movement":
        """Return it for a move to this champion, with this way back."""
        return cls(
            action=action,
            channel=channel,
            from_=None if before is None else _ref(before),
            to=_ref(to),
            rollback_target=_ref(chain[0]) if chain else None,
            sequence=sequence,
            **other,
        )

    def json(self) -> dict[str, Any]:
        """Return the fields as the document writes them."""
        fields = {name: vars(value) if isinstance(value, View) else value for name, value in vars(self).items()}
        fields["from"] = fields.pop("from_")
        return {"kind": "candidate.moved", "version": 1, **fields, "skipped": list(self.skipped)}

    def document(self) -> "Moved":
        """Return the document."""
        from candidate.documents.evidence import BundleRef
        from candidate.documents.results import Moved

        fields: dict[str, Any] = {
            name: BundleRef(**vars(value)) if isinstance(value, View) else value for name, value in vars(self).items()
        }
        return Moved(**fields)


def _ref(artifact: "Artifact") -> View:
    return View(name=artifact.name, version=artifact.version, digest=artifact.bundle)


def said(artifact: "Artifact | None") -> str:
    """Return how a champion is called in a sentence."""
    return "none" if artifact is None else f"{artifact.name} {artifact.version}"


def rollback(
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    to: str | None = None,
    steps: int = 1,
    replay: bool = False,
    now: datetime | None = None,
    dry_run: bool = False,
) -> "Moved":
    """Return a channel to its last good champion, or to the one named; arguments and errors as of ``rolled_back``."""
    return rolled_back(
        registry=registry,
        channel=channel,
        signer=signer,
        reason=reason,
        to=to,
        steps=steps,
        replay=replay,
        now=now,
        dry_run=dry_run,
    ).document()


def rolled_back(
    *,
    registry: Registry,
    channel: str,
    signer: Signer,
    reason: str,
    to: str | None = None,
    steps: int = 1,
    replay: bool = False,
    now: datetime | None = None,
    dry_run: bool = False,
) -> Movement:
    """Return a channel to its last good champion, or to the one named, and say what was moved.

    Each target is verified before the entry is written, every byte of it, and replayed if the log
    does not say that it was within the last 30 days; one that fails is skipped for the next. The
    bundle returned from is quarantined. Nothing else of the registry needs to be whole, least of
    all the present champion.

    Args:
        registry: where.
        channel: ``MODEL/ENVIRONMENT``.
        signer: an oncall's or a promoter's key.
        reason: why; signed and kept.
        to: digest, beginning of one, or version; by default the nearest target that works.
        steps: how many good champions back, where ``to`` does not say it.
        replay: load and replay the target in any case.
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
        registry.store.settle(before.sequence)
        chain, there = before.rollback, before.champion
        return Movement.of(
            "rollback", channel, before=there, to=there, chain=chain, sequence=before.sequence, already=True
        )
    skipped = []
    for target in _targets(state, channel, to, steps):
        try:
            checked = _checked(registry, state, target, now, replay=replay)
        except CandidateError as error:
            skipped.append(f"{said(target)}: {error.message}")
            continue
        chain = chain_after_rollback(before, target)[:NAMED]
        move = move_fields(channel, before=before.champion, to=target, rollback=chain, preflight=checked)
        entry = entry_of(
            registry=registry.genesis.registry,
            sequence=state.head + 1,
            previous=state.head_digest,
            time=timestamp(now),
            action="rollback",
            moves=(move,),
            reason=reason.strip(),
            idempotency=f"rollback:{state.head_digest}:{target.bundle}",
        )
        try:
            if not dry_run:
                registry.commit(entry, signer, state=state)
        except IndeterminateError as error:  # a bare rollback again would go one further, if this one is there
            hint = f"run it again with --to {target.bundle} and nothing happens twice"
            raise IndeterminateError(error.message, where=error.where, hint=hint) from error
        return Movement.of(
            "rollback",
            channel,
            before=before.champion,
            to=target,
            chain=chain,
            sequence=state.head + 1,
            skipped=tuple(skipped),
            dry_run=dry_run,
        )
    raise UnavailableError(
        f"no rollback target can be relied on: {'; '.join(skipped)}",
        where=channel,
        hint="restore the registry's blobs from a copy, or take the channel out of service",
    )


def _checked(
    registry: Registry, state: LogState, target: "Artifact", now: datetime, *, replay: bool
) -> tuple[View, ...]:
    """Verify a target and return what was replayed of it now: nothing, if the log says that it was lately."""
    bundle = registry.trusted(target)
    last = state.replayed.get(target.bundle)
    if not replay and last is not None:
        at = datetime.strptime(last, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        if now - at <= timedelta(days=FRESH_DAYS):
            return ()
    return (played(bundle),)


def _targets(state: LogState, channel: str, to: str | None, steps: int) -> "tuple[Artifact, ...]":
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


def _check_only_one(before: ChannelState, champion: "Artifact", to: str) -> None:
    """The champion's version may be a target's too; to take that for done would leave a bad champion serving."""
    others = [target for target in before.rollback if same_target(target, to)]
    if others:
        names = ", ".join(target.bundle[7:19] for target in others)
        raise InputError(
            f"{to!r} is the champion and a rollback target",
            where="--to",
            hint=f"say which by digest: the champion is {champion.bundle[7:19]}, it can return to {names}",
        )
