"""Read an OCI image layout that somebody else wrote: a folder, or a tar of any dialect.

Other tools add folders, times, owners and extended headers, and choose the order. Nothing of that
is kept: only regular files with a layout's own names are looked at, and each blob is addressed by
the hash of its bytes. Nothing is extracted by name, and no link is followed.

Sources: OCI image-spec v1.1 (image layout), POSIX.1-2001 pax.
"""

import hashlib
import os
import re
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Literal, Self

from candidate.errors import CandidateError, InputError, IntegrityError, UnavailableError

MAX_BLOB_BYTES = 8 * 1024**3 - 1
MAX_LAYOUT_BYTES = 4096
MAX_INDEX_BYTES = 4 * 1024 * 1024
MAX_MEMBERS = 200_000
MAX_SOURCE_BYTES = 64 * 1024**3
"""What a tar may unfold to, so that a small compressed file cannot fill the disk."""
_MAX_EXTENDED_HEADER = 64 * 1024
_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"

_WANTED = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/sha256/([0-9a-f]{64}))")
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_HINT = "write it again: skopeo copy … oci:DIR or oci-archive:FILE"


class Layout:
    """A foreign layout, its blobs in a scratch folder as far as they were read."""

    def __init__(self, source: Path, folder: Path) -> None:
        """Open a layout.

        Args:
            source: the folder or the tar.
            folder: an empty folder of ours, for blobs.

        Raises:
            InputError: neither a folder nor a tar, or not readable.
            IntegrityError: links, duplicates, or more than there may be.
            UnavailableError: the scratch folder is full.
        """
        self._source, self._folder = source, folder
        self._small: dict[str, bytes] = {}
        self._blobs: dict[str, Path] = {}
        self._root: int | None = None
        try:
            if source.is_dir():
                self._root = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._read_small()
            else:
                self._read_tar()
        except OSError as error:
            self.close()
            raise InputError(f"cannot be read: {error.strerror or error}", where=str(source)) from error
        except BaseException:
            self.close()
            raise
        if not self.index or b"imageLayoutVersion" not in self._small.get("oci-layout", b""):
            self.close()
            raise InputError("not an OCI image layout", where=str(source), hint=_HINT)

    def close(self) -> None:
        """Let go of the source; blobs that were read stay in the scratch folder."""
        if self._root is not None:
            os.close(self._root)
            self._root = None

    def __enter__(self) -> Self:
        """Return the layout itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the source."""
        self.close()

    @property
    def index(self) -> bytes:
        """Raw bytes of ``index.json``."""
        return self._small.get("index.json", b"")

    def blob(self, digest: str) -> Path | None:
        """Return the scratch file of a blob, hashed before it is returned; None if the layout does not have it.

        Raises:
            IntegrityError: it has other bytes, or is no regular file.
            UnavailableError: the scratch folder is full.
        """
        if digest not in self._blobs and self._root is not None and _WANTED.fullmatch(_member(digest)):
            file = self._opened(_member(digest))
            if file is not None:
                with file:
                    self._keep(digest, partial(file.read, _CHUNK))
        return self._blobs.get(digest)

    def read(self, digest: str, *, limit: int) -> bytes | None:
        """Return the bytes of a small blob; None if the layout does not have it.

        Raises:
            IntegrityError: it has other bytes, or too many.
        """
        path = self.blob(digest)
        if path is None:
            return None
        with path.open("rb") as file:
            return self._capped(file, limit, digest)

    def _bad(self, message: str, where: str) -> IntegrityError:
        return IntegrityError(message, where=f"{self._source.name}: {where}", hint=_HINT)

    def _keep(self, digest: str, read: Callable[[], bytes]) -> int:
        """Copy a blob into the scratch folder under its own hash; return its size."""
        path = self._folder / digest.removeprefix("sha256:")
        state, count = hashlib.sha256(), 0
        try:
            with path.open("xb") as kept:
                while chunk := read():
                    count += len(chunk)
                    if count > MAX_BLOB_BYTES:
                        raise self._bad(f"more than {MAX_BLOB_BYTES} bytes", digest)
                    state.update(chunk)
                    kept.write(chunk)
        except OSError as error:
            raise UnavailableError(f"cannot be kept: {error.strerror or error}", where=str(self._folder)) from error
        if "sha256:" + state.hexdigest() != digest:
            raise self._bad(f"blob has digest sha256:{state.hexdigest()}", digest)
        self._blobs[digest] = path
        return count

    def _opened(self, name: str) -> IO[bytes] | None:
        """Open a regular file of the folder, following no link at any step; None if there is none."""
        if self._root is None:
            return None
        *folders, last = name.split("/")
        held = [os.dup(self._root)]
        try:
            for folder in folders:
                held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
            descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held[-1])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._bad(f"a link, or not readable: {error.strerror}", name) from error
        finally:
            for each in held:
                os.close(each)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._bad("not a regular file", name)
        return os.fdopen(descriptor, "rb")

    def _read_small(self) -> None:
        for name, limit in (("oci-layout", MAX_LAYOUT_BYTES), ("index.json", MAX_INDEX_BYTES)):
            file = self._opened(name)
            if file is not None:
                with file:
                    self._small[name] = self._capped(file, limit, name)

    def _capped(self, file: IO[bytes], limit: int, name: str) -> bytes:
        data = file.read(limit + 1)
        if len(data) > limit:
            raise self._bad(f"more than {limit} bytes", name)
        return data

    def _read_tar(self) -> None:
        descriptor = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError("neither a folder nor a file", where=str(self._source))
            mode: Literal["r|gz", "r|"] = "r|gz" if file.peek(2)[:2] == _GZIP else "r|"
            try:
                with tarfile.open(fileobj=file, mode=mode, tarinfo=_Small) as tar:
                    self._take(tar, _bounded(tar, self._bad))
            except CandidateError:
                raise
            except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as error:
                raise IntegrityError(
                    f"not a whole tar: {error}", where=str(self._source), hint="only .tar and .tar.gz are read"
                ) from error

    def _take(self, tar: tarfile.TarFile, members: Iterator[tarfile.TarInfo]) -> None:
        """Keep the files of a layout; other regular files and folders are passed over."""
        seen: set[str] = set()
        for member in members:
            match = _WANTED.fullmatch(member.name)
            if match is None:
                continue
            name = match[1]
            file = tar.extractfile(member) if member.type in tarfile.REGULAR_TYPES else None
            if file is None or member.issparse() or name in seen:
                raise self._bad("appears twice" if name in seen else "not a regular file", name)
            seen.add(name)
            if match[2] is None:
                limit = MAX_INDEX_BYTES if name == "index.json" else MAX_LAYOUT_BYTES
                self._small[name] = self._capped(file, limit, name)
                continue
            count = self._keep("sha256:" + match[2], partial(file.read, _CHUNK))
            if count != member.size:
                raise self._bad(f"{count} bytes of {member.size}: the tar ends too early", name)


def _member(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _bounded(tar: tarfile.TarFile, bad: Callable[[str, str], IntegrityError]) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar, refusing links, devices and more than there may be of anything."""
    total = count = 0
    while (member := tar.next()) is not None:
        total, count = total + member.size, count + 1
        tar.members.clear()  # type: ignore[attr-defined]  # otherwise a long tar is remembered whole
        if member.size < 0 or not (member.isreg() or member.isdir()):
            raise bad("a link or a device", member.name[:200])
        if count > MAX_MEMBERS or total > MAX_SOURCE_BYTES:
            raise bad(f"more than {MAX_MEMBERS} members or {MAX_SOURCE_BYTES} bytes", member.name[:200])
        yield member


class _Small(tarfile.TarInfo):
    """A member whose extended headers are small; the library would read them whole, whatever their size."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """Look at the header before its data; overriding this is what the library offers for it."""
        if self.type in _EXTENDED and self.size > _MAX_EXTENDED_HEADER:
            raise tarfile.ReadError(f"extended header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc,no-any-return]  # not in the stubs
