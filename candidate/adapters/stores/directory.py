"""A registry in a directory: content-addressed blobs and an append-only log, durable by fsync and link.

Committing is creating ``log/<n>`` where nothing is. ``link`` does that atomically, so no lock is
needed. Nothing is ever changed in place.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from candidate.adapters.stores.stored import StoredBundle
from candidate.canonical import digest_of
from candidate.documents.view import view
from candidate.errors import (
    CandidateError,
    IndeterminateError,
    InputError,
    IntegrityError,
    StaleError,
    UnavailableError,
)

if TYPE_CHECKING:
    from candidate.documents.entry import Artifact, Genesis

GENESIS_FILE = "registry.json"
MAX_ENTRY_BYTES = 16 * 1024 * 1024
CHUNK = 1 << 18


def fsync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(where: str, leaf: type[CandidateError] = UnavailableError) -> Iterator[None]:
    """Say in our words that the disk refused."""
    try:
        yield
    except OSError as error:
        raise leaf(
            f"cannot be brought to the disk: {error.strerror}", where=where, hint="run the same command again"
        ) from error


def _write_durably(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file that does not exist, and have it on the disk before returning."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectoryStore:
    """The store in a folder; it holds no state but the folder's path."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.path = path

    @classmethod
    def create(cls, path: Path, genesis: "Genesis") -> "DirectoryStore":
        """Create an empty registry, all of it or nothing.

        Raises:
            InputError: the folder exists and is not empty, or cannot be made.
        """
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError("exists already", where=str(path), hint="name a folder that does not exist yet")
        staging: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            for shard in range(256):
                (staging / "blobs" / "sha256" / f"{shard:02x}").mkdir(parents=True)
            (staging / "log").mkdir()
            (staging / "refs").mkdir()
            _write_durably(staging / GENESIS_FILE, (genesis.to_bytes(),))
            for folder in (staging / "blobs" / "sha256", staging / "blobs", staging / "log", staging):
                fsync_folder(folder)
            staging.chmod(0o755)
            staging.rename(path)
            fsync_folder(path.parent)
        except OSError as error:
            raise InputError(f"cannot be made: {error.strerror}", where=str(path)) from error
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
        return cls(path)

    def genesis(self) -> "Genesis":
        """Read ``registry.json``; what comes back is a view of it.

        Raises:
            InputError: the folder is no registry.
            IntegrityError: the file is not in its canonical form.
        """
        try:
            data = (self.path / GENESIS_FILE).read_bytes()
        except OSError as error:
            raise InputError(
                f"no registry: {error.strerror}", where=str(self.path), hint="make one: candidate registry new DIR"
            ) from error
        return cast("Genesis", view("genesis", data, where=GENESIS_FILE))

    def home(self, digest: str) -> Path:
        """Return where a blob belongs, whether it is there or not."""
        value = digest.removeprefix("sha256:")
        return self.path / "blobs" / "sha256" / value[:2] / value

    def trash(self, digest: str) -> Path:
        """Return where a blob waits that nothing seemed to need; until it is deleted, it is still read from there."""
        return self.path / "trash" / digest.removeprefix("sha256:")

    def _blob(self, digest: str) -> Path:
        home, trash = self.home(digest), self.trash(digest)
        return trash if not home.exists() and trash.exists() else home

    def has_blob(self, digest: str) -> bool:
        """Whether there is a blob of this name; its bytes are checked when it is read."""
        return self._blob(digest).is_file()

    def blob_size(self, digest: str) -> int:
        """Return the size of a blob.

        Raises:
            UnavailableError: it is not there.
        """
        try:
            return self._blob(digest).stat().st_size
        except OSError as error:
            raise UnavailableError(f"blob cannot be read: {error.strerror}", where=digest) from error

    def read_blob(self, digest: str) -> bytes:
        """Return a blob, hashed before it is returned.

        Raises:
            UnavailableError: it is not there.
            IntegrityError: its bytes are not what its name says.
        """
        try:
            data = self._blob(digest).read_bytes()
        except OSError as error:
            raise UnavailableError(f"blob cannot be read: {error.strerror}", where=digest) from error
        if digest_of(data) != digest:
            raise IntegrityError("blob's bytes are not what its name says", where=digest)
        return data

    def chunks(self, digest: str) -> Iterator[memoryview]:
        """Yield a blob in constant memory; each chunk is gone when the next is asked for.

        Raises:
            UnavailableError: it is not there.
            IntegrityError: after the last chunk, its bytes are not what its name says.
        """
        state = hashlib.sha256()
        try:
            with self._blob(digest).open("rb", buffering=0) as file:
                buffer = memoryview(bytearray(CHUNK))
                while count := file.readinto(buffer):
                    state.update(buffer[:count])
                    yield buffer[:count]
        except OSError as error:
            raise UnavailableError(f"blob cannot be read: {error.strerror}", where=digest) from error
        if "sha256:" + state.hexdigest() != digest:
            raise IntegrityError("blob's bytes are not what its name says", where=digest)

    def put_blob(self, data: bytes) -> str:
        """Store a blob durably; see ``put_chunks``."""
        return self.put_chunks(digest_of(data), (data,))

    def put_chunks(self, digest: str, data: Iterable[bytes | memoryview]) -> str:
        """Store a blob durably; storing it again is nothing, also at the same moment as somebody else.

        Args:
            digest: what the bytes have; whoever yields them checks that after the last one.
            data: the bytes in order.

        Raises:
            UnavailableError: it is not written.
            IndeterminateError: it may or may not be on the disk.
        """
        target = self.home(digest)
        if target.exists() and self.is_whole(digest):
            with _translated(target.name):
                fsync_folder(target.parent)  # whoever wrote it may have died before its name was on the disk
            return digest
        if target.exists():  # rotten: its name says what belongs there, and here it is
            self._put(target, data, os.replace)
            return digest
        try:
            self._put(target, data, os.link)
        except FileExistsError as error:  # somebody else is storing the same
            if not self.is_whole(digest):
                raise UnavailableError("cannot be written: somebody writes other bytes", where=digest) from error
            with _translated(target.name):
                fsync_folder(target.parent)
        return digest

    def is_whole(self, digest: str) -> bool:
        """Whether a blob is there and its bytes are what its name says."""
        try:
            for _ in self.chunks(digest):
                pass
        except (IntegrityError, UnavailableError):
            return False
        return True

    def _put(self, target: Path, data: Iterable[bytes | memoryview], name: Callable[[Path, Path], None]) -> None:
        """Put bytes under a name, whole or not at all.

        Args:
            target: the name.
            data: the bytes, in chunks.
            name: how it gets them: ``os.link``, if it has to be free, or ``os.replace``.

        Raises:
            FileExistsError: the name is not free.
            UnavailableError: nothing was written.
            IndeterminateError: the name may or may not be on the disk.
        """
        temporary = target.parent / f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}"
        named = False
        try:
            _write_durably(temporary, data)
            name(temporary, target)
            named = True
            fsync_folder(target.parent)
        except FileExistsError:  # only linking says so
            raise
        except OSError as error:
            if named or (name is os.link and target.exists()):  # a call may take effect and fail all the same
                raise IndeterminateError(
                    f"written, but perhaps not to the disk: {error.strerror}",
                    where=target.name,
                    hint="run the same command again; it is idempotent",
                ) from error
            raise UnavailableError(f"cannot be written: {error.strerror}", where=target.name) from error
        finally:
            with suppress(OSError):
                temporary.unlink()

    def entry_path(self, sequence: int) -> Path:
        """Return where an entry belongs, whether it is there or not."""
        return self.path / "log" / f"{sequence:016d}"

    def read_entry(self, sequence: int) -> bytes | None:
        """Return an entry's exact bytes, or None where there is none."""
        try:
            with self.entry_path(sequence).open("rb") as file:
                data = file.read(MAX_ENTRY_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UnavailableError(f"cannot be read: {error.strerror}", where=f"log entry {sequence}") from error
        if len(data) > MAX_ENTRY_BYTES:
            raise IntegrityError(f"is larger than {MAX_ENTRY_BYTES} bytes", where=f"log entry {sequence}")
        return data

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield every entry in order.

        Raises:
            IntegrityError: a gap, or a file in the log that is no entry.
        """
        try:
            names = sorted(file.name for file in (self.path / "log").iterdir() if not file.name.startswith("."))
        except OSError as error:
            raise UnavailableError(f"log cannot be read: {error.strerror}", where=str(self.path)) from error
        for sequence, name in enumerate(names, start=1):
            if name != f"{sequence:016d}":
                raise IntegrityError(f"{name!r} is not entry {sequence}", where="log")
            data = self.read_entry(sequence)
            if data is None:
                raise IntegrityError("vanished while it was read", where=f"log entry {sequence}")
            yield sequence, data

    def put_entry(self, sequence: int, data: bytes) -> None:
        """Commit an entry: create ``log/<sequence>``, which must not exist.

        The entry before is made durable first: whoever wrote it may have died before it was.

        Raises:
            StaleError: somebody else committed that number first.
            IndeterminateError: it may or may not be committed.
            UnavailableError: nothing was written.
        """
        if sequence > 1:
            with _translated(f"log entry {sequence - 1}"):
                _fsync_file(self.entry_path(sequence - 1))
                fsync_folder(self.path / "log")
        try:
            self._put(self.entry_path(sequence), (data,), os.link)
        except FileExistsError as error:
            if self.read_entry(sequence) == data:
                self.settle(sequence)
                return
            raise StaleError(
                f"somebody else wrote entry {sequence} first",
                where="log",
                hint="look at `candidate status`, then compare again",
            ) from error

    def settle(self, sequence: int) -> None:
        """Bring an entry that is there to the disk, before somebody is told that it is.

        Raises:
            IndeterminateError: it may or may not be on the disk.
        """
        with _translated(f"log entry {sequence}", IndeterminateError):
            _fsync_file(self.entry_path(sequence))
            fsync_folder(self.path / "log")

    def write_ref(self, channel: str, data: bytes) -> None:
        """Write the cache of a channel for other tools; nobody here reads it, and losing it changes nothing."""
        target = self.path / "refs" / f"{channel}.json"
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            temporary.write_bytes(data)
            temporary.replace(target)

    def bundle(self, artifact: "Artifact") -> StoredBundle:
        """Return a stored bundle's blobs."""
        return StoredBundle(self, artifact)
