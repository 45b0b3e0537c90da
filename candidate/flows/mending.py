"""Copies of a registry: keep one up to date, and mend a broken registry from one.

Whatever is taken from a copy is proven first: a blob by its name, the log by its chain and the keys
of this registry. So any copy is as good as any other, whoever kept it.
"""

from contextlib import suppress
from pathlib import Path

from candidate.adapters.stores import keeping
from candidate.adapters.stores.directory import DirectoryStore
from candidate.canonical import digest_of
from candidate.documents.upkeep import Copied
from candidate.errors import IntegrityError, RefusedError, UnavailableError
from candidate.flows.fsck import fsck
from candidate.flows.progress import Progress, silent
from candidate.flows.registry import Registry


def mirror(registry: Registry, to: Path | str, *, progress: Progress = silent) -> Copied:
    """Bring a copy of a registry up to date, or make one.

    The source's log is checked before its entries are copied; entries come after all blobs, so that
    the copy is a sound registry at every moment.

    Args:
        registry: the source; it is only read.
        to: folder of the copy; made if there is none.
        progress: told the share of blobs copied.

    Raises:
        IntegrityError: the source is broken, or the copy has entries that the source has not: a fork.
        InputError: the folder holds something else.
        RefusedError: the folder is another registry.
        UnavailableError: the disk refuses; run it again.
    """
    target = _same_registry(registry, Path(to))
    entries = [data for _, data in registry.store.entries()]
    registry.state()
    theirs = [data for _, data in target.entries()]
    if entries[: len(theirs)] != theirs:
        raise IntegrityError(
            "has entries that its source has not", where=str(to), hint="one of the two was forked: ask who wrote to it"
        )
    digests = list(keeping.blob_digests(registry.store))
    blobs = 0
    for number, digest in enumerate(digests):
        progress("copying", number / len(digests))
        if not target.home(digest).exists():
            target.put_chunks(digest, registry.store.chunks(digest))
            blobs += 1
    for sequence, data in enumerate(entries[len(theirs) :], start=len(theirs) + 1):
        target.put_entry(sequence, data)
    return Copied(
        action="mirror",
        registry=registry.genesis.registry,
        source=str(registry.path),
        target=str(to),
        entries=len(entries) - len(theirs),
        blobs=blobs,
        set_aside=(),
        head=len(entries),
        left=(),
    )


def _same_registry(registry: Registry, path: Path) -> DirectoryStore:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return DirectoryStore.create(path, registry.genesis)
    store = DirectoryStore(path)
    if store.genesis().to_bytes() != registry.genesis.to_bytes():
        raise RefusedError("is another registry", where=str(path), hint="name a folder that does not exist yet")
    return store


def repair(registry: Registry, *, source: Path | str, progress: Progress = silent) -> Copied:
    """Mend a registry from a copy of it.

    Broken files are moved to ``quarantine/``, never deleted. What is there and right is never replaced. An
    entry that is broken here and missing in the copy stays as it is, for a copy that has it: to leave
    it out would take back what somebody was told is done.

    Args:
        registry: the one to mend.
        source: a copy: a mirror or a backup.
        progress: told what is being done.

    Raises:
        IntegrityError: the copy's own log is broken, or the two logs contradict each other.
        RefusedError: the copy is of another registry.
        UnavailableError: the disk refuses; run it again.
    """
    donor = Registry.open(source)
    if donor.genesis.to_bytes() != registry.genesis.to_bytes():
        raise RefusedError("is another registry", where=str(source), hint="a registry is mended from its own copies")
    donor.state(decisions=False)  # the chain and the keys: its entries are what they say
    progress("log", None)
    aside: list[str] = []
    entries = _mend_log(registry, donor, aside)
    blobs = 0
    for digest in sorted({*keeping.blob_digests(donor.store), *keeping.blob_digests(registry.store)}):
        progress(digest[:19], None)
        if registry.store.is_whole(digest):
            continue
        if donor.store.is_whole(digest):
            if registry.store.home(digest).exists():
                _set_aside(registry, registry.store.home(digest), aside)
            registry.store.put_chunks(digest, donor.store.chunks(digest))
            blobs += 1
    left = fsck(registry, progress=progress)
    return Copied(
        action="repair",
        registry=registry.genesis.registry,
        source=str(source),
        target=str(registry.path),
        entries=entries,
        blobs=blobs,
        set_aside=tuple(aside),
        head=left.head,
        left=left.findings,
    )


def _mend_log(registry: Registry, donor: Registry, aside: list[str]) -> int:
    """Replace broken and add missing entries; return how many."""
    theirs = dict(donor.store.entries())
    sound = 0
    with suppress(IntegrityError, RefusedError, UnavailableError):
        for state, _ in registry.log(decisions=False):
            sound = state.head
    for sequence in range(1, min(sound, len(theirs)) + 1):
        if registry.store.read_entry(sequence) != theirs[sequence]:
            raise IntegrityError(
                f"both copies have a sound entry {sequence}, and not the same",
                where="log",
                hint="the log was forked: find out which one the deploy hosts follow before anything is mended",
            )
    written = 0
    for sequence in range(sound + 1, len(theirs) + 1):
        if registry.store.read_entry(sequence) == theirs[sequence]:
            continue
        if (path := registry.store.entry_path(sequence)).exists():
            _set_aside(registry, path, aside)
        registry.store.put_entry(sequence, theirs[sequence])
        written += 1
    return written


def _set_aside(registry: Registry, path: Path, aside: list[str]) -> None:
    """Move a broken file where nobody reads it and nobody deletes it."""
    folder = registry.path / "quarantine"
    try:
        name = f"{path.name}-{digest_of(path.read_bytes())[7:19]}"
        folder.mkdir(exist_ok=True)
        path.replace(folder / name)
    except OSError as error:
        raise UnavailableError(f"cannot be set aside: {error.strerror}", where=path.name) from error
    aside.append(f"quarantine/{name}")
