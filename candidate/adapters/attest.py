"""Sign statements and check them: in-toto Statement v1 in DSSE in a sigstore bundle v0.3.

The key decides algorithm, curve and hash, never the message. A payload is parsed only after its
signature held, and the statement that is returned is made of the very bytes that were verified.

Sources: DSSE v1.0.2 (protocol and envelope), in-toto attestation framework v1, sigstore
protobuf-specs bundle v0.3, RFC 6979 (deterministic ECDSA), FIPS 186-5, RFC 8032 (Ed25519),
FIPS 204 (ML-DSA, without a context).
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from candidate.canonical import canonical
from candidate.documents.identity import Identified, Party
from candidate.documents.names import PAYLOAD_TYPE, SIGSTORE_TYPE
from candidate.documents.publickey import (
    ACCEPTED,
    ALGORITHMS,
    Algorithm,
    algorithm_of,
    key_id_of,
    kind_of,
    no_ml_dsa,
    public_key_pem,
)
from candidate.documents.view import DocumentView, view
from candidate.errors import InputError, IntegrityError, RefusedError, UnavailableError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from candidate.documents.statement import Attestation, Statement

MAX_ATTESTATION_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Signer:
    """Something that can sign, and its public key; where the private half lives is its own affair.

    An identity has no lasting key: it seals whole statements, and its id is the identity's.
    """

    sign: Callable[[bytes], bytes] = field(repr=False)
    """Signs a message. ECDSA as DER over SHA-256; Ed25519 and ML-DSA over the message itself."""
    public_pem: str
    key_id: str
    """sha256 of the public PEM, in hexadecimal; or the id of an identity."""
    seal: Callable[[bytes], bytes] | None = field(default=None, repr=False)
    """For an identity: returns the attestation of a statement, both as bytes."""

    @property
    def algorithm(self) -> Algorithm:
        """What the key decides."""
        return algorithm_of(self.public_pem)


def signers_of(signer: Signer | Sequence[Signer] | None) -> tuple[Signer, ...]:
    """Return one signer, several or none as a tuple.

    Raises:
        InputError: two of them have the same key, which no threshold counts twice.
    """
    several = () if signer is None else (signer,) if isinstance(signer, Signer) else tuple(signer)
    seen: set[str] = set()
    for each in several:
        if each.key_id in seen:
            raise InputError(f"key {each.key_id[:12]} is given twice", where="signer", hint="give each key once")
        seen.add(each.key_id)
    return several


@dataclass(frozen=True)
class Attested:
    """A statement whose signature held, and whose it was."""

    said: DocumentView
    """A view of the statement: its fields, and the very bytes that were verified."""
    key_id: str
    """Id of the key, or of the identity."""
    identity: Identified | None = None

    @property
    def signer(self) -> str:
        """Who signed, for a message."""
        return self.key_id[:12] if self.identity is None else self.identity.subject

    @property
    def statement(self) -> "Statement":
        """The statement itself."""
        return _statement(self.said)


def new_key(passphrase: bytes | None, algorithm: Algorithm = "ecdsa-p256") -> bytes:
    """Return a new private key as PKCS#8 PEM, encrypted when a passphrase is given.

    Raises:
        InputError: the passphrase is empty or too long, or there is no such algorithm.
        UnavailableError: the cryptography library does not know the algorithm.
    """
    from cryptography.hazmat.primitives import serialization

    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        if not 0 < len(passphrase) < 1024:  # noqa: PLR2004 - OpenSSL reads no longer one back
            raise InputError(f"passphrase of {len(passphrase)} bytes, not 1 to 1023", where="new key")
        encryption = serialization.BestAvailableEncryption(passphrase)
    key = _generated(algorithm)
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pem


def _generated(algorithm: Algorithm) -> Any:
    """Return a fresh private key; only the module of its algorithm is imported."""
    from cryptography.exceptions import UnsupportedAlgorithm

    if algorithm == "ecdsa-p256":
        from cryptography.hazmat.primitives.asymmetric import ec

        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "ed25519":
        from cryptography.hazmat.primitives.asymmetric import ed25519

        return ed25519.Ed25519PrivateKey.generate()
    if algorithm != "ml-dsa-65":
        raise InputError(f"no algorithm {algorithm!r}", where="new key", hint=f"choose one of {', '.join(ALGORITHMS)}")
    try:
        from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

        return MLDSA65PrivateKey.generate()
    except (ImportError, UnsupportedAlgorithm) as error:
        raise no_ml_dsa("new key") from error


def load_signer(pem: bytes, passphrase: bytes | None, *, where: str = "") -> Signer:
    """Return the signer of a PEM private key.

    Args:
        pem: bytes of the key file.
        passphrase: needed for an encrypted key, ignored for a plain one.
        where: the file, for the message.

    Raises:
        InputError: not a private key of an accepted algorithm, or encrypted and no passphrase given.
        RefusedError: the passphrase is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    place, hint = where or "private key", "make one with: candidate key new"
    encrypted = b"ENCRYPTED" in pem
    if b"PRIVATE KEY-----" not in pem:
        raise InputError("not a private key", where=place, hint=hint)
    if encrypted and not passphrase:
        raise InputError("the key is encrypted and no passphrase was given", where=place, hint="give its passphrase")
    try:
        key: Any = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted and isinstance(error, ValueError):
            raise RefusedError(
                "the passphrase does not open the key", where=place, hint="give the passphrase it was made with"
            ) from error
        raise InputError("not a usable private key", where=place, hint=hint) from error
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(encoding, form).decode("ascii")
    try:
        algorithm = algorithm_of(public)
    except InputError as error:
        raise InputError(f"key is {kind_of(key)}, not {ACCEPTED}", where=place, hint=hint) from error
    sign = _ecdsa(key) if algorithm == "ecdsa-p256" else key.sign
    return Signer(sign=sign, public_pem=public, key_id=key_id_of(public))


