"""The OCI objects of a bundle as a pure function of its members, for writer and reader alike.

The strict reader never trusts what it can derive: it runs the same functions over what it read
and compares bytes, so there is one content manifest for one set of members.

Sources: OCI image-spec v1.1 (manifest, index, referrers by ``subject``), CNCF ModelPack model-spec
v1, cosign's bundle specification (attestations as referrers), in-toto release predicate v0.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from candidate.adapters.oci import wire
from candidate.canonical import digest_of
from candidate.documents.manifest import Descriptor, MemberFile, Role, ShaDigest
from candidate.documents.names import EMPTY_BYTES
from candidate.documents.oci import OciDescriptor
from candidate.documents.statement import Statement
from candidate.documents.view import View
from candidate.errors import InputError


class Large(Protocol):
    """Bytes that are not held in memory."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield them."""
        ...

    def digest(self) -> str:
        """Return their ``sha256:…``."""
        ...


@dataclass(frozen=True)
class Member:
    """One file of a bundle, with its bytes."""

    path: str
    role: Role
    data: bytes

    @property
    def file(self) -> MemberFile:
        """The member as ``candidate.json`` lists it."""
        digest = ShaDigest(sha256=digest_of(self.data).removeprefix("sha256:"))
        return MemberFile(name=self.path, digest=digest, size=len(self.data), role=self.role)


@dataclass(frozen=True)
class LargeMember:
    """One file of a bundle that is not held in memory."""

    path: str
    role: Role
    data: Large

    @cached_property
    def file(self) -> MemberFile:
        """The member as ``candidate.json`` lists it; its bytes are read once for that."""
        digest = ShaDigest(sha256=self.data.digest().removeprefix("sha256:"))
        return MemberFile(name=self.path, digest=digest, size=self.data.size, role=self.role)


@dataclass(frozen=True)
class Content:
    """The content manifest of a bundle, its digest (the bundle's identity), and every blob by digest."""

    manifest: bytes
    digest: str
    blobs: dict[str, bytes]
    large: dict[str, Large] = field(default_factory=dict)
    """Blobs that are not held in memory."""

    @property
    def descriptor(self) -> OciDescriptor:
        """What refers to the content manifest, without annotations."""
        return manifest_descriptor(self.manifest)


def manifest_descriptor(manifest: bytes) -> OciDescriptor:
    """Return the descriptor of a content manifest, without annotations."""
    return _document(wire.manifest_reference(manifest))


def _document(found: View) -> OciDescriptor:
    return OciDescriptor(**vars(found))


def content_of(members: Sequence[Member | LargeMember], *, descriptor: Descriptor, precision: str | None) -> Content:
    """Return the content manifest, the config and the layers of a bundle.

    Args:
        members: every member, ``candidate.json`` among them, in any order.
        descriptor: who the model is.
        precision: of the graph's numbers, for example ``float32``.

    Raises:
        InputError: two members have the same path, or paths that differ only in case.
    """
    seen: dict[str, str] = {}
    for member in members:
        other = seen.get(member.path.casefold())
        if other is not None:
            raise InputError(f"two members share the path {member.path!r} (the other: {other!r})")
        seen[member.path.casefold()] = member.path
    files = [member.file for member in members]
    manifest, config = wire.manifest_of(files, descriptor=descriptor, precision=precision)
    named = [("sha256:" + file.digest.sha256, member) for file, member in zip(files, members, strict=True)]
    blobs = {name: member.data for name, member in named if isinstance(member, Member)}
    large = {name: member.data for name, member in named if isinstance(member, LargeMember)}
    digest = digest_of(manifest)
    return Content(manifest, digest, {**blobs, digest_of(config): config, digest: manifest}, large)


def attestation_manifest(
    subject: OciDescriptor, attestation: OciDescriptor, predicate_type: str
) -> tuple[OciDescriptor, bytes]:
    """Return the referrer manifest for an attestation: its descriptor in the index, and its bytes."""
    found, manifest = wire.referrer_of(subject, attestation, predicate_type)
    return _document(found), manifest


def attestation_layer(attestation: bytes) -> OciDescriptor:
    """Return the descriptor of an attestation's bytes."""
    return _document(wire.attestation_reference(attestation))


def attestation_blobs(
    content_descriptor: OciDescriptor, attestation: bytes, predicate_type: str
) -> tuple[OciDescriptor, dict[str, bytes]]:
    """Return the referrer manifest's descriptor for the index, and the blobs that it brings.

    Args:
        content_descriptor: descriptor of the content manifest that the attestation is about.
        attestation: one sigstore-bundle JSON.
        predicate_type: the predicate type of the statement inside.
    """
    layer = attestation_layer(attestation)
    descriptor, manifest = attestation_manifest(content_descriptor, layer, predicate_type)
    blobs = {
        descriptor.digest: manifest,
        layer.digest: attestation,
        digest_of(EMPTY_BYTES): EMPTY_BYTES,
    }
    return descriptor, blobs


def index_of(content: Content | OciDescriptor, version: str, referrers: Sequence[OciDescriptor] = ()) -> bytes:
    """Return ``index.json``: the content manifest tagged with the version, then the referrers by digest."""
    return wire.index_bytes(content.descriptor if isinstance(content, Content) else content, version, referrers)


def release_statement(name: str, version: str, digest: str) -> Statement:
    """Return the statement a builder signs: this name and version is that content manifest.

    Args:
        name: of the bundle.
        version: of the bundle.
        digest: of the content manifest, ``sha256:…``.
    """
    return Statement.from_bytes(wire.release_bytes(name, version, digest), where="release")
