"""The container of a bundle: an OCI image layout in one canonical, uncompressed ustar.

There is exactly one byte sequence for a given index and set of blobs, and the reader accepts no
other: every header is rebuilt and compared, so links, devices, extended headers, duplicates,
foreign names and trailing data cannot occur. Nothing is ever extracted by name.

Sources: POSIX.1-1988 ustar, OCI image-spec v1.1 (image layout).
"""

import hashlib
import os
import re
import stat
import threading
import weakref
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from candidate.adapters.archive.form import (
    BLOB_PREFIX,
    BLOCK,
    INDEX_NAME,
    LAYOUT_NAME,
    MAX_INDEX_BYTES,
    MAX_LAYOUT_BYTES,
    MAX_MEMBERS,
    RECORD,
    Progress,
    header_of,
    padding,
)
from candidate.canonical import digest_of
from candidate.errors import InputError, IntegrityError, UnavailableError

_BLOB_NAME = re.compile(rb"blobs/sha256/[0-9a-f]{64}")
_SIZE = re.compile(rb"[0-7]{11}\0")
_CHUNK = 1 << 18
_PARALLEL_BYTES = 4 << 20

_Answer = TypeVar("_Answer", bytes, int)


class Archive(AbstractContextManager["Archive"]):
    """A bundle file, open for reading: the tar is checked when it opens, a blob when it is read.

    Use it as a context manager, or let it go: its one file descriptor closes with it.
    """

    layout: bytes
    """Raw bytes of ``oci-layout``."""
    index: bytes
    """Raw bytes of ``index.json``."""
    sizes: Mapping[str, int]
    """Size in bytes of each blob, by ``sha256:…``."""
    size_bytes: int
    """Size of the whole file."""

    def __init__(self, descriptor: int, *, where: str) -> None:
        """Take over an open descriptor and check the tar; ``Archive.open`` is the usual way in."""
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        self._where = where
        self._offsets: dict[str, int] = {}
        try:
            self._read_structure()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a bundle and check the whole structure of its tar, byte by byte.

        Raises:
            InputError: no such file, or not a regular file.
            IntegrityError: not a canonical bundle.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            hint = "name a .candidate file"
            raise InputError(f"bundle cannot be read: {reason}", where=str(path), hint=hint) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InputError("not a regular file", where=str(path), hint="name a .candidate file")
        return cls(descriptor, where=Path(path).name)

    def close(self) -> None:
        """Close the file; what was read stays valid."""
        self._close()

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _bad(self, message: str, *, where: str = "") -> IntegrityError:
        place = f"{self._where}: {where}" if where else self._where
        return IntegrityError(message, where=place, hint="fetch the bundle again from where it was published")

    def _ask(self, call: Callable[[], _Answer], *, where: str) -> _Answer:
        """Ask the system for bytes; none at all, from a file that shrank meanwhile, is an integrity error."""
        if not self._close.alive:
            raise InputError("the bundle was closed before it was read", where=self._where)
        try:
            answer = call()
        except OSError as error:
            raise UnavailableError(f"bundle cannot be read: {error.strerror}", where=self._where) from error
        if not answer:
            raise self._bad("the file ends too early", where=where)
        return answer

    def _bytes_at(self, offset: int, size: int, *, where: str = "") -> bytes:
        """Read exactly these bytes."""
        pieces: list[bytes] = []
        while size:
            pieces.append(self._ask(partial(os.pread, self._descriptor, size, offset), where=where))
            offset, size = offset + len(pieces[-1]), size - len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_into(self, buffer: memoryview, offset: int, *, where: str) -> int:
        """Read some bytes into a buffer, and return how many."""
        return self._ask(partial(os.preadv, self._descriptor, [buffer], offset), where=where)

    def _read_structure(self) -> None:
        self.size_bytes = os.fstat(self._descriptor).st_size
        if self.size_bytes < RECORD or self.size_bytes % RECORD:
            raise self._bad(f"size {self.size_bytes} is not a positive multiple of {RECORD}: truncated, or no bundle")
        sizes: dict[str, int] = {}
        offset, previous = 0, ""
        for count, (name, size) in enumerate(self._headers()):
            offset = self._next
            if count == 0:
                self.layout = self._leading(name, LAYOUT_NAME, size, MAX_LAYOUT_BYTES)
            elif count == 1:
                self.index = self._leading(name, INDEX_NAME, size, MAX_INDEX_BYTES)
            else:
                if not name.startswith(BLOB_PREFIX):
                    raise self._bad("member is not where the order of members puts it", where=name)
                if name <= previous:
                    what = "appears twice" if name == previous else "is out of order"
                    raise self._bad(f"member {what}", where=name)
                if count >= MAX_MEMBERS:
                    raise self._bad(f"more than {MAX_MEMBERS} members")
                digest = "sha256:" + name.removeprefix(BLOB_PREFIX)
                sizes[digest], self._offsets[digest] = size, offset
                previous = name
        if not hasattr(self, "index"):
            raise self._bad(f"{LAYOUT_NAME} and {INDEX_NAME} are not the first two members")
        self.sizes = MappingProxyType(sizes)

    def _leading(self, name: str, expected: str, size: int, limit: int) -> bytes:
        if name != expected:
            raise self._bad(f"member {name!r} where {expected!r} must be")
        if size > limit:
            raise self._bad(f"member of {size} bytes, more than {limit}", where=name)
        return self._bytes_at(self._next, size, where=name)

    def _headers(self) -> Iterator[tuple[str, int]]:
        """Yield name and size of each member, with the offset of its data in ``_next``."""
        offset = 0
        while True:
            block = self._bytes_at(offset, BLOCK)
            if not any(block):
                break
            name, size = self._parse(block, offset)
            self._next = offset + BLOCK
            end = self._next + size
            if end + padding(size) + 2 * BLOCK > self.size_bytes:
                raise self._bad(f"member of {size} bytes runs over the end of the file", where=name)
            if padding(size) and any(self._bytes_at(end, padding(size), where=name)):
                raise self._bad("padding is not zero", where=name)
            offset = end + padding(size)
            yield name, size
        expected = offset + 2 * BLOCK
        expected += -expected % RECORD
        if self.size_bytes != expected:
            raise self._bad(f"file of {self.size_bytes} bytes, its members need {expected}")
        if any(self._bytes_at(offset, expected - offset)):
            raise self._bad("something follows the last member")

    def _parse(self, block: bytes, offset: int) -> tuple[str, int]:
        raw = block[:100].rstrip(b"\0")
        leading = raw in {LAYOUT_NAME.encode(), INDEX_NAME.encode()}
        if not (leading or _BLOB_NAME.fullmatch(raw)):
            raise self._bad(f"member name {raw.decode('ascii', 'backslashreplace')!r} is not allowed in a bundle")
        name = raw.decode("ascii")
        if not _SIZE.fullmatch(block[124:136]):
            raise self._bad(f"size in the header at byte {offset} is not canonical", where=name)
        size = int(block[124:135], 8)
        if block != header_of(name, size):
            what = "not a regular file" if block[156:157] != b"0" else "header is not canonical"
            raise self._bad(f"{what} (header at byte {offset})", where=name)
        return name, size

    def _place(self, digest: str) -> tuple[int, int]:
        size = self.sizes.get(digest)
        if size is None:
            raise self._bad("blob is missing", where=digest)
        return self._offsets[digest], size

    def read(self, digest: str) -> bytes:
        """Return a blob, hashed before it is returned.

        Raises:
            IntegrityError: there is no such blob, or its bytes have another digest.
        """
        offset, size = self._place(digest)
        data = self._bytes_at(offset, size, where=digest)
        if digest_of(data) != digest:
            raise self._bad(f"blob has digest {digest_of(data)}", where=digest)
        return data

    def chunks(self, digest: str) -> Iterator[memoryview]:
        """Yield the bytes of a blob in constant memory; each chunk is gone when the next is asked for.

        The hash is known only at the end: whoever keeps what was yielded keeps it aside until then.

        Raises:
            IntegrityError: there is no such blob; or, after the last chunk, its bytes have another digest.
        """
        offset, left = self._place(digest)
        state = hashlib.sha256()
        # One buffer for all: fresh ones of this size are mapped and unmapped, and threads wait for that.
        buffer = memoryview(bytearray(min(left, _CHUNK)))
        while left:
            count = self._read_into(buffer[: min(left, _CHUNK)], offset, where=digest)
            state.update(buffer[:count])
            yield buffer[:count]
            offset, left = offset + count, left - count
        if "sha256:" + state.hexdigest() != digest:
            raise self._bad(f"blob has digest sha256:{state.hexdigest()}", where=digest)

    def source(self, digest: str) -> "ArchivedBlob":
        """Return a blob to be written into another bundle file.

        Raises:
            IntegrityError: there is no such blob.
        """
        return ArchivedBlob(self, digest, self._place(digest)[1])

    def _check(self, digest: str, progress: Progress | None, first: Callable[[str, bytes], None] | None) -> None:
        begun = False
        for chunk in self.chunks(digest):
            if first is not None and not begun:
                first(digest, bytes(chunk))
            begun = True
            if progress is not None:
                progress(len(chunk))

    def check_blobs(
        self,
        progress: Progress | None = None,
        *,
        skip: Container[str] = (),
        first: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """Hash every blob in constant memory, several at a time when it pays.

        Args:
            progress: told how many bytes were hashed since it was told last.
            skip: digests that need no check, because the caller reads them.
            first: told each digest and the first bytes of its blob, before the blob's hash is known.

        Raises:
            IntegrityError: a blob does not have the digest it is named by.
        """
        digests = sorted((digest for digest in self.sizes if digest not in skip), key=lambda d: -self.sizes[d])
        lock = threading.Lock()

        def told(count: int) -> None:
            if progress is not None:
                with lock:
                    progress(count)

        if len(digests) < 2 or sum(self.sizes[digest] for digest in digests) < _PARALLEL_BYTES:  # noqa: PLR2004 - two at once
            for digest in digests:
                self._check(digest, told, first)
            return
        from concurrent.futures import ThreadPoolExecutor  # late: small bundles need no threads

        with ThreadPoolExecutor(min(len(digests), os.cpu_count() or 1)) as pool:
            for done in [pool.submit(self._check, digest, told, first) for digest in digests]:
                done.result()


@dataclass(frozen=True)
class ArchivedBlob:
    """A blob of an open bundle file, as a writer takes it."""

    archive: Archive
    digest: str
    size: int

    def chunks(self) -> Iterator[memoryview]:
        """Yield its bytes; see ``Archive.chunks``."""
        return self.archive.chunks(self.digest)
