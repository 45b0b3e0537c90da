"""Write a bundle file: streaming, hashing on the way, all of it under its name or nothing."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from candidate.adapters.archive.form import (
    BLOB_PREFIX,
    BLOCK,
    INDEX_NAME,
    LAYOUT_NAME,
    MAX_INDEX_BYTES,
    MAX_MEMBERS,
    RECORD,
    Progress,
    header_of,
    padding,
)
from candidate.canonical import digest_of
from candidate.documents.names import LAYOUT_BYTES
from candidate.errors import InputError, IntegrityError, UnavailableError

_CHUNK = 1 << 20


class Streamed(Protocol):
    """A blob that is too large to be held: the writer reads it chunk by chunk and hashes it on the way."""

    @property
    def size(self) -> int:
        """Bytes that ``chunks`` yields in all."""
        ...

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes; a chunk may be gone when the next is asked for."""
        ...


Blob: TypeAlias = bytes | Streamed


@dataclass(frozen=True)
class FileBlob:
    """A blob that lies in a file, or in a part of one."""

    path: Path
    offset: int
    size: int

    @classmethod
    def whole(cls, path: Path) -> "FileBlob":
        """Return all of a file.

        Raises:
            InputError: it cannot be read.
        """
        with _reading(path):
            return cls(path, 0, path.stat().st_size)

    def chunks(self) -> Iterator[memoryview]:
        """Yield its bytes.

        Raises:
            InputError: the file cannot be read, or is shorter than it was.
        """
        buffer = memoryview(bytearray(min(self.size, _CHUNK)))
        with _reading(self.path), self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            left = self.size
            while left:
                count = file.readinto(buffer[: min(left, _CHUNK)])
                if not count:
                    raise InputError("the file became shorter while it was read", where=str(self.path))
                yield buffer[:count]
                left -= count

    def digest(self) -> str:
        """Return ``sha256:…`` of its bytes.

        Raises:
            InputError: the file cannot be read.
        """
        state = hashlib.sha256()
        for chunk in self.chunks():
            state.update(chunk)
        return "sha256:" + state.hexdigest()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error


def size_of(blob: Blob) -> int:
    """Return the number of bytes of a blob."""
    return len(blob) if isinstance(blob, bytes) else blob.size


def _members(index: bytes, blobs: Mapping[str, Blob]) -> list[tuple[str, Blob]]:
    if len(blobs) + 2 > MAX_MEMBERS:
        raise InputError(f"{len(blobs)} blobs, more than {MAX_MEMBERS - 2}", where="bundle")
    if len(index) > MAX_INDEX_BYTES:
        raise InputError(f"index of {len(index)} bytes, more than {MAX_INDEX_BYTES}", where=INDEX_NAME)
    named = [(BLOB_PREFIX + digest.removeprefix("sha256:"), blobs[digest]) for digest in sorted(blobs)]
    return [(LAYOUT_NAME, LAYOUT_BYTES), (INDEX_NAME, index), *named]


def archive_size(index: bytes, blobs: Mapping[str, Blob]) -> int:
    """Return the size in bytes of the bundle file that these make.

    Raises:
        InputError: too many blobs.
    """
    sizes = [size_of(data) for _, data in _members(index, blobs)]
    length = sum(BLOCK + size + padding(size) for size in sizes) + 2 * BLOCK
    return length + -length % RECORD


def _put(index: bytes, blobs: Mapping[str, Blob], put: Callable[[bytes | memoryview], object]) -> None:
    """Hand the bytes of a bundle file over, in order."""
    length = 0
    for name, data in _members(index, blobs):
        size = size_of(data)
        put(header_of(name, size))
        expected = "sha256:" + name.removeprefix(BLOB_PREFIX) if name.startswith(BLOB_PREFIX) else None
        _put_blob(data, expected, put)
        put(bytes(padding(size)))
        length += BLOCK + size + padding(size)
    length += 2 * BLOCK
    put(bytes(2 * BLOCK + -length % RECORD))


def _put_blob(data: Blob, expected: str | None, put: Callable[[bytes | memoryview], object]) -> None:
    """Hand one blob over, and find out whether it is the one that was meant."""
    if isinstance(data, bytes):
        found = digest_of(data)
        if expected not in {None, found}:
            raise IntegrityError(f"blob has digest {found}", where=expected or "")
        put(data)
        return
    from concurrent.futures import ThreadPoolExecutor  # late: whoever only reads needs none

    state, count = hashlib.sha256(), 0
    # A second core hashes the blob while this one hashes and writes the file.
    with ThreadPoolExecutor(1) as beside:
        for chunk in data.chunks():
            hashed = beside.submit(state.update, chunk)
            try:
                put(chunk)
            finally:
                hashed.result()
            count += len(chunk)
    found = "sha256:" + state.hexdigest()
    if found != expected or count != data.size:
        raise IntegrityError(f"blob of {count} bytes has digest {found}", where=expected or "")


def archive_bytes(*, index: bytes, blobs: Mapping[str, Blob]) -> bytes:
    """Return the bytes of a small bundle file; see ``write_archive``."""
    pieces: list[bytes] = []
    _put(index, blobs, lambda chunk: pieces.append(bytes(chunk)))
    return b"".join(pieces)


def write_archive(path: Path, *, index: bytes, blobs: Mapping[str, Blob], progress: Progress | None = None) -> str:
    """Write a bundle file: all of it under its name, or nothing. Streamed blobs are read once.

    Args:
        path: file to create or replace; its folder exists.
        index: bytes of ``index.json``.
        blobs: each blob by its ``sha256:…``: its bytes, or what streams them.
        progress: told how many bytes were written since it was told last.

    Returns:
        ``sha256:…`` of the file.

    Raises:
        InputError: there is no such folder; too many or too large blobs; a blob's file cannot be read.
        UnavailableError: the file cannot be written there.
        IntegrityError: a blob is not what its digest says.
    """
    import tempfile  # late: whoever only reads needs none

    state = hashlib.sha256()
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:

            def put(chunk: bytes | memoryview) -> None:
                state.update(chunk)
                file.write(chunk)
                if progress is not None:
                    progress(len(chunk))

            _put(index, blobs, put)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        _sync_folder(path.parent)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("there is no such folder", where=str(path.parent), hint="make it first") from error
    except OSError as error:
        raise UnavailableError(f"bundle cannot be written: {error.strerror}", where=str(path)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
    return "sha256:" + state.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