def _ecdsa(key: "EllipticCurvePrivateKey") -> Callable[[bytes], bytes]:
    """Return how a P-256 key signs: the same message gives the same bytes (RFC 6979)."""

    def sign(message: bytes) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        except UnsupportedAlgorithm as error:
            raise UnavailableError(
                "the cryptography library cannot sign deterministically (RFC 6979)",
                hint="install a cryptography wheel, it brings OpenSSL 3.2 or later",
            ) from error

    return sign


@lru_cache(maxsize=256)  # the entries of a log are signed by few
def _public_key(pem: str) -> tuple[Algorithm, Any]:
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    return algorithm_of(pem), load_pem_public_key(pem.encode("ascii"))


def verify_mark(mark: bytes, message: bytes, pem: str) -> bool:
    """Return whether a signature over a message holds under a public key, by the algorithm of that key.

    Args:
        mark: the signature, untrusted.
        message: what was signed.
        pem: canonical PEM of the key, as ``public_key_pem`` returned it.

    Raises:
        InputError: the PEM is not one.
    """
    from cryptography.exceptions import InvalidSignature

    algorithm, key = _public_key(pem)
    try:
        if algorithm == "ecdsa-p256":
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import ec

            key.verify(mark, message, ec.ECDSA(hashes.SHA256()))
        else:  # neither algorithm leaves anything to choose, so no module of it is needed
            key.verify(mark, message)
    except InvalidSignature:
        return False
    return True


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed (DSSE's PAE): type and payload, each with its length."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def attest(statement: "Statement", signer: Signer) -> "Attestation":
    """Sign a statement; the same statement and key give the same bytes, but for ML-DSA, which is randomised.

    An identity signs by a fresh key each time, so that its bytes differ too.

    Raises:
        UnavailableError: the cryptography library cannot sign deterministically, or the signer is out of reach.
        IntegrityError: what sigstore made has another form than an attestation.
        RefusedError: the signer holds another key than it says.
    """
    from candidate.documents.statement import Attestation

    return Attestation.from_bytes(attest_bytes(statement.to_bytes(), signer), where="keyless")


def attest_bytes(payload: bytes, signer: Signer) -> bytes:
    """Sign the bytes of a statement and return those of its attestation; errors as of ``attest``.

    That they are a statement in its canonical form is for the caller to see to.
    """
    if signer.seal is not None:
        return signer.seal(payload)
    mark = signer.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return canonical(
        {
            "mediaType": SIGSTORE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": signer.key_id}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode("ascii"),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": signer.key_id, "sig": base64.b64encode(mark).decode("ascii")}],
            },
        }
    )


