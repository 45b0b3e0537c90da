"""A registry: who is champion of which channel, read from its log and checked on every reading."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candidate.adapters import trust
from candidate.adapters.attest import Signer
from candidate.adapters.stores.directory import DirectoryStore
from candidate.canonical import canonical, digest_of
from candidate.documents.identity import Party, party_id
from candidate.documents.names import Action, RoleName
from candidate.documents.view import View
from candidate.errors import InputError, IntegrityError, RefusedError, StaleError
from candidate.flows.entries import artifact_fields, attested_entry, read_entry
from candidate.flows.verifying import Bundle, check_release, inspect, replay
from candidate.judgement.channel import LogState, channels_of, extend, start

if TYPE_CHECKING:  # who rolls back waits for no document
    from candidate.documents.entry import Artifact, Entry, Genesis
    from candidate.documents.evidence import BundleRef
    from candidate.documents.results import History, Status
    from candidate.documents.trust import TrustPolicy

ANYBODY: tuple[RoleName, ...] = ("oncall", "promoter")
"""All roles that may ever sign an entry."""
ROLES: dict[Action, tuple[RoleName, ...]] = {
    "promote": ("promoter",),
    "rollback": ANYBODY,
    "hold": ANYBODY,
    "unhold": ANYBODY,
    "quarantine": ANYBODY,
    "release": ("promoter",),
}
"""Roles whose keys may sign an entry of each action: to stop things takes less than to let them go on."""


@dataclass(frozen=True)
class Logged:
    """An entry as it stands in the log."""

    entry: "Entry"
    digest: str
    key_id: str


@dataclass(frozen=True)
class Registry:
    """A registry: its store and its genesis. What it says is read from the log each time it is asked."""

    path: Path
    store: DirectoryStore
    genesis: "Genesis"

    @classmethod
    def create(
        cls, path: Path | str, *, trust: "TrustPolicy", now: datetime | None = None, identity: str | None = None
    ) -> "Registry":
        """Create an empty registry whose readers trust these keys.

        Args:
            path: folder that does not exist yet, or is empty.
            trust: which keys may build, approve, promote and roll back.
            now: time of creation; by default this moment.
            identity: 32 hexadecimal digits; by default random.

        Raises:
            InputError: the folder is not empty, or the trust policy cannot be used.
        """
        import secrets

        from candidate.documents.entry import Genesis

        _check_trust(trust)
        genesis = Genesis(
            registry=secrets.token_hex(16) if identity is None else identity,
            created=timestamp(moment(now)),
            trust=trust,
        )
        return cls(Path(path), DirectoryStore.create(Path(path), genesis), genesis)

    @classmethod
    def open(cls, path: Path | str) -> "Registry":
        """Open a registry.

        Raises:
            InputError: the folder is none.
            IntegrityError: its genesis is broken.
        """
        store = DirectoryStore(Path(path))
        genesis = store.genesis()
        try:
            _check_trust(genesis.trust)
        except InputError as error:
            raise IntegrityError(f"trust policy cannot be used: {error.message}", where="registry.json") from error
        return cls(Path(path), store, genesis)

    def log(self, *, decisions: bool = True) -> Iterator[tuple[LogState, Logged]]:
        """Yield every entry with the state after it, each checked: attestation, role, chain, rules and decision.

        Args:
            decisions: also read the decision that each promotion cites, and hold the entry to it. Only
                a rollback does without: a decision that rotted must not keep anybody from going back.

        Raises:
            IntegrityError: an entry's bytes, chain or form is broken.
            RefusedError: an entry is not signed by a key with the right role, breaks a rule, or
                promotes what no approver said go to.
            UnavailableError: a cited decision is gone.
        """
        state = start(self.genesis)
        for sequence, data in self.store.entries():
            logged = self._checked(sequence, data)
            try:
                state = extend(state, logged.entry, logged.digest)
            except StaleError as error:  # committed all the same: the log itself is broken
                raise IntegrityError(error.message, where=error.where) from error
            if decisions:
                self.check_decided(logged.entry)
            yield state, logged

    def _checked(self, sequence: int, data: bytes) -> Logged:
        where = f"log entry {sequence}"
        entry, attested = read_entry(data, self._parties, where=where)
        check_role(self.genesis.trust, entry.action, attested.key_id, channels_of(entry), where)
        return Logged(entry=entry, digest=digest_of(data), key_id=attested.key_id)

    @cached_property
    def _parties(self) -> tuple[Party, ...]:
        """Everybody who may ever sign an entry."""
        return tuple(party for role in ANYBODY for party in trust.parties_of(self.genesis.trust, role))

    def check_decided(self, entry: "Entry") -> None:
        """Hold every move to the decision that it cites; errors as of ``check_cited``."""
        from candidate.flows.cited import check_cited

        check_cited(entry, self.genesis.trust, self.store.read_blob)

    def state(self, *, decisions: bool = True) -> LogState:
        """Return what the whole log says, every entry checked as ``log`` says."""
        state = start(self.genesis)
        for after, _ in self.log(decisions=decisions):
            state = after
        return state

    def status(self, channel: str | None = None) -> "Status":
        """Return who is champion where, since when, and where a rollback returns to.

        Raises:
            InputError: there is no such channel.
        """
        from candidate.documents.results import ChannelStatus, HoldStatus, Status

        state, last = start(self.genesis), dict[str, Logged]()
        for after, logged in self.log():
            state = after
            last.update({move.channel: logged for move in logged.entry.moves})
        if channel is not None and channel not in state.channels:
            known = ", ".join(sorted(state.channels)) or "none"
            raise InputError(f"no channel {channel!r}", where=str(self.path), hint=f"this registry has: {known}")
        rows = []
        for name in sorted(state.channels) if channel is None else [channel]:
            found, moved = state.channel(name), last.get(name)
            chain = tuple(ref_of(artifact) for artifact in found.rollback)
            rows.append(
                ChannelStatus(
                    channel=name,
                    champion=None if found.champion is None else ref_of(found.champion),
                    since=found.time,
                    sequence=found.sequence,
                    action=None if moved is None else moved.entry.action,
                    reason="" if moved is None else moved.entry.reason,
                    by=None if moved is None else moved.key_id,
                    rollback_target=chain[0] if chain else None,
                    rollback_chain=chain,
                    quarantined=tuple(sorted(found.quarantined | found.barred)),
                    hold=None if found.hold is None else HoldStatus(**vars(found.hold)),
                )
            )
        return Status(registry=state.registry, head=state.head, head_digest=state.head_digest, channels=tuple(rows))

    def history(self, channel: str | None = None) -> "History":
        """Return every move, hold and quarantine, oldest first, with who and why."""
        from candidate.documents.results import History, HistoryEntry

        rows, champions = list[HistoryEntry](), dict[str, "BundleRef"]()
        for _, logged in self.log():
            for move in logged.entry.moves:
                said: dict[str, Any] = {
                    "from_": champions.get(move.channel),
                    "to": ref_of(move.to),
                    "decision": move.decision,
                }
                said |= {"bundle": move.to.bundle, "override": move.override}
                rows.append(HistoryEntry(**_event(logged, move.channel), until=None, **said))
                champions[move.channel] = ref_of(move.to)
            for mark in logged.entry.marks:
                said = {"from_": None, "to": None, "decision": None}
                rows.append(HistoryEntry(**_event(logged, mark.channel), bundle=mark.bundle, until=mark.until, **said))
        kept = tuple(row for row in rows if channel is None or row.channel == channel)
        return History(registry=self.genesis.registry, entries=kept)

    def champion(self, channel: str) -> tuple[Bundle | None, int]:
        """Return the champion, its bytes checked, and the number of the last log entry."""
        state = self.state()
        found = state.channel(channel).champion
        return (None if found is None else self.opened(found)), state.head

    def opened(self, artifact: "Artifact") -> Bundle:
        """Return a stored bundle, every byte and every claim that it makes of itself checked.

        Raises:
            IntegrityError: it is not what the log names.
            UnavailableError: it is gone.
        """
        bundle = inspect(self.store.bundle(artifact))
        who = bundle.views.manifest.descriptor
        if (who.name, who.version, bundle.digest) != (artifact.name, artifact.version, artifact.bundle):
            raise IntegrityError(
                f"is {who.name} {who.version} {bundle.digest}, the log names {artifact.bundle}",
                where=f"{artifact.name} {artifact.version}",
            )
        return bundle

    def preflight(self, artifact: "Artifact") -> View:
        """Verify, load and replay a stored bundle: a way back that was not walked is none.

        Raises:
            CandidateError: it cannot be relied on.
        """
        return played(self.trusted(artifact))

    def trusted(self, artifact: "Artifact") -> Bundle:
        """Return a stored bundle that a trusted builder attested, its every byte checked.

        Raises:
            CandidateError: it cannot be relied on.
        """
        bundle = self.opened(artifact)
        check_builder(bundle, self.genesis.trust, now=None)
        return bundle

    def commit(self, entry: "Entry", signer: Signer, *, state: LogState) -> None:
        """Check an entry against the log as it was read, sign it and append it, if nobody else did so meanwhile.

        Raises:
            StaleError: somebody else was first.
            RefusedError: it breaks a rule.
            UnavailableError: it is not written.
            IndeterminateError: it may or may not be written; run the same command again.
        """
        data = attested_entry(entry, signer)
        extend(state, entry, digest_of(data))
        self.store.put_entry(entry.sequence, data)
        for move in entry.moves:
            cache = {"champion": artifact_fields(move.to), "sequence": entry.sequence}
            self.store.write_ref(move.channel, canonical(cache))


def _event(logged: Logged, channel: str) -> dict[str, Any]:
    entry = logged.entry
    return {
        "sequence": entry.sequence,
        "time": entry.time,
        "action": entry.action,
        "channel": channel,
        "reason": entry.reason,
        "by": logged.key_id,
        "digest": logged.digest,
    }


def played(bundle: Bundle) -> View:
    """Load and replay a bundle that was looked into.

    Raises:
        IntegrityError: it does not load, or its golden rows come out otherwise.
    """
    # In this process: it was replayed apart when it was verified, and whoever rolls back is in a hurry.
    found = replay(bundle, bundle.session())
    if not found.passed:
        raise IntegrityError(f"golden outputs differ by {found.max_difference:g}", where=_named(bundle))
    return View(bundle=bundle.digest, rows=found.rows, max_difference=found.max_difference)


def _named(bundle: Bundle) -> str:
    who = bundle.views.manifest.descriptor
    return f"{who.name} {who.version}"


def moment(now: datetime | None) -> datetime:
    """Return the time given, or else this moment."""
    return datetime.now(UTC) if now is None else now


def timestamp(moment: datetime) -> str:
    """Return a time as our documents write it: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ref_of(artifact: "Artifact") -> "BundleRef":
    """Return which bundle an artifact is."""
    from candidate.documents.evidence import BundleRef

    return BundleRef(name=artifact.name, version=artifact.version, digest=artifact.bundle)


