"""A public key has one text, and only keys of three algorithms are one."""

import base64
import hashlib
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from candidate.documents.publickey import ALGORITHMS, Algorithm, algorithm_of, key_id_of, public_key_id, public_key_pem
from candidate.errors import InputError, UnavailableError

PRIVATE = ec.derive_private_key(7, ec.SECP256R1())
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("text", [PEM, PEM.strip(), f"\n\n  {PEM}  ", PEM.replace("\n", "\r\n")])
def test_white_space_does_not_make_another_key(text: str) -> None:
    """The same key has the same text, and therefore the same id."""
    assert public_key_pem(text) == PEM
    assert key_id_of(public_key_pem(text)) == public_key_id(text) == hashlib.sha256(PEM.encode()).hexdigest()


def pem_of(key: Any) -> str:
    """The PEM of any public key."""
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


KEYS: dict[Algorithm, str] = {
    "ecdsa-p256": PEM,
    "ed25519": pem_of(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32).public_key()),
    "ml-dsa-65": pem_of(mldsa.MLDSA65PrivateKey.from_seed_bytes(b"7" * 32).public_key()),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_key_decides_the_algorithm(algorithm: Algorithm) -> None:
    """Each of the three is read back as it was written."""
    assert public_key_pem(f"\n{KEYS[algorithm]}\n") == KEYS[algorithm]
    assert algorithm_of(KEYS[algorithm]) == algorithm


def point_pem(point: bytes) -> str:
    """The PEM of a P-256 key with its point in any form, as a foreign tool might write it."""
    head = bytes.fromhex("301306072a8648ce3d020106082a8648ce3d030107")
    bits = bytes([3, len(point) + 1, 0]) + point
    der = bytes([0x30, len(head) + len(bits)]) + head + bits
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(der).decode()}-----END PUBLIC KEY-----\n"


def test_every_form_of_a_point_is_the_same_key() -> None:
    """Compressed, hybrid and plain: one text and one id, so that one key never counts for two."""
    numbers = PRIVATE.public_key().public_numbers()
    x, y, odd = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"), numbers.y & 1
    forms = [b"\x04" + x + y, bytes([2 + odd]) + x, bytes([6 + odd]) + x + y]

    assert len({point_pem(form) for form in forms}) == 3
    assert {public_key_pem(point_pem(form)) for form in forms} == {PEM}


def test_a_library_without_ml_dsa_is_said_to_be_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is good; it is the library that does not know it."""

    def load(data: bytes) -> None:
        raise UnsupportedAlgorithm(str(len(data)))

    monkeypatch.setattr(serialization, "load_pem_public_key", load)

    with pytest.raises(UnavailableError, match="ML-DSA-65") as caught:
        public_key_pem(KEYS["ml-dsa-65"], where="trust.toml")
    assert caught.value.where == "trust.toml"
    with pytest.raises(InputError, match="not a usable public key"):
        public_key_pem(KEYS["ed25519"])


@pytest.mark.parametrize(
    "text",
    ["", "no key", "!" * 40, pem_of(ec.derive_private_key(7, ec.SECP384R1()).public_key())],
    ids=["nothing", "text", "signs", "other curve"],
)
def test_only_a_canonical_key_has_an_algorithm(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(InputError, match="not a public key of ECDSA P-256, Ed25519 or ML-DSA-65"):
        algorithm_of(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a public key"),
        (PEM + "x" * 20_000, "not a public key"),
        (PEM.replace("M", "!", 1), "not a usable public key"),
        (PEM.replace("-----END", "é-----END"), "not a usable public key"),
        (pem_of(ec.derive_private_key(7, ec.SECP384R1()).public_key()), "key is secp384r1, not ECDSA P-256"),
        (pem_of(mldsa.MLDSA44PrivateKey.from_seed_bytes(b"7" * 32).public_key()), "key is MLDSA44, not ECDSA P-256"),
        (
            PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "a private key where a public key must be",
        ),
    ],
    ids=["nothing", "too long", "damaged", "not ascii", "other curve", "other kind", "private"],
)
def test_what_is_no_such_key_is_refused(text: str, says: str) -> None:
    """Before it can be trusted by mistake; a private key in a public place is said to be one."""
    with pytest.raises(InputError) as caught:
        public_key_pem(text, where="trust.toml")
    assert says in caught.value.message
    assert caught.value.where == "trust.toml"
    assert caught.value.hint
