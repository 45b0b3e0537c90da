"""Deploy slots: a host follows its channel, tries what is new, and falls back by itself with no network."""

import subprocess
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from candidate.adapters.stores.slot import BUNDLE_FILE, FILES_FOLDER, Release, SlotFolder
from candidate.documents.entry import Artifact
from candidate.documents.slot import Installed, Seen, SlotState, SlotStatus, Started, Synced
from candidate.documents.trust import TrustPolicy
from candidate.errors import InputError, RefusedError, UnavailableError
from candidate.flows.registry import Logged, Registry, moment, ref_of, timestamp
from candidate.flows.releasing import export
from candidate.flows.serving import Model, ServingLog, load
from candidate.flows.showing import unpack
from candidate.flows.verifying import verify
from candidate.judgement import slot as rules
from candidate.judgement.channel import LogState, start

TRIES = 3


class Slot(AbstractContextManager["Slot"]):
    """A release that is open for serving; all that is read through it is of one version."""

    def __init__(self, release: Release) -> None:
        """Hold an open release."""
        self._release = release

    @property
    def digest(self) -> str:
        """The bundle's identity."""
        return self._release.digest

    @property
    def path(self) -> Path:
        """The release's folder, its name resolved: it never leads to another version."""
        return self._release.path

    def read(self, name: str) -> bytes:
        """Return a member of the bundle.

        Raises:
            InputError: there is no such member.
        """
        return self._release.read(name)

    def load(
        self,
        *,
        trust: TrustPolicy | None = None,
        public_key: str | None = None,
        replay: bool = False,
        log: ServingLog | None = None,
    ) -> Model:
        """Verify the bundle again and return it ready to serve; close it, or use it as a context manager.

        Args:
            trust: who may build; or else ``public_key``.
            public_key: PEM of the only builder to trust.
            replay: whether to run the golden inputs once more; they were run when it was installed.
            log: where what is served is written down.

        Raises:
            CandidateError: as of ``verify``.
        """
        return load(self._release.bundle_path(), trust=trust, public_key=public_key, replay=replay, log=log)

    def pass_on(self) -> None:
        """Keep the release from being tidied away for as long as the program lives that this process becomes."""
        self._release.pass_on()

    def close(self) -> None:
        """Close the release."""
        self._release.close()

    def __exit__(self, *_: object) -> None:
        """Close the release."""
        self.close()


def slot_open(folder: Path | str) -> Slot:
    """Open what a slot serves now, through one handle of its folder.

    A reader that goes through ``current`` for each file may read two versions; this one cannot.

    Args:
        folder: of the slot.

    Raises:
        UnavailableError: nothing was installed yet.
        IntegrityError: the slot's state is broken.
    """
    home = SlotFolder(Path(folder))
    for attempt in range(8):
        active = _serving(_state(home), home)
        try:
            return Slot(Release(home.release(active.bundle.digest), active.bundle.digest))
        except UnavailableError:
            if attempt == 7:  # noqa: PLR2004 - a sync tidied it away between two steps of ours: look again, not forever
                raise
    raise AssertionError  # pragma: no cover - the last attempt returned or raised


