"""The ledger's file: one line after the other, under a lock, on the disk before anybody goes on."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from candidate.errors import InputError, IntegrityError, UnavailableError

MAX_BYTES = 64 << 20


class LedgerFile:
    """A ledger that nobody else writes to while it is open."""

    def __init__(self, path: Path, descriptor: int, data: bytes) -> None:
        """Hold what was read.

        Args:
            path: of the file, for messages.
            descriptor: open for appending.
            data: all of it.
        """
        self.path, self._descriptor = path, descriptor
        self.lines = data.splitlines()

    def append(self, line: bytes) -> None:
        """Write a line, and wait until it is on the disk.

        Raises:
            UnavailableError: the disk refuses; what was written of the line is taken back.
        """
        size = os.fstat(self._descriptor).st_size
        try:
            rest = line + b"\n"
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise UnavailableError(f"cannot be written: {error.strerror}", where=str(self.path)) from error
        self.lines.append(line)


@contextmanager
def locked(path: Path, *, create: bool) -> Iterator[LedgerFile]:
    """Open a ledger for one reader and writer.

    Args:
        path: of the file.
        create: whether it may be new.

    Raises:
        InputError: it cannot be opened.
        IntegrityError: it is too large.
    """
    flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = _whole(path, descriptor)
        os.ftruncate(descriptor, len(data))
        yield LedgerFile(path, descriptor, data)
    finally:
        os.close(descriptor)


def read(path: Path) -> list[bytes]:
    """Return the lines of a ledger.

    Raises:
        InputError: it cannot be read.
        IntegrityError: it is too large.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    try:
        return _whole(path, descriptor).splitlines()
    finally:
        os.close(descriptor)


def _whole(path: Path, descriptor: int) -> bytes:
    """Return all whole lines; one that was cut off was never acknowledged, so it does not count."""
    if os.fstat(descriptor).st_size > MAX_BYTES:
        raise IntegrityError(f"a ledger of more than {MAX_BYTES} bytes", where=str(path))
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        data = file.read()
    return data[: data.rfind(b"\n") + 1]
