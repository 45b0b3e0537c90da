"""A public key has one text, and only ECDSA P-256 is one."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from candidate.documents.publickey import key_id_of, public_key_pem
from candidate.errors import InputError

PRIVATE = ec.derive_private_key(7, ec.SECP256R1())
PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("text", [PEM, PEM.strip(), f"\n\n  {PEM}  ", PEM.replace("\n", "\r\n")])
def test_white_space_does_not_make_another_key(text: str) -> None:
    """The same key has the same text, and therefore the same id."""
    assert public_key_pem(text) == PEM
    assert key_id_of(public_key_pem(text)) == hashlib.sha256(PEM.encode()).hexdigest()


def pem_of(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> str:
    """The PEM of any public key."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a public key"),
        (PEM + "x" * 20_000, "not a public key"),
        (PEM.replace("M", "!", 1), "not a usable public key"),
        (PEM.replace("-----END", "é-----END"), "not a usable public key"),
        (pem_of(ec.derive_private_key(7, ec.SECP384R1()).public_key()), "key is secp384r1, not ECDSA P-256"),
        (pem_of(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32).public_key()), "not ECDSA P-256"),
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