def slot_sync(
    folder: Path | str,
    *,
    registry: Registry,
    channel: str,
    tries: int = TRIES,
    now: datetime | None = None,
) -> Synced:
    """Follow a channel: install its champion, verified and replayed on this host, and serve it from then on.

    Args:
        folder: of the slot; made if there is none.
        registry: where the channel is. The slot follows this one only from its first sync on.
        channel: ``MODEL/ENVIRONMENT``.
        tries: starts that a new release gets before somebody must have marked it good.
        now: time of the sync; by default this moment.

    Raises:
        InputError: no such channel, or the slot follows another one.
        RefusedError: another registry, or the champion failed on this host.
        IntegrityError: the log is broken, cut or forked, or the bundle does not verify here. What was
            served goes on in every case.
        UnavailableError: the disk refuses.
    """
    if tries < 1:
        raise InputError(f"{tries} tries are none", where="--tries", hint="1 or more")
    home, now = SlotFolder(Path(folder)), moment(now)
    state, entries = _followed(registry)
    found = state.channel(channel)
    if found.champion is None:
        known = ", ".join(sorted(state.channels)) or "none"
        raise InputError(f"nothing was promoted to {channel!r}", where="--channel", hint=f"this registry has: {known}")
    champion = Installed(bundle=ref_of(found.champion), sequence=found.sequence)
    seen = Seen(sequence=state.head, digest=state.head_digest)
    with home.locked():
        before = home.read()
        if before is None:
            before = _fresh(registry, channel, timestamp(now))
        elif before.channel != channel:
            raise InputError(
                f"the slot follows {before.channel}", where="--channel", hint="make a slot for each channel"
            )
        else:
            known_entry = entries.get(before.seen.sequence)
            rules.check_follows(before, registry.genesis.registry, registry.genesis.digest, known_entry)
        after = rules.offered(before, champion, seen, tries=tries, time=timestamp(now))
        already = before.active is not None and before.active.bundle == champion.bundle
        if not (already and _is_whole(home, champion)):
            _install(home, registry, found.champion, now)
        home.write(after)
        home.link(champion.bundle.digest)
        if not already:
            home.tell(timestamp(now), "installed", digest=champion.bundle.digest, sequence=seen.sequence)
        home.tidy(rules.needed(after))
    back = rules.fallback(after)
    return Synced(
        channel=channel,
        before=None if before.active is None else before.active.bundle,
        active=champion.bundle,
        path=str(home.release(champion.bundle.digest)),
        already=already,
        on_trial=after.tries_left is not None,
        fallback=None if back is None else back.bundle,
        sequence=seen.sequence,
    )


def _followed(registry: Registry) -> tuple[LogState, dict[int, Seen]]:
    """Return what the log says, every entry checked, and the digest of each of its entries."""
    state, entries = start(registry.genesis), {0: Seen(sequence=0, digest=registry.genesis.digest)}
    logged: Logged
    for state, logged in registry.log():
        entries[state.head] = Seen(sequence=state.head, digest=logged.digest)
    return state, entries


def _fresh(registry: Registry, channel: str, time: str) -> SlotState:
    genesis = registry.genesis
    return SlotState(
        generation=1,
        registry=genesis.registry,
        genesis=genesis.digest,
        channel=channel,
        active=None,
        tries_left=None,
        good=(),
        failed=(),
        seen=Seen(sequence=0, digest=genesis.digest),
        synced=time,
    )


def _is_whole(home: SlotFolder, release: Installed) -> bool:
    return (home.release(release.bundle.digest) / BUNDLE_FILE).is_file()


def _install(home: SlotFolder, registry: Registry, artifact: Artifact, now: datetime) -> None:
    """Bring a champion to this host: verified by the registry's own trust, its golden rows replayed here."""
    with home.installing(artifact.bundle) as staging:
        path = staging / BUNDLE_FILE
        export(registry, artifact, path)
        policy = registry.genesis.trust
        found = verify(path, trust=policy, now=_accepted(registry, artifact, now))
        if found.bundle.digest != artifact.bundle:
            raise RefusedError(f"is {found.bundle.digest}, the log names {artifact.bundle}", where=str(path))
        unpack(path, staging / FILES_FOLDER)


