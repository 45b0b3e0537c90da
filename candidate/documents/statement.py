"""What is signed and how it is wrapped: in-toto Statement v1 in DSSE in a sigstore bundle v0.3.

Sources: in-toto attestation framework v1 (Statement), DSSE v1.0.2 (envelope, PAE), sigstore
protobuf-specs bundle v0.3 in its JSON form with a public-key hint.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import FailFast, Field, JsonValue, StringConstraints

from candidate.canonical import MAX_SMALL_BYTES
from candidate.document import Document, Part
from candidate.documents.manifest import ShaDigest

Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]


class Subject(Part):
    """What a statement is about; only the digest is trusted, never the name."""

    name: str
    digest: ShaDigest


class Statement(Document):
    """An in-toto Statement v1."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES

    type_: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")] = (
        "https://in-toto.io/Statement/v1"
    )
    subject: Annotated[tuple[Subject, ...], Field(min_length=1), FailFast()]
    predicate_type: Annotated[str, Field(alias="predicateType")]
    predicate: dict[str, JsonValue]


class EnvelopeMark(Part):
    """One cryptographic mark of a DSSE envelope."""

    sig: Base64
    keyid: str


class Envelope(Part):
    """A DSSE envelope with exactly one mark."""

    payload: Base64
    payload_type: Annotated[Literal["application/vnd.in-toto+json"], Field(alias="payloadType")] = (
        "application/vnd.in-toto+json"
    )
    signatures: Annotated[tuple[EnvelopeMark, ...], Field(min_length=1, max_length=1)]


class PublicKeyHint(Part):
    """Which key to try: the sha256 of its SPKI PEM, in hexadecimal. It only narrows the search."""

    hint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class VerificationMaterial(Part):
    """What a verifier needs beside the trusted key."""

    public_key: Annotated[PublicKeyHint, Field(alias="publicKey")]
    tlog_entries: Annotated[tuple[JsonValue, ...], Field(alias="tlogEntries", max_length=0)] = ()


class Attestation(Document):
    """A signed statement as one sigstore-bundle JSON."""

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES

    media_type: Annotated[Literal["application/vnd.dev.sigstore.bundle.v0.3+json"], Field(alias="mediaType")] = (
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    )
    verification_material: Annotated[VerificationMaterial, Field(alias="verificationMaterial")]
    dsse_envelope: Annotated[Envelope, Field(alias="dsseEnvelope")]


class ReleasePredicate(Document):
    """The predicate of in-toto's release attestation v0.1: this name and version is that digest."""

    purl: str
    package_id: Annotated[str, Field(alias="packageId")]
