"""A public key as text: one canonical PEM, and the id that is its digest.

Sources: RFC 7468 (PEM), RFC 5480 (SubjectPublicKeyInfo of elliptic curves); the id is OpenSSF model
signing's, the sha256 of the PEM.
"""

import hashlib

from candidate.errors import InputError

MAX_KEY_CHARACTERS = 16_384


def public_key_pem(text: str, *, where: str = "") -> str:
    """Return the one PEM of an ECDSA P-256 public key, whatever white space it came with.

    Raises:
        InputError: not a PEM of a SubjectPublicKeyInfo, or not of the curve P-256.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    hint = "give the public key as PEM, beginning with -----BEGIN PUBLIC KEY-----"
    place = where or "public key"
    if "PRIVATE KEY" in text:
        raise InputError("a private key where a public key must be", where=place, hint=hint)
    if len(text) > MAX_KEY_CHARACTERS or "-----BEGIN PUBLIC KEY-----" not in text:
        raise InputError("not a public key", where=place, hint=hint)
    try:
        key = load_pem_public_key(text.strip().encode("ascii"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("not a usable public key", where=place, hint=hint) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        kind = key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__.removeprefix("_")
        raise InputError(f"key is {kind}, not ECDSA P-256", where=place, hint="make one with: candidate key new")
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def key_id_of(pem: str) -> str:
    """Return the id of a canonical PEM: its sha256 in hexadecimal."""
    return hashlib.sha256(pem.encode("ascii")).hexdigest()
