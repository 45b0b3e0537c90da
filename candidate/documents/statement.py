"""What is signed and how it is wrapped: in-toto Statement v1 in DSSE in a sigstore bundle v0.3.

Sources: in-toto attestation framework v1 (Statement), DSSE v1.0.2 (envelope, PAE), sigstore
protobuf-specs bundle v0.3 in its JSON form, with a public-key hint or with a certificate.
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
    keyid: str | None = None
    """The hint of a key; beside a certificate absent or empty."""


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
    """What a verifier needs beside the trusted key: which one to try."""

    public_key: Annotated[PublicKeyHint, Field(alias="publicKey")]
    tlog_entries: Annotated[tuple[JsonValue, ...], Field(alias="tlogEntries", max_length=0)] = ()


MaterialBytes = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=65536)]
HashBytes = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
Unsigned = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,18})$")]
"""An unsigned integer as protobuf's JSON writes one: a string."""


class RawCertificate(Part):
    """A signer's certificate, DER; the chain above it is the verifier's own."""

    raw_bytes: Annotated[MaterialBytes, Field(alias="rawBytes")]


class LogId(Part):
    """Which log: the sha256 of its public key."""

    key_id: Annotated[HashBytes, Field(alias="keyId")]


class KindVersion(Part):
    """What a log entry is: ``dsse`` 0.0.1 of Rekor v1, ``hashedrekord`` 0.0.2 of v2."""

    kind: Literal["dsse", "hashedrekord"]
    version: Literal["0.0.1", "0.0.2"]


class InclusionPromise(Part):
    """A log's signature over entry and time."""

    signed_entry_timestamp: Annotated[MaterialBytes, Field(alias="signedEntryTimestamp")]


class Checkpoint(Part):
    """A log's signed size and root."""

    envelope: Annotated[str, Field(min_length=1, max_length=16384)]


class InclusionProof(Part):
    """That an entry is in the log: its path in the Merkle tree (RFC 6962)."""

    log_index: Annotated[Unsigned, Field(alias="logIndex")]
    root_hash: Annotated[HashBytes, Field(alias="rootHash")]
    tree_size: Annotated[Unsigned, Field(alias="treeSize")]
    hashes: Annotated[tuple[HashBytes, ...], Field(max_length=64)]
    checkpoint: Checkpoint


class LogEntry(Part):
    """An entry of a transparency log."""

    log_index: Annotated[Unsigned, Field(alias="logIndex")]
    log_id: Annotated[LogId, Field(alias="logId")]
    kind_version: Annotated[KindVersion, Field(alias="kindVersion")]
    integrated_time: Annotated[Unsigned | None, Field(alias="integratedTime")] = None
    inclusion_promise: Annotated[InclusionPromise | None, Field(alias="inclusionPromise")] = None
    inclusion_proof: Annotated[InclusionProof, Field(alias="inclusionProof")]
    canonicalized_body: Annotated[MaterialBytes, Field(alias="canonicalizedBody")]


class SignedTimestamp(Part):
    """A time-stamping authority's response (RFC 3161), DER."""

    signed_timestamp: Annotated[MaterialBytes, Field(alias="signedTimestamp")]


class TimestampData(Part):
    """When it was signed, by time-stamping authorities."""

    rfc3161_timestamps: Annotated[tuple[SignedTimestamp, ...], Field(alias="rfc3161Timestamps", max_length=4)] = ()


class CertificateMaterial(Part):
    """What a verifier needs beside a trusted root: the certificate, and that a log has seen its use."""

    certificate: RawCertificate
    tlog_entries: Annotated[tuple[LogEntry, ...], Field(alias="tlogEntries", min_length=1, max_length=1)]
    timestamp_verification_data: Annotated[TimestampData | None, Field(alias="timestampVerificationData")] = None


class Attestation(Document):
    """A signed statement as one sigstore-bundle JSON: by a key, or by an identity that a certificate names."""

    omit_none: ClassVar[bool] = True

    max_bytes: ClassVar[int] = MAX_SMALL_BYTES

    media_type: Annotated[Literal["application/vnd.dev.sigstore.bundle.v0.3+json"], Field(alias="mediaType")] = (
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    )
    verification_material: Annotated[VerificationMaterial | CertificateMaterial, Field(alias="verificationMaterial")]
    dsse_envelope: Annotated[Envelope, Field(alias="dsseEnvelope")]


class ReleasePredicate(Document):
    """The predicate of in-toto's release attestation v0.1: this name and version is that digest."""

    purl: str
    package_id: Annotated[str, Field(alias="packageId")]
