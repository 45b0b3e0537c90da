"""A bundle before it is a file: nobody writes what nobody could verify."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass

from candidate.adapters.archive import Blob, archive_size, size_of
from candidate.documents.oci import OciLayout
from candidate.errors import InputError, IntegrityError
from candidate.flows.inspecting import inspect


@dataclass(frozen=True)
class Packed:
    """A bundle that is not written yet; it reads like the file that it will be."""

    index: bytes
    blobs: Mapping[str, Blob]

    @property
    def layout(self) -> bytes:
        """Raw bytes of ``oci-layout``."""
        return OciLayout().to_bytes()

    @property
    def sizes(self) -> dict[str, int]:
        """Size of each blob."""
        return {digest: size_of(data) for digest, data in self.blobs.items()}

    @property
    def size_bytes(self) -> int:
        """Size of the file that will be."""
        return archive_size(self.index, self.blobs)

    def read(self, digest: str) -> bytes:
        """Return a blob."""
        return b"".join(bytes(chunk) for chunk in self.chunks(digest))

    def chunks(self, digest: str) -> Iterator[bytes | memoryview]:
        """Yield a blob in constant memory."""
        data = self.blobs[digest]
        return iter((data,)) if isinstance(data, bytes) else data.chunks()

    def check_blobs(self, *, skip: Container[str] = (), first: Callable[[str, bytes], None] | None = None) -> None:
        """Look at the beginnings only: the digests were just made, and writing the file checks them."""
        for digest in self.blobs:
            if first is not None and digest not in skip:
                first(digest, bytes(next(self.chunks(digest), b"")))


def check_packed(packed: Packed) -> None:
    """Refuse to write what nobody could verify: the reader's checks run over the bytes before they are a file."""
    try:
        inspect(packed)
    except IntegrityError as error:
        raise InputError(
            f"the bundle would be refused: {error.message}",
            where=error.where,
            hint="take that member out of the bundle",
        ) from error
