"""What there is in a registry's folder, and moving what nothing needs out of the way and back."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from candidate.adapters.stores.directory import DirectoryStore, fsync_folder
from candidate.errors import UnavailableError

_HEX = re.compile(r"[0-9a-f]{64}")


def blob_digests(store: DirectoryStore) -> Iterator[str]:
    """Yield the digest of every blob that lies where it belongs, in order."""
    for shard in sorted((store.path / "blobs" / "sha256").iterdir()):
        if shard.is_dir():
            for file in sorted(shard.iterdir()):
                if _HEX.fullmatch(file.name) and file.name.startswith(shard.name):
                    yield f"sha256:{file.name}"


def trashed_digests(store: DirectoryStore) -> Iterator[str]:
    """Yield the digest of every blob that waits to be deleted, in order."""
    folder = store.path / "trash"
    if folder.is_dir():
        yield from (f"sha256:{file.name}" for file in sorted(folder.iterdir()) if _HEX.fullmatch(file.name))


def strays(store: DirectoryStore) -> Iterator[Path]:
    """Yield every file among the blobs and in the log that is neither: what was left of an interrupted write."""
    for shard in sorted((store.path / "blobs" / "sha256").iterdir()):
        files = sorted(shard.iterdir()) if shard.is_dir() else [shard]
        yield from (file for file in files if not (_HEX.fullmatch(file.name) and file.name.startswith(shard.name)))
    yield from (file for file in sorted((store.path / "log").iterdir()) if not re.fullmatch(r"\d{16}", file.name))


def entry_numbers(store: DirectoryStore) -> list[int]:
    """Return the number of every file in the log that is called like an entry, ascending."""
    return sorted(int(file.name) for file in (store.path / "log").iterdir() if re.fullmatch(r"\d{16}", file.name))


def age_seconds(path: Path) -> float:
    """Return how long ago a file was written; 0 if it is gone."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0


def move_to_trash(store: DirectoryStore, digest: str) -> int:
    """Move a blob out of the way; readers still find it. Return its size.

    Raises:
        UnavailableError: the disk refuses.
    """
    home, trash = store.home(digest), store.trash(digest)
    try:
        trash.parent.mkdir(exist_ok=True)
        size = home.stat().st_size
        home.rename(trash)
        os.utime(trash)  # from now on it waits
        fsync_folder(trash.parent)
        fsync_folder(home.parent)
    except OSError as error:
        raise UnavailableError(f"cannot be moved: {error.strerror}", where=digest, hint="run it again") from error
    return size


def restore(store: DirectoryStore, digest: str) -> None:
    """Put a blob back from the trash to where it belongs.

    Raises:
        UnavailableError: the disk refuses.
    """
    home, trash = store.home(digest), store.trash(digest)
    try:
        with suppress(FileExistsError):  # somebody stored it anew
            os.link(trash, home)
        fsync_folder(home.parent)
        trash.unlink()
    except OSError as error:
        raise UnavailableError(f"cannot be put back: {error.strerror}", where=digest, hint="run it again") from error


def delete_for_good(path: Path) -> int:
    """Delete a file and return its size; one that is gone already has none.

    Raises:
        UnavailableError: the disk refuses.
    """
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise UnavailableError(f"cannot be deleted: {error.strerror}", where=path.name, hint="run it again") from error
    return size
