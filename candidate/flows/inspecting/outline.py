"""The outermost shell of a bundle: layout, index, content manifest, and the attestations about it.

This much is read before any signature is checked, so it is little, and derived where it can be.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from candidate.adapters.attest import MAX_ATTESTATION_BYTES
from candidate.adapters.oci.wire import attestation_reference, index_bytes, manifest_reference, referrer_of
from candidate.canonical import MAX_SMALL_BYTES, digest_of
from candidate.documents.names import (
    ATTESTATION_PREDICATE,
    LAYOUT_BYTES,
    MANIFEST_TYPE,
    MODEL_ARTIFACT_TYPE,
    REF_NAME,
    SIGSTORE_TYPE,
)
from candidate.documents.view import View, view
from candidate.errors import IntegrityError
from candidate.flows.inspecting.bundle import Blobs

if TYPE_CHECKING:
    from candidate.documents.oci import OciDescriptor, OciManifest

MAX_ATTESTATIONS = 64


@dataclass(frozen=True)
class Outline:
    """What the index says of the bundle, checked against the bytes it points to."""

    digest: str
    """Digest of the content manifest: the bundle's identity."""
    version: str
    """As the index tags it; the metadata manifest must say the same."""
    manifest: "OciManifest | View"
    raw: bytes
    """Bytes of the content manifest."""
    attestations: tuple[bytes, ...]
    predicates: tuple[str, ...]
    """Predicate type that the index claims for each attestation."""
    blobs: frozenset[str]
    """Every blob that belongs to this shell."""


def read_blob(blobs: Blobs, descriptor: "OciDescriptor | View", *, limit: int, where: str) -> bytes:
    """Return the blob a descriptor points to; its declared size is looked at before it is read.

    Raises:
        IntegrityError: missing, too large, of another size or another digest.
    """
    size = check_size(blobs, descriptor, where=where)
    if size > limit:
        raise IntegrityError(f"{size} bytes, more than {limit}", where=where)
    return blobs.read(descriptor.digest)


def check_size(blobs: Blobs, descriptor: "OciDescriptor | View", *, where: str) -> int:
    """Return the size of the blob a descriptor points to, which must be the one it declares."""
    size = blobs.sizes.get(descriptor.digest)
    if size is None:
        raise IntegrityError(
            f"blob {descriptor.digest} is missing", where=where, hint="the copy is incomplete: fetch it again"
        )
    if size != descriptor.size:
        raise IntegrityError(f"blob has {size} bytes, its descriptor says {descriptor.size}", where=where)
    return size


def outline_of(blobs: Blobs) -> Outline:
    """Read the shell of a bundle.

    Raises:
        IntegrityError: layout, index, content manifest or a referrer is not exactly what we write.
    """
    if blobs.layout != LAYOUT_BYTES:
        from candidate.documents.oci import OciLayout  # late: it says what is wrong

        OciLayout.from_bytes(blobs.layout, where="oci-layout")
        raise IntegrityError("not the layout of a bundle", where="oci-layout")
    index = view("oci-index", blobs.index, where="index.json")
    first, *others = index.manifests
    if first.media_type != MANIFEST_TYPE or first.artifact_type != MODEL_ARTIFACT_TYPE:
        raise IntegrityError(
            f"first entry is {first.artifact_type or first.media_type}, not a model", where="index.json"
        )
    version = (first.annotations or {}).get(REF_NAME)
    if version is None:
        raise IntegrityError(f"first entry has no annotation {REF_NAME}", where="index.json")
    raw = read_blob(blobs, first, limit=MAX_SMALL_BYTES, where="content manifest")
    manifest = view("oci-manifest", raw, where="content manifest")
    if len(others) > MAX_ATTESTATIONS:
        raise IntegrityError(f"{len(others)} attestations, more than {MAX_ATTESTATIONS}", where="index.json")
    subject = manifest_reference(raw)
    attestations, predicates, used = [], [], {subject.digest}
    for number, descriptor in enumerate(others):
        data, predicate, digests = _attestation(blobs, descriptor, subject, where=f"attestation {number}")
        attestations.append(data)
        predicates.append(predicate)
        used |= digests
    if len({descriptor.digest for descriptor in others}) != len(others):
        raise IntegrityError("an attestation is listed twice", where="index.json")
    if index_bytes(subject, version, others) != blobs.index:
        raise IntegrityError("not the index of this manifest and its attestations", where="index.json")
    return Outline(
        digest=digest_of(raw),
        version=version,
        manifest=manifest,
        raw=raw,
        attestations=tuple(attestations),
        predicates=tuple(predicates),
        blobs=frozenset(used),
    )


def _attestation(blobs: Blobs, descriptor: Any, subject: View, *, where: str) -> tuple[bytes, str, set[str]]:
    """Return an attestation, the predicate type its referrer claims, and the blobs it is made of."""
    if descriptor.artifact_type != SIGSTORE_TYPE:
        raise IntegrityError(
            f"entry is {descriptor.artifact_type or descriptor.media_type}, not an attestation", where=where
        )
    raw = read_blob(blobs, descriptor, limit=MAX_SMALL_BYTES, where=where)
    manifest = view("oci-manifest", raw, where=where)
    predicate = (manifest.annotations or {}).get(ATTESTATION_PREDICATE)
    if len(manifest.layers) != 1 or predicate is None:
        raise IntegrityError("referrer is not one attestation with its predicate type", where=where)
    data = read_blob(blobs, manifest.layers[0], limit=MAX_ATTESTATION_BYTES, where=where)
    layer = attestation_reference(data)
    if referrer_of(subject, layer, predicate) != (descriptor, raw):
        raise IntegrityError("referrer does not refer to this bundle in the one way it can", where=where)
    read_blob(blobs, manifest.config, limit=MAX_SMALL_BYTES, where=where)
    return data, predicate, {descriptor.digest, layer.digest, manifest.config.digest}