def _accepted(registry: Registry, artifact: Artifact, now: datetime) -> datetime:
    """Return when the champion was accepted: a builder whose validity ended since does not unmake it."""
    for _, logged in registry.log(decisions=False):
        if logged.entry.action == "promote" and any(move.to.bundle == artifact.bundle for move in logged.entry.moves):
            return datetime.strptime(logged.entry.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return now  # pragma: no cover - a champion was promoted


def _state(home: SlotFolder) -> SlotState:
    state = home.read()
    if state is None:
        raise InputError(
            "no slot", where=str(home.path), hint="make one: candidate slot sync DIR --registry R --channel C"
        )
    return state


def _serving(state: SlotState, home: SlotFolder) -> Installed:
    if state.active is None:  # pragma: no cover - a state is first written by a sync, which installs
        raise UnavailableError("nothing was installed yet", where=str(home.path))
    return state.active


def slot_start(folder: Path | str, *, now: datetime | None = None) -> Started:
    """Say what to serve, before a server starts; a release on trial has one start less, or gives way.

    No network, no registry and no key is needed.

    Args:
        folder: of the slot.
        now: time of the start, for the events; by default this moment.

    Raises:
        InputError: there is no slot.
        IntegrityError: its state is broken.
        UnavailableError: the disk refuses, or neither the release nor a fallback is there.
    """
    home, at = SlotFolder(Path(folder)), timestamp(moment(now))
    _state(home)
    with home.locked():
        before = _state(home)
        after = rules.started(before)
        if before.active is not None and not _is_whole(home, before.active) and before.good:
            after = rules.started(before.model_copy(update={"tries_left": 0}))  # it is gone: do not try it again
        active = _serving(after, home)
        if not _is_whole(home, active):
            raise UnavailableError("the release's files are gone", where=str(home.release(active.bundle.digest)))
        fell_back = before.active is not None and before.active.bundle != active.bundle
        if after != before:
            home.write(after)
        if fell_back:
            failed = "" if before.active is None else before.active.bundle.digest
            home.tell(at, "fell back", digest=active.bundle.digest, failed=failed)
        elif after.tries_left == 0 and before.tries_left == 0:
            home.tell(at, "no fallback", digest=active.bundle.digest)
        home.link(active.bundle.digest)
    return Started(
        active=active.bundle,
        path=str(home.release(active.bundle.digest)),
        on_trial=after.tries_left is not None,
        tries_left=after.tries_left,
        fell_back=fell_back,
    )


def slot_mark_good(
    folder: Path | str,
    *,
    probe: Sequence[str] = (),
    wait_seconds: float = 0.0,
    now: datetime | None = None,
) -> SlotStatus:
    """Say that what is served now serves well: its trial ends, and it is what later releases fall back to.

    Args:
        folder: of the slot.
        probe: a command that must succeed first, for example one that asks the server; without a shell.
        wait_seconds: how long to try it again, once a second.
        now: time, for the events; by default this moment.

    Raises:
        InputError: there is no slot, or no such command.
        RefusedError: the probe fails; nothing is marked.
        IntegrityError: the slot's state is broken.
        UnavailableError: the disk refuses.
    """
    home, at = SlotFolder(Path(folder)), timestamp(moment(now))
    tried = _state(home).active
    if probe:
        _probe(probe, wait_seconds)
    with home.locked():
        before = _state(home)
        if before.active != tried:
            raise RefusedError("something else is served since the probe began", where=str(folder), hint="run it again")
        after = rules.marked_good(before)
        if after != before:
            home.write(after)
            home.tell(at, "marked good", digest=_serving(after, home).bundle.digest)
            home.tidy(rules.needed(after))
    return slot_status(folder, now=now)


def _probe(command: Sequence[str], wait_seconds: float) -> None:
    """Run a command until it succeeds, or the time is up.

    Raises:
        InputError: it cannot be run.
        RefusedError: it fails.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        left = max(1.0, deadline - time.monotonic())
        try:
            code = subprocess.run(  # noqa: S603 - the user's own command
                list(command), check=False, timeout=left, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            ).returncode
        except subprocess.TimeoutExpired:
            code = None
        except OSError as error:
            raise InputError(f"{command[0]!r} cannot be run: {error.strerror}", where="--probe") from error
        if code == 0:
            return
        if time.monotonic() + 1 > deadline:
            how = "takes too long" if code is None else f"ends by {code}"
            raise RefusedError(
                f"the probe {how}", where="--probe", hint="nothing was marked: look at the server, or wait longer"
            )
        time.sleep(1)


def slot_status(folder: Path | str, *, max_age: timedelta | None = None, now: datetime | None = None) -> SlotStatus:
    """Say what a slot serves, whether it is on trial, and what it would fall back to.

    Args:
        folder: of the slot.
        max_age: how long ago the registry may have been followed before that is worth an alarm.
        now: time to judge that at; by default this moment.

    Raises:
        InputError: there is no slot.
        IntegrityError: its state is broken.
    """
    home = SlotFolder(Path(folder))
    state = _state(home)
    back = rules.fallback(state)
    synced = datetime.strptime(state.synced, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return SlotStatus(
        channel=state.channel,
        active=None if state.active is None else state.active.bundle,
        path=None if state.active is None else str(home.release(state.active.bundle.digest)),
        on_trial=state.tries_left is not None,
        tries_left=state.tries_left,
        fallback=None if back is None else back.bundle,
        failed=tuple(release.bundle for release in state.failed),
        sequence=state.seen.sequence,
        synced=state.synced,
        stale=max_age is not None and moment(now) - synced > max_age,
    )
