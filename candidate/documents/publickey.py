"""A public key as text: one canonical PEM, the id that is its digest, and the algorithm that it decides.

Sources: RFC 7468 (PEM), RFC 5480, RFC 8410 and RFC 9881 (SubjectPublicKeyInfo of elliptic curves, Ed25519
and ML-DSA); the id is OpenSSF model signing's, the sha256 of the PEM.
"""

import base64
import binascii
import hashlib
from functools import lru_cache
from typing import Literal, get_args

from candidate.errors import InputError, UnavailableError

MAX_KEY_CHARACTERS = 16_384

Algorithm = Literal["ecdsa-p256", "ed25519", "ml-dsa-65"]
"""How a key signs. ECDSA hashes with SHA-256; the other two take the message whole, ML-DSA without context."""

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

TITLES: dict[Algorithm, str] = {"ecdsa-p256": "ECDSA P-256", "ed25519": "Ed25519", "ml-dsa-65": "ML-DSA-65"}

ACCEPTED = "ECDSA P-256, Ed25519 or ML-DSA-65"

_FORMS: dict[Algorithm, tuple[bytes, int]] = {
    "ecdsa-p256": (bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"), 91),
    "ed25519": (bytes.fromhex("302a300506032b6570032100"), 44),
    "ml-dsa-65": (bytes.fromhex("308207b2300b0609608648016503040312038207a100"), 1974),
}
"""The DER that every key of an algorithm begins with, and its whole length in bytes. What cryptography
writes is DER, so this tells the algorithm without importing a module of it."""


@lru_cache(maxsize=256)  # the keys of a trust policy are asked for at every entry of a log
def public_key_pem(text: str, *, where: str = "") -> str:
    """Return the one PEM of a public key, whatever white space or point form it came with.

    Raises:
        InputError: not a PEM of a SubjectPublicKeyInfo, or of an algorithm that is not accepted.
        UnavailableError: an ML-DSA-65 key, which the installed cryptography library does not know.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
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
        if _algorithm(text.strip()) == "ml-dsa-65":
            raise no_ml_dsa(place) from error
        raise InputError("not a usable public key", where=place, hint=hint) from error
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    if _algorithm(pem) is None:
        raise InputError(f"key is {kind_of(key)}, not {ACCEPTED}", where=place, hint="make one with: candidate key new")
    return pem


def no_ml_dsa(where: str) -> UnavailableError:
    """Return the error of a cryptography library that is too old for ML-DSA."""
    return UnavailableError(
        "the cryptography library does not know ML-DSA-65",
        where=where,
        hint='install a newer wheel: python -m pip install "cryptography>=48"',
    )


def kind_of(key: object) -> str:
    """Return what to call a key of the cryptography library that is not accepted: its curve or its class."""
    curve = getattr(key, "curve", None)
    if curve is not None:
        return str(curve.name)
    return type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")


def _algorithm(pem: str) -> Algorithm | None:
    """Return the algorithm of a PEM by how its DER begins and how long it is; null if it is none of ours."""
    body = "".join(line.strip() for line in pem.splitlines() if not line.startswith("-----"))
    try:
        der = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        return None
    for algorithm, (head, length) in _FORMS.items():
        if der.startswith(head) and len(der) == length:
            return algorithm
    return None


def algorithm_of(pem: str) -> Algorithm:
    """Return the algorithm of a canonical PEM, as ``public_key_pem`` returned it.

    Raises:
        InputError: it is none.
    """
    algorithm = _algorithm(pem)
    if algorithm is None:
        raise InputError(f"not a public key of {ACCEPTED}", where="public key")
    return algorithm


def key_id_of(pem: str) -> str:
    """Return the id of a canonical PEM: its sha256 in hexadecimal."""
    return hashlib.sha256(pem.encode("ascii")).hexdigest()


def public_key_id(pem: str) -> str:
    """Return the id of a public key: sha256 of its canonical SPKI PEM, in hexadecimal.

    Raises:
        InputError: not a public key of an accepted algorithm.
    """
    return key_id_of(public_key_pem(pem))
