"""An opened bundle: its documents, and its members by name."""

import os
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from candidate.canonical import digest_of
from candidate.documents.names import (
    EXPERIMENT_PATH,
    GOLDEN_DIRECTORY,
    MANIFEST_PATH,
    MODEL_PATH,
    SIGNATURE_PATH,
    TOLERANCE_PATH,
)
from candidate.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from candidate.adapters.runtime import Session
    from candidate.documents.evidence import BundleRef
    from candidate.documents.manifest import BundleManifest, ExperimentRecord, ModelSignature, Tensor, Tolerance


class Blobs(Protocol):
    """Where a bundle's bytes come from: a file, or a registry's store."""

    @property
    def layout(self) -> bytes:
        """Raw bytes of ``oci-layout``."""
        ...

    @property
    def index(self) -> bytes:
        """Raw bytes of ``index.json``."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of each blob, by ``sha256:…``."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size of the whole bundle as a file."""
        ...

    def read(self, digest: str) -> bytes:
        """Return a blob, hashed before it is returned."""
        ...

    def chunks(self, digest: str) -> Iterator[bytes | memoryview]:
        """Yield a blob in constant memory; that its hash is wrong is known after the last chunk."""
        ...

    def check_blobs(self, *, skip: Container[str] = (), first: Callable[[str, bytes], None] | None = None) -> None:
        """Hash every blob but those to skip, and hand out the first bytes of each."""
        ...


@dataclass(frozen=True)
class Views:
    """The documents of a bundle as a verifier reads them; ``Bundle`` has the documents themselves."""

    manifest: Any
    signature: Any
    experiment: Any
    tolerance: Any


@dataclass(frozen=True)
class Bundle(AbstractContextManager["Bundle"]):
    """A bundle whose bytes, closure, documents, graph and schemas agree with each other.

    Who made it is another question: see ``candidate.flows.verifying``.
    """

    blobs: Blobs
    digest: str
    """Of the content manifest: the bundle's identity."""
    views: Views
    input_schema: dict[str, Any]
    index_digest: str
    size_bytes: int
    """The whole file."""
    model_size_bytes: int
    """Graph and weights."""
    attestations: tuple[bytes, ...]
    """Sigstore-bundle JSON of each attestation inside; nobody checked who made them."""

    @cached_property
    def ref(self) -> "BundleRef":
        """The bundle, named."""
        from candidate.documents.evidence import BundleRef

        who = self.views.manifest.descriptor
        return BundleRef(name=who.name, version=who.version, digest=self.digest)

    @cached_property
    def manifest(self) -> "BundleManifest":
        """``candidate.json``."""
        from candidate.documents.manifest import BundleManifest

        return BundleManifest.from_bytes(self.views.manifest.to_bytes(), where=MANIFEST_PATH)

    @cached_property
    def signature(self) -> "ModelSignature":
        """The model signature."""
        from candidate.documents.manifest import ModelSignature

        return ModelSignature.from_bytes(self.views.signature.to_bytes(), where=SIGNATURE_PATH)

    @cached_property
    def experiment(self) -> "ExperimentRecord":
        """All that is needed to train the model again."""
        from candidate.documents.manifest import ExperimentRecord

        return ExperimentRecord.from_bytes(self.views.experiment.to_bytes(), where=EXPERIMENT_PATH)

    @cached_property
    def tolerance(self) -> "Tolerance":
        """How far a replay may be from the golden outputs."""
        from candidate.documents.manifest import Tolerance

        return Tolerance.from_bytes(self.views.tolerance.to_bytes(), where=TOLERANCE_PATH)

    @property
    def filled(self) -> frozenset[str]:
        """Features that may not be missing, as the input schema says: no row of training missed them."""
        properties = self.input_schema["properties"]
        return frozenset(name for name, said in properties.items() if "null" not in said["type"])

    def read(self, name: str) -> bytes:
        """Return a member by its path, hash-checked now.

        Raises:
            InputError: there is no such member.
            IntegrityError: the bytes changed since the bundle was opened.
        """
        return self.blobs.read(self._digest(name))

    def write(self, name: str, path: Path) -> None:
        """Write a member to a new file in constant memory, hashed on the way; no link is followed.

        Raises:
            InputError: there is no such member.
            IntegrityError: the bytes changed since the bundle was opened; the file is not to be used.
            OSError: the file exists, or cannot be written.
        """
        digest = self._digest(name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            for chunk in self.blobs.chunks(digest):
                file.write(chunk)

    def _digest(self, name: str) -> str:
        if name == MANIFEST_PATH:
            return digest_of(self.views.manifest.to_bytes())
        for file in self.views.manifest.files:
            if file.name == name:
                return f"sha256:{file.digest.sha256}"
        names = ", ".join([MANIFEST_PATH, *(file.name for file in self.views.manifest.files)][:12])
        raise InputError(
            f"the bundle has no member {name!r}", where=self.views.manifest.descriptor.name, hint=f"it has {names}"
        )

    def session(self, *, threads: int = 1) -> "Session":
        """Load the graph from bytes that were hashed in the same breath."""
        from candidate.adapters.runtime import Session

        with self.weights() as folder:
            return Session(self.read(MODEL_PATH), threads=threads, folder=folder)

    @contextmanager
    def weights(self) -> Iterator[Path]:
        """Lay the files that the graph keeps weights in out in a folder that only we can read, and take it away again.

        A graph that is loaded meanwhile stays usable. The folder is empty when all weights are in the graph.

        Raises:
            IntegrityError: the bytes changed since the bundle was opened.
            UnavailableError: there is no room for them.
        """
        import tempfile  # late: whoever does not load the graph needs none

        with tempfile.TemporaryDirectory(prefix="candidate-") as folder:
            for name in self.views.manifest.onnx.external_data:
                try:
                    self.write(name, Path(folder, name.rpartition("/")[2]))
                except OSError as error:
                    raise UnavailableError(
                        f"weights cannot be laid out: {error.strerror}",
                        where=folder,
                        hint="set $TMPDIR to a folder with room for them",
                    ) from error
            yield Path(folder)

    def close(self) -> None:
        """Close the file behind the bundle, if there is one."""
        closing = getattr(self.blobs, "close", None)
        if closing is not None:
            closing()

    def __exit__(self, *_: object) -> None:
        """Close the file behind the bundle."""
        self.close()


def golden_path(kind: str, number: int) -> str:
    """Return the member of the golden input or output with this number."""
    return f"{GOLDEN_DIRECTORY}/{kind}_{number}.pb"


def _golden(bundle: Bundle, kind: str, tensors: "tuple[Tensor, ...]") -> "dict[str, NDArray[Any]]":
    from candidate.adapters.graph.tensors import array_of

    arrays = {}
    for number, tensor in enumerate(tensors):
        path = golden_path(kind, number)
        arrays[tensor.name] = array_of(bundle.read(path), tensor, rows=bundle.tolerance.rows, where=path)
    return arrays


def golden_feeds(bundle: Bundle) -> "dict[str, NDArray[Any]]":
    """Return the golden inputs by name, each of shape (rows, 1)."""
    return _golden(bundle, "input", bundle.signature.inputs)


def golden_outputs(bundle: Bundle) -> "dict[str, NDArray[Any]]":
    """Return the golden outputs by name: what the graph answered when the bundle was built."""
    return _golden(bundle, "output", bundle.signature.outputs)
