"""The container of a bundle: an OCI image layout in one canonical, uncompressed ustar.

There is exactly one byte sequence for a given index and set of blobs, and the reader accepts no
other: every header is rebuilt and compared, so links, devices, extended headers, duplicates,
foreign names and trailing data cannot occur. Nothing is ever extracted by name.

Sources: POSIX.1-1988 ustar, OCI image-spec v1.1 (image layout).
"""

import contextlib
import hashlib
import os
import re
import stat
import tempfile
import threading
import weakref
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from candidate.document import digest_of
from candidate.documents.oci import OciLayout
from candidate.errors import InputError, IntegrityError, UnavailableError

LAYOUT_NAME = "oci-layout"
INDEX_NAME = "index.json"
BLOB_PREFIX = "blobs/sha256/"
BLOCK = 512
RECORD = 10_240
MAX_BLOB_BYTES = 8 * 1024**3 - 1
"""What eleven octal digits can say; larger weights are split."""
MAX_MEMBERS = 100_000
MAX_LAYOUT_BYTES = 4096
MAX_INDEX_BYTES = 4 * 1024 * 1024

_BLOB_NAME = re.compile(rb"blobs/sha256/[0-9a-f]{64}")
_SIZE = re.compile(rb"[0-7]{11}\0")
_CHUNK = 1 << 18
_PARALLEL_BYTES = 4 << 20

Progress = Callable[[int], None]
_Answer = TypeVar("_Answer", bytes, int)


def header_of(name: str, size: int) -> bytes:
    """Return the one ustar header (512 bytes) of a regular file in a bundle.

    Args:
        name: ASCII, at most 100 bytes.
        size: of the data, below 8 GiB.

    Raises:
        InputError: the size does not fit the header.
    """
    if not 0 <= size <= MAX_BLOB_BYTES:
        raise InputError(f"blob of {size} bytes, more than {MAX_BLOB_BYTES}", where=name, hint="split the weights")
    head = bytearray(BLOCK)
    head[0 : len(name)] = name.encode("ascii")
    head[100:124] = b"0000644\0" + b"0000000\0" * 2
    head[124:136] = b"%011o\0" % size
    head[136:148] = b"00000000000\0"
    head[148:156] = b" " * 8
    head[156:157] = b"0"
    head[257:265] = b"ustar\x0000"
    head[148:155] = b"%06o\0" % sum(head)
    return bytes(head)


def _padding(size: int) -> int:
    return -size % BLOCK


class Archive:
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

    def __enter__(self) -> Self:
        """Return the archive itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
            if end + _padding(size) + 2 * BLOCK > self.size_bytes:
                raise self._bad(f"member of {size} bytes runs over the end of the file", where=name)
            if _padding(size) and any(self._bytes_at(end, _padding(size), where=name)):
                raise self._bad("padding is not zero", where=name)
            offset = end + _padding(size)
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

    def _check(self, digest: str, progress: Progress | None, first: Callable[[str, bytes], None] | None) -> None:
        offset, left = self._place(digest)
        state, begun = hashlib.sha256(), False
        # One buffer for all: fresh ones of this size are mapped and unmapped, and threads wait for that.
        buffer = memoryview(bytearray(min(left, _CHUNK)))
        while left:
            count = self._read_into(buffer[: min(left, _CHUNK)], offset, where=digest)
            chunk = buffer[:count]
            if first is not None and not begun:
                first(digest, bytes(chunk))
            begun = True
            state.update(chunk)
            offset, left = offset + count, left - count
            if progress is not None:
                progress(count)
        if "sha256:" + state.hexdigest() != digest:
            raise self._bad(f"blob has digest sha256:{state.hexdigest()}", where=digest)

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


def archive_chunks(index: bytes, blobs: Mapping[str, bytes]) -> Iterator[bytes]:
    """Yield the bytes of a bundle file, in order.

    Args:
        index: bytes of ``index.json``.
        blobs: bytes of each blob by its ``sha256:…``.

    Raises:
        InputError: too many or too large blobs.
        IntegrityError: a blob is not what its digest says.
    """
    if len(blobs) + 2 > MAX_MEMBERS:
        raise InputError(f"{len(blobs)} blobs, more than {MAX_MEMBERS - 2}", where="bundle")
    if len(index) > MAX_INDEX_BYTES:
        raise InputError(f"index of {len(index)} bytes, more than {MAX_INDEX_BYTES}", where=INDEX_NAME)
    members = [(LAYOUT_NAME, OciLayout().to_bytes()), (INDEX_NAME, index)]
    for digest in sorted(blobs):
        if digest_of(blobs[digest]) != digest:
            raise IntegrityError(f"blob has digest {digest_of(blobs[digest])}", where=digest)
        members.append((BLOB_PREFIX + digest.removeprefix("sha256:"), blobs[digest]))
    length = 0
    for name, data in members:
        yield header_of(name, len(data))
        yield data
        yield bytes(_padding(len(data)))
        length += BLOCK + len(data) + _padding(len(data))
    length += 2 * BLOCK
    yield bytes(2 * BLOCK + -length % RECORD)


def archive_bytes(*, index: bytes, blobs: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a small bundle file; see ``write_archive``."""
    return b"".join(archive_chunks(index, blobs))


def write_archive(path: Path, *, index: bytes, blobs: Mapping[str, bytes]) -> str:
    """Write a bundle file: all of it under its name, or nothing.

    Args:
        path: file to create or replace; its folder exists.
        index: bytes of ``index.json``.
        blobs: bytes of each blob by its ``sha256:…``.

    Returns:
        ``sha256:…`` of the file.

    Raises:
        InputError: there is no such folder.
        UnavailableError: the file cannot be written there.
        IntegrityError: a blob is not what its digest says.
    """
    state = hashlib.sha256()
    temporary: str | None = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in archive_chunks(index, blobs):
                state.update(chunk)
                file.write(chunk)
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
