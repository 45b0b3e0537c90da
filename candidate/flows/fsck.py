"""Look through a registry for damage, and change nothing. What it finds, ``repair`` mends from a copy."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from candidate.adapters.stores import keeping
from candidate.documents.entry import Artifact
from candidate.documents.upkeep import Damage, Depth, Fsck
from candidate.errors import CandidateError, IntegrityError, UnavailableError
from candidate.flows.progress import Progress, silent
from candidate.flows.registry import Registry
from candidate.judgement.channel import LogState, cited_by, start

REPAIR = "mend it from a copy: candidate registry repair --from DIR"


@dataclass
class _Look:
    """What was looked at so far."""

    findings: list[Damage] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    bytes: int = 0
    replayed: int = 0

    def damage(self, where: str, what: str, hint: str = REPAIR) -> None:
        """Add a finding that is in somebody's way."""
        self.findings.append(Damage(severity="damage", where=where, what=what, hint=hint))

    def notice(self, where: str, what: str, hint: str) -> None:
        """Add a finding that is in nobody's way."""
        self.findings.append(Damage(severity="notice", where=where, what=what, hint=hint))

    def blob(self, registry: Registry, digest: str, needed_by: str) -> bool:
        """Read a blob to its end, once; return whether it is whole."""
        if digest in self.read:
            return True
        try:
            self.bytes += sum(len(chunk) for chunk in registry.store.chunks(digest))
        except (IntegrityError, UnavailableError) as error:
            self.damage(digest, f"{error.message}; needed by {needed_by}")
            return False
        self.read.add(digest)
        return True


def fsck(registry: Registry, *, depth: Depth = "live", progress: Progress = silent) -> Fsck:
    """Check a registry: its log, then what its champions and ways back need, then every other blob.

    Args:
        registry: which; nothing of it is changed.
        depth: how far to look. ``live`` verifies, loads and replays every champion and every rollback target.
        progress: told what is being looked at.

    Returns:
        All findings; ``sound`` says whether any is damage.
    """
    look = _Look()
    progress("log", None)
    numbers = keeping.entry_numbers(registry.store)
    state = _log(registry, numbers, look)
    if depth != "log":
        for artifact, needed_by in _live(state):
            progress(needed_by, None)
            _bundle(registry, artifact, needed_by, look)
    if depth == "all":
        _rest(registry, look, progress)
    return Fsck(
        registry=registry.genesis.registry,
        depth=depth,
        head=state.head,
        head_digest=state.head_digest,
        entries=len(numbers),
        blobs=len(look.read),
        bytes=look.bytes,
        replayed=look.replayed,
        findings=tuple(look.findings),
    )


def _log(registry: Registry, numbers: list[int], look: _Look) -> LogState:
    """Check every entry and the decision that it cites; return the state up to the first that is broken."""
    state = start(registry.genesis)
    try:
        for after, logged in registry.log(decisions=False):
            state = after
            try:
                registry.check_decided(logged.entry)
            except CandidateError as error:
                look.damage(error.where or f"log entry {logged.entry.sequence}", error.message, error.hint or REPAIR)
            else:
                look.read.update(digest for move in logged.entry.moves for digest in cited_by(move))
    except CandidateError as error:
        look.damage(error.where or "log", error.message)
        beyond = sum(number > state.head + 1 for number in numbers)
        if beyond:
            look.damage("log", f"{beyond} entries after it cannot be believed before it is mended")
    return state


def _live(state: LogState) -> Iterator[tuple[Artifact, str]]:
    """Yield every champion and rollback target once, and what for."""
    seen: set[tuple[str, str]] = set()
    for name, channel in sorted(state.channels.items()):
        champion = () if channel.champion is None else (channel.champion,)
        for number, artifact in enumerate((*champion, *channel.rollback)):
            if (artifact.bundle, artifact.index) not in seen:
                seen.add((artifact.bundle, artifact.index))
                role = "champion" if number == 0 and champion else "rollback target"
                yield artifact, f"{role} of {name}: {artifact.name} {artifact.version}"


def _bundle(registry: Registry, artifact: Artifact, needed_by: str, look: _Look) -> None:
    """Read all that a bundle is made of, then verify, load and replay it."""
    try:
        digests = (artifact.index, *sorted(registry.store.bundle(artifact).sizes))
    except CandidateError as error:
        look.damage(error.where or artifact.index, f"{error.message}; needed by {needed_by}")
        return
    if not all([look.blob(registry, digest, needed_by) for digest in digests]):  # noqa: C419 - name every broken one
        return
    try:
        registry.preflight(artifact)
    except CandidateError as error:
        look.damage(needed_by, error.message, error.hint or REPAIR)
    else:
        look.replayed += 1


def _rest(registry: Registry, look: _Look, progress: Progress) -> None:
    """Read every other blob, and name what lies where nothing should."""
    digests = list(keeping.blob_digests(registry.store))
    for number, digest in enumerate(digests):
        progress("every blob", number / len(digests))
        if digest not in look.read:
            try:
                look.bytes += sum(len(chunk) for chunk in registry.store.chunks(digest))
                look.read.add(digest)
            except (IntegrityError, UnavailableError) as error:
                look.notice(digest, f"{error.message}; nothing needs it", "candidate gc takes it away")
    for path in keeping.strays(registry.store):
        place = str(path.relative_to(registry.store.path))
        look.notice(place, "is neither a blob nor an entry: left by an interrupted write", "candidate gc takes it away")
