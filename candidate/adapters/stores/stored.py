"""A bundle whose blobs lie in a registry: it reads like the archive it came in."""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from candidate.documents.names import LAYOUT_BYTES
from candidate.documents.view import view

if TYPE_CHECKING:
    from candidate.documents.entry import Artifact

BLOCK = 512
RECORD = 20 * BLOCK


class BlobStore(Protocol):
    """Where blobs are kept by their digest."""

    def blob_size(self, digest: str) -> int:
        """Return the size of a blob."""
        ...

    def read_blob(self, digest: str) -> bytes:
        """Return a blob, hashed before it is returned."""
        ...

    def chunks(self, digest: str) -> Iterator[memoryview]:
        """Yield a blob, hashed by the end."""
        ...


@dataclass(frozen=True)
class StoredBundle:
    """A bundle's blobs in a registry; it reads like the archive it came in."""

    store: BlobStore
    artifact: "Artifact"

    @property
    def layout(self) -> bytes:
        """Raw bytes of ``oci-layout``, which is the same in every bundle."""
        return LAYOUT_BYTES

    @cached_property
    def index(self) -> bytes:
        """Raw bytes of ``index.json``."""
        return self.store.read_blob(self.artifact.index)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Size of every blob that the index leads to."""
        found: dict[str, int] = {}
        for descriptor in view("oci-index", self.index, where="index.json").manifests:
            found[descriptor.digest] = self.store.blob_size(descriptor.digest)
            manifest = view("oci-manifest", self.store.read_blob(descriptor.digest), where=descriptor.digest)
            for part in (manifest.config, *manifest.layers):
                found[part.digest] = self.store.blob_size(part.digest)
        return found

    @property
    def size_bytes(self) -> int:
        """Size of the archive that these blobs make: a header and padding for each, two end blocks, whole records."""
        parts = [len(self.layout), len(self.index), *self.sizes.values()]
        total = sum(BLOCK + -(-size // BLOCK) * BLOCK for size in parts) + 2 * BLOCK
        return -(-total // RECORD) * RECORD

    def read(self, digest: str) -> bytes:
        """Return a blob, hashed before it is returned."""
        return self.store.read_blob(digest)

    def chunks(self, digest: str) -> Iterator[memoryview]:
        """Yield a blob in constant memory, hashed by the end."""
        return self.store.chunks(digest)

    def check_blobs(self, *, skip: Container[str] = (), first: Callable[[str, bytes], None] | None = None) -> None:
        """Hash every blob, as an archive does."""
        for digest in sorted(digest for digest in self.sizes if digest not in skip):
            for number, chunk in enumerate(self.chunks(digest)):
                if number == 0 and first is not None:
                    first(digest, bytes(chunk))

    def source(self, digest: str) -> "StoredBlob":
        """Return a blob to be written into a bundle file."""
        return StoredBlob(self.store, digest, self.sizes[digest])


@dataclass(frozen=True)
class StoredBlob:
    """A blob of a registry, as the writer of a bundle file takes it."""

    store: BlobStore
    digest: str
    size: int

    def chunks(self) -> Iterator[memoryview]:
        """Yield its bytes."""
        return self.store.chunks(self.digest)