def _check_trust(policy: "TrustPolicy") -> None:
    trust.check_trust(policy, where="trust policy")
    missing = [role for role in ("builder", "approver", "promoter") if role not in policy.roles]
    if missing:
        raise InputError(
            f"no keys for {', '.join(missing)}", where="trust policy", hint="a registry needs each of them"
        )


def check_builder(bundle: Bundle, policy: "TrustPolicy", *, now: datetime | None) -> None:
    """Refuse a bundle that no trusted builder attested, or that is revoked.

    Args:
        bundle: as it was inspected.
        policy: whose word counts.
        now: judge the builder's validity at this time; null for a bundle that was accepted when it was promoted.

    Raises:
        RefusedError: it is one.
    """
    if bundle.digest in policy.revoked.digests:
        raise RefusedError(f"bundle {bundle.digest} is revoked", where=_named(bundle))
    if now is None:
        keys = trust.standing_keys(policy, "builder")
    else:
        many = max(1, len(bundle.attestations))
        keys = trust.keys_for(policy, "builder", now=now, channel=None, signatures=many)
    check_release(bundle, keys, threshold=policy.roles["builder"].threshold)


def check_role(
    policy: "TrustPolicy",
    action: Action,
    key_id: str,
    channels: Sequence[str],
    where: str,
    *,
    now: datetime | None = None,
) -> None:
    """Refuse a key that holds, on one of the channels, no role that may do this.

    Args:
        policy: whose word counts.
        action: what the entry does.
        key_id: the key that signs or signed it.
        channels: what it moves.
        where: the entry or the option, for the message.
        now: judge the role's validity at this time; null for an entry that is in the log already.

    Raises:
        RefusedError: the key may not.
    """
    for channel in channels:
        held = [
            role
            for role in ROLES[action]
            if role in policy.roles
            and key_id in map(party_id, trust.parties_of(policy, role))
            and trust.allows(policy.roles[role].channels, channel)
        ]
        if not held or trust.is_revoked(policy, key_id):
            raise RefusedError(
                f"key {key_id[:12]} may not {action} on {channel}",
                where=where,
                hint=f"sign with a key of the role {' or '.join(ROLES[action])}",
            )
        if now is not None:
            _check_held(policy, held, now=now, channel=channel)


def _check_held(policy: "TrustPolicy", held: list[RoleName], *, now: datetime, channel: str) -> None:
    """One role that may act now is enough, whatever became of the key's other roles."""
    for role in held[:-1]:
        with suppress(RefusedError):
            trust.keys_for(policy, role, now=now, channel=channel)
            return
    trust.keys_for(policy, held[-1], now=now, channel=channel)