def _decoded(text: str, *, where: str) -> bytes:
    """Decode base64 that has exactly one spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise IntegrityError("not base64", where=where) from error
    if base64.b64encode(data).decode("ascii") != text:
        raise IntegrityError("base64 is not canonical", where=where)
    return data


def _envelope(data: bytes, *, where: str) -> tuple[Any, bytes, bytes]:
    """Return the attestation, the payload's bytes and the signature's bytes; nothing inside is parsed."""
    if len(data) > MAX_ATTESTATION_BYTES:
        raise IntegrityError(f"attestation of {len(data)} bytes, more than {MAX_ATTESTATION_BYTES}", where=where)
    attestation = view("attestation", data, where=where)
    envelope = attestation.dsse_envelope
    if _is_certified(attestation):
        if envelope.signatures[0].keyid:
            raise IntegrityError("a key id beside a certificate", where=where)
    elif envelope.signatures[0].keyid != attestation.verification_material.public_key.hint:
        raise IntegrityError("key id of the envelope is not the hint beside it", where=where)
    payload = _decoded(envelope.payload, where=where)
    return attestation, payload, _decoded(envelope.signatures[0].sig, where=where)


def _is_certified(attestation: Any) -> bool:
    """Return whether an attestation, or the view of one, names its signer by a certificate."""
    return hasattr(attestation.verification_material, "certificate")


def check(data: bytes, parties: Iterable[Party], *, where: str = "") -> Attested:
    """Return the statement inside an attestation that one of these keys or identities signed.

    The key id or the certificate in the attestation only chooses which of them to try. An attestation by
    certificate is never held against a key, nor one by key against an identity.

    Args:
        data: the attestation's bytes, untrusted.
        parties: the keys (PEM) and identities that are trusted to say this; doubles count once.
        where: the file or blob, for the message.

    Raises:
        InputError: a given key is no public key of an accepted algorithm.
        IntegrityError: malformed, or not in canonical form.
        RefusedError: none of them signed it.
        UnavailableError: one of the identities may have, and sigstore is not installed.
    """
    place = where or "attestation"
    attestation, payload, mark = _envelope(data, where=place)
    envelope, several = attestation.dsse_envelope, tuple(parties)
    if _is_certified(attestation):
        from candidate.adapters.keyless import check_certified

        raw = attestation.verification_material.certificate.raw_bytes
        identities = [party for party in several if isinstance(party, Identified)]
        held, identity = check_certified(data, _decoded(raw, where=place), identities, where=place)
        return Attested(said=view("statement", held, where=place), key_id=identity.id, identity=identity)
    pems = (public_key_pem(party) for party in several if isinstance(party, str))
    trusted = {key_id_of(pem): pem for pem in pems}
    key_id = envelope.signatures[0].keyid
    pem = trusted.get(key_id)
    if pem is None:
        known = ", ".join(sorted(each[:12] for each in trusted)) or "none"
        raise RefusedError(
            f"signed by key {key_id[:12]}, not by a trusted one ({known})",
            where=place,
            hint="check who signed it; if that key should be trusted here, add it to trust.toml",
        )
    if not verify_mark(mark, pre_authentication_encoding(PAYLOAD_TYPE, payload), pem):
        raise RefusedError(
            f"the signature does not hold under key {key_id[:12]}",
            where=place,
            hint="it was altered or made with another key: fetch it again",
        )
    return Attested(said=view("statement", payload, where=place), key_id=key_id)


def unverified_statement(data: bytes, *, where: str = "") -> "Statement":
    """Return the statement inside an attestation that nobody checked: to show, never to act on.

    Raises:
        IntegrityError: malformed, or not in canonical form.
    """
    return _statement(unverified_view(data, where=where))


def unverified_view(data: bytes, *, where: str = "") -> DocumentView:
    """Return a view of the statement that ``unverified_statement`` returns; its errors are the same."""
    place = where or "attestation"
    _, payload, _ = _envelope(data, where=place)
    return view("statement", payload, where=place)


def unverified_signer(data: bytes, *, where: str = "") -> str:
    """Return the id of the key or identity that an attestation names: to show, never to act on.

    Raises:
        IntegrityError: malformed, or not in canonical form, or with a certificate that names nobody.
    """
    place = where or "attestation"
    attestation, _, _ = _envelope(data, where=place)
    if not _is_certified(attestation):
        return str(attestation.verification_material.public_key.hint)
    from candidate.adapters.keyless import claimed

    return claimed(_decoded(attestation.verification_material.certificate.raw_bytes, where=place), where=place).id


def _statement(said: DocumentView) -> "Statement":
    from candidate.documents.statement import Statement

    return Statement.from_bytes(said.to_bytes())


def looks_like_ecdsa(data: bytes, *, where: str = "") -> bool:
    """Return whether the signature of an attestation that nobody checked has ECDSA's form: to choose, never to trust.

    Raises:
        IntegrityError: malformed, or not in canonical form.
    """
    _, _, mark = _envelope(data, where=where or "attestation")
    return mark[:1] == b"\x30" and mark[1:2] == bytes([(len(mark) - 2) % 256])
