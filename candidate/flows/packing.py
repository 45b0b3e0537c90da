"""A bundle before it is a file: nobody writes what nobody could verify."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from candidate.adapters import oci
from candidate.adapters.archive import Blob, archive_size, size_of, write_archive
from candidate.adapters.attest import Signer, attest
from candidate.adapters.oci import LargeMember, Member
from candidate.adapters.statements import integrity_statement, provenance_statement
from candidate.documents.evidence import BundleRef
from candidate.documents.manifest import BundleManifest, ModelSignature
from candidate.documents.names import MANIFEST_PATH
from candidate.documents.oci import OciLayout
from candidate.documents.results import Built
from candidate.documents.statement import Statement
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


def _statements(manifest: BundleManifest, content: oci.Content, parameters: dict[str, JsonValue]) -> list[Statement]:
    """Return what the builder attests: the release itself, its files for other tools, and its provenance."""
    name, version = manifest.descriptor.name, manifest.descriptor.version
    own = Member(MANIFEST_PATH, "manifest", manifest.to_bytes()).file
    return [
        oci.release_statement(name, version, content.digest),
        integrity_statement(name, version, [*manifest.files, own]),
        provenance_statement(name, version, content.digest, parameters=parameters, dependencies=manifest.dependencies),
    ]


def write_bundle(
    members: Sequence[Member | LargeMember],
    manifest: BundleManifest,
    *,
    signature: ModelSignature,
    parameters: dict[str, JsonValue],
    out: Path,
    signers: Sequence[Signer],
) -> Built:
    """Attest a bundle and write it to ``OUT/NAME-VERSION.candidate``.

    Args:
        members: every member but the manifest.
        manifest: lists them.
        signature: of the model.
        parameters: of the build, for its provenance.
        out: folder of the bundle.
        signers: builder's keys, each of which attests the same.

    Raises:
        InputError: the folder cannot be made, or nobody could verify the bundle.
    """
    who = manifest.descriptor
    content = oci.content_of(
        [*members, Member(MANIFEST_PATH, "manifest", manifest.to_bytes())],
        descriptor=who,
        precision="float64" if any(t.dtype == "float64" for t in signature.inputs) else "float32",
    )
    blobs: dict[str, Blob] = {**content.blobs, **content.large}
    referrers = []
    statements = _statements(manifest, content, parameters)
    signed = [(each, attest(each, signer)) for signer in signers for each in statements]
    for statement, attestation in signed:
        data = attestation.to_bytes()
        referrer, more = oci.attestation_blobs(content.descriptor, data, statement.predicate_type)
        referrers.append(referrer)
        blobs |= more
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot be made: {error.strerror}", where=str(out)) from error
    path = out / f"{who.name}-{who.version}.candidate"
    index = oci.index_of(content, who.version, referrers)
    check_packed(Packed(index, blobs))
    digest = write_archive(path, index=index, blobs=blobs)
    return Built(
        bundle=BundleRef(name=who.name, version=who.version, digest=content.digest),
        path=str(path),
        file_digest=digest,
        size_bytes=path.stat().st_size,
        parity=manifest.parity,
        attested=bool(signers),
    )
