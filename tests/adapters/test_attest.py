"""Attestations: who signed what, exactly, and nothing else."""

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, mldsa, rsa, x25519

from candidate.adapters.attest import (
    Signer,
    attest,
    check,
    load_signer,
    new_key,
    pre_authentication_encoding,
    unverified_statement,
)
from candidate.adapters.oci import release_statement
from candidate.canonical import canonical
from candidate.documents.publickey import ALGORITHMS, Algorithm, public_key_id
from candidate.documents.statement import Statement
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError, UnavailableError

STATEMENT = release_statement("tiny", "1.0.0", "sha256:" + "a" * 64)


@pytest.fixture(scope="session")
def signed(builder: Signer) -> bytes:
    """The statement, signed by the builder."""
    return attest(STATEMENT, builder).to_bytes()


def changed(data: bytes, **parts: object) -> bytes:
    """An attestation with parts of its envelope replaced, canonical again."""
    attestation = json.loads(data)
    envelope = attestation["dsseEnvelope"]
    for key, value in parts.items():
        if key in {"sig", "keyid"}:
            envelope["signatures"][0][key] = value
        elif key == "hint":
            attestation["verificationMaterial"]["publicKey"]["hint"] = value
        else:
            envelope[key] = value
    return canonical(attestation)


def sign_raw(payload: bytes, signer: Signer, payload_type: str = "application/vnd.in-toto+json") -> bytes:
    """An attestation whose signature is good, over whatever payload."""
    mark = signer.sign(pre_authentication_encoding(payload_type, payload))
    text = base64.b64encode(payload).decode()
    plain = attest(STATEMENT, signer).to_bytes()
    return changed(plain, payload=text, payloadType=payload_type, sig=base64.b64encode(mark).decode())


def test_a_signed_statement_comes_back_with_the_key_that_signed_it(signed: bytes, builder: Signer) -> None:
    """The statement is the one that was signed."""
    attested = check(signed, [builder.public_pem])

    assert attested.statement == STATEMENT
    assert attested.key_id == builder.key_id


def test_signing_twice_gives_the_same_bytes(signed: bytes, builder: Signer) -> None:
    """RFC 6979: a rebuilt bundle is the same file, attestation and all."""
    assert attest(STATEMENT, builder).to_bytes() == signed


def test_the_encoding_that_is_signed_is_the_one_of_the_specification() -> None:
    """The example of DSSE's protocol page."""
    example = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")

    assert example == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_a_plain_verifier_accepts_the_signature(signed: bytes, builder: Signer) -> None:
    """Checked by hand with nothing but the public key, as any foreign tool would."""
    envelope = json.loads(signed)["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    message = b"DSSEv1 28 application/vnd.in-toto+json " + str(len(payload)).encode() + b" " + payload
    key = serialization.load_pem_public_key(builder.public_pem.encode())

    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), message, ec.ECDSA(hashes.SHA256()))


def test_the_key_id_is_the_digest_of_the_pem(builder: Signer) -> None:
    """The rule of OpenSSF model signing; white space around the PEM changes nothing."""
    wanted = hashlib.sha256(builder.public_pem.encode()).hexdigest()

    assert public_key_id("\n\n" + builder.public_pem.replace("\n", "\r\n") + "  \n") == wanted == builder.key_id


def test_a_strangers_signature_is_refused(signed: bytes, stranger: Signer) -> None:
    """The message names both keys, so that on-call sees which one is missing."""
    with pytest.raises(RefusedError, match=stranger.key_id[:12]):
        check(signed, [stranger.public_pem])


def test_no_trusted_key_at_all_is_a_refusal(signed: bytes) -> None:
    """An empty list of keys never verifies anything."""
    with pytest.raises(RefusedError, match="none"):
        check(signed, [])


def test_the_key_id_alone_decides_nothing(signed: bytes, builder: Signer, stranger: Signer) -> None:
    """A signature of one key under the id of a trusted one is refused."""
    forged = changed(attest(STATEMENT, stranger).to_bytes(), keyid=builder.key_id, hint=builder.key_id)

    with pytest.raises(RefusedError, match="does not hold"):
        check(forged, [builder.public_pem])
    assert check(signed, [builder.public_pem, builder.public_pem]).key_id == builder.key_id


def test_another_payload_under_the_old_signature_is_refused(signed: bytes, builder: Signer) -> None:
    """The signature covers every byte of the payload."""
    other = release_statement("tiny", "1.0.1", "sha256:" + "a" * 64).to_bytes()

    with pytest.raises(RefusedError, match="does not hold"):
        check(changed(signed, payload=base64.b64encode(other).decode()), [builder.public_pem])


def test_a_payload_is_not_parsed_before_its_signature_held(signed: bytes, builder: Signer) -> None:
    """Rubbish that nobody signed is refused for its signature, never looked into."""
    rubbish = changed(signed, payload=base64.b64encode(b"{rubbish").decode())

    with pytest.raises(RefusedError, match="does not hold"):
        check(rubbish, [builder.public_pem])


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        b" " + STATEMENT.to_bytes(),
        STATEMENT.to_bytes().replace(b'"_type"', b'"_type":"https://in-toto.io/Statement/v1","_type"', 1),
        STATEMENT.to_bytes().replace(b"Statement/v1", b"Statement/v0"),
        STATEMENT.to_bytes().replace(b'{"_type"', b'{"\\u005ftype"'),
        canonical({**json.loads(STATEMENT.to_bytes()), "extra": 1}),
        canonical({**json.loads(STATEMENT.to_bytes()), "subject": []}),
        b"[" * 5000,
        b"",
    ],
    ids=["not json", "space", "repeated key", "other type", "escaped key", "extra", "no subject", "deep", "empty"],
)
def test_a_signed_payload_that_is_no_canonical_statement_is_refused(payload: bytes, builder: Signer) -> None:
    """A trusted key does not excuse a second way to read the same bytes."""
    with pytest.raises(IntegrityError):
        check(sign_raw(payload, builder), [builder.public_pem])


def test_another_payload_type_is_refused(builder: Signer) -> None:
    """A signature over something that only looks like a statement does not count."""
    with pytest.raises(IntegrityError, match="payloadType"):
        check(sign_raw(STATEMENT.to_bytes(), builder, "text/plain"), [builder.public_pem])


def test_zero_or_two_signatures_are_refused(signed: bytes, builder: Signer) -> None:
    """A sigstore bundle has exactly one."""
    one = json.loads(signed)["dsseEnvelope"]["signatures"]
    both: list[list[object]] = [[], one * 2]
    for several in both:
        with pytest.raises(IntegrityError, match="signatures"):
            check(changed(signed, signatures=several), [builder.public_pem])


@pytest.mark.parametrize("spoil", ["tail", "pad", "newline", "url", "foreign"])
def test_base64_has_one_spelling(spoil: str, signed: bytes, builder: Signer) -> None:
    """Two texts for the same bytes would be two files for the same attestation."""
    text = json.loads(signed)["dsseEnvelope"]["payload"]
    sig = json.loads(signed)["dsseEnvelope"]["signatures"][0]["sig"]
    spoiled = {
        "tail": changed(signed, payload="QR=="),
        "pad": changed(signed, sig=sig.rstrip("=") + "==="),
        "newline": changed(signed, payload=text + "\n"),
        "url": changed(signed, payload="_" + text[1:]),
        "foreign": changed(signed, payload=text + "!!!!"),
    }

    with pytest.raises(IntegrityError):
        check(spoiled[spoil], [builder.public_pem])


def test_an_attestation_must_be_canonical_itself(signed: bytes, builder: Signer) -> None:
    """Its bytes are addressed by digest, so there is one form of them."""
    for data in (signed + b"\n", json.dumps(json.loads(signed), indent=1).encode(), b"\xef\xbb\xbf" + signed):
        with pytest.raises(IntegrityError):
            check(data, [builder.public_pem])


def test_hint_and_key_id_must_agree(signed: bytes, builder: Signer) -> None:
    """Two readers must not try different keys."""
    with pytest.raises(IntegrityError, match="hint"):
        check(changed(signed, hint="0" * 64), [builder.public_pem])


def test_an_endless_attestation_is_not_parsed(builder: Signer) -> None:
    """Its size is looked at first."""
    with pytest.raises(IntegrityError, match="more than"):
        check(b"[" * (16 * 1024 * 1024 + 1), [builder.public_pem])


def test_a_statement_can_be_shown_without_a_key(signed: bytes) -> None:
    """The name of the function says that nobody vouches for it."""
    assert unverified_statement(signed) == STATEMENT


def test_any_changed_byte_is_refused(signed: bytes, builder: Signer) -> None:
    """One bit of every byte flipped: always an error of ours, never an accepted attestation."""
    for place in range(len(signed)):
        spoiled = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        with pytest.raises((IntegrityError, RefusedError)):
            check(spoiled, [builder.public_pem])


def test_a_key_is_encrypted_and_opens_with_its_passphrase() -> None:
    """The key file is useless to whoever copies it alone."""
    pem = new_key(b"correct horse")

    assert b"ENCRYPTED PRIVATE KEY" in pem
    assert load_signer(pem, b"correct horse").key_id
    with pytest.raises(RefusedError, match="passphrase"):
        load_signer(pem, b"wrong")
    with pytest.raises(InputError, match="no passphrase"):
        load_signer(pem, None)


def test_a_plain_key_needs_no_passphrase() -> None:
    """One that is given anyway, from the environment, does no harm."""
    pem = new_key(None)

    assert load_signer(pem, b"unused").key_id == load_signer(pem, None).key_id


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1024])
def test_an_unusable_passphrase_is_refused_when_the_key_is_made(passphrase: bytes) -> None:
    """An empty one is no protection; an endless one could not be read back."""
    with pytest.raises(InputError, match="passphrase"):
        new_key(passphrase)


FOREIGN: dict[str, tuple[str, Callable[[], Any]]] = {
    "p384": ("secp384r1", lambda: ec.generate_private_key(ec.SECP384R1())),
    "k1": ("secp256k1", lambda: ec.generate_private_key(ec.SECP256K1())),
    "rsa": ("RSA", lambda: rsa.generate_private_key(65537, 2048)),
    "x25519": ("X25519", x25519.X25519PrivateKey.generate),
    "ed448": ("Ed448", ed448.Ed448PrivateKey.generate),
    "ml-dsa-44": ("MLDSA44", mldsa.MLDSA44PrivateKey.generate),
    "ml-dsa-87": ("MLDSA87", mldsa.MLDSA87PrivateKey.generate),
}
"""Keys of no accepted algorithm: what they are called, and how they are made."""


@pytest.mark.parametrize("name", FOREIGN)
def test_only_keys_of_three_algorithms_are_used(name: str) -> None:
    """The key decides algorithm, curve and hash, so it must be one we chose; any other is refused by its name."""
    called, make = FOREIGN[name]
    key = make()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    says = f"key is {called}, not ECDSA P-256, Ed25519 or ML-DSA-65"

    with pytest.raises(InputError, match=says):
        load_signer(private, None, where=name)
    with pytest.raises(InputError, match=says):
        public_key_id(public.decode())


@pytest.fixture(scope="module")
def keys() -> dict[Algorithm, Signer]:
    """One key of each algorithm."""
    return {algorithm: load_signer(new_key(None, algorithm), None) for algorithm in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_signs_and_is_checked(algorithm: Algorithm, keys: dict[Algorithm, Signer]) -> None:
    """The key that is trusted says how to verify; nothing in the file names an algorithm."""
    signer = keys[algorithm]
    data = attest(STATEMENT, signer).to_bytes()
    others = [keys[other].public_pem for other in ALGORITHMS if other != algorithm]

    assert signer.algorithm == algorithm
    assert check(data, [*others, signer.public_pem]).key_id == signer.key_id
    with pytest.raises(RefusedError, match="not by a trusted one"):
        check(data, others)
    assert set(json.loads(data)["dsseEnvelope"]["signatures"][0]) == {"sig", "keyid"}
    assert json.loads(data)["verificationMaterial"] == {"publicKey": {"hint": signer.key_id}, "tlogEntries": []}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_algorithm_opens_with_its_passphrase_only(algorithm: Algorithm) -> None:
    """Encrypted alike, whatever is inside."""
    pem = new_key(b"correct horse", algorithm)

    assert load_signer(pem, b"correct horse").algorithm == algorithm
    with pytest.raises(RefusedError, match="passphrase"):
        load_signer(pem, b"wrong")


def test_ed25519_signs_the_same_bytes_twice_and_ml_dsa_does_not(keys: dict[Algorithm, Signer]) -> None:
    """What docs/formats.md says of reproducible files: only an ML-DSA attestation changes from build to build."""
    same = {
        algorithm: attest(STATEMENT, signer).to_bytes() == attest(STATEMENT, signer).to_bytes()
        for algorithm, signer in keys.items()
    }

    assert same == {"ecdsa-p256": True, "ed25519": True, "ml-dsa-65": False}


@pytest.mark.parametrize("algorithm", ["ed25519", "ml-dsa-65"])
def test_a_spoiled_mark_or_payload_is_refused_under_each_algorithm(
    algorithm: Algorithm, keys: dict[Algorithm, Signer]
) -> None:
    """Every bit of the signature counts, its length too; so does the payload."""
    signer = keys[algorithm]
    data = attest(STATEMENT, signer).to_bytes()
    mark = base64.b64decode(json.loads(data)["dsseEnvelope"]["signatures"][0]["sig"])
    spoiled = [mark[:-1], mark + b"\0", b"\0", mark[1:], *(_flipped(mark, place) for place in (0, 31, 63, -1))]
    other = release_statement("tiny", "1.0.1", "sha256:" + "a" * 64).to_bytes()

    for bad in spoiled:
        with pytest.raises(RefusedError, match="does not hold"):
            check(changed(data, sig=base64.b64encode(bad).decode()), [signer.public_pem])
    with pytest.raises(RefusedError, match="does not hold"):
        check(changed(data, payload=base64.b64encode(other).decode()), [signer.public_pem])


def _flipped(data: bytes, place: int) -> bytes:
    """The same bytes, one bit changed."""
    spoiled = bytearray(data)
    spoiled[place] ^= 1
    return bytes(spoiled)


@pytest.mark.parametrize("claimed", ALGORITHMS)
@pytest.mark.parametrize("signing", ALGORITHMS)
def test_a_key_of_one_algorithm_never_answers_for_another(
    signing: Algorithm, claimed: Algorithm, keys: dict[Algorithm, Signer]
) -> None:
    """A mark made by one key, labelled with the trusted key of another kind, is tried under the trusted key only."""
    label = keys[claimed].key_id
    data = changed(attest(STATEMENT, keys[signing]).to_bytes(), keyid=label, hint=label)

    if signing == claimed:
        assert check(data, [keys[claimed].public_pem]).key_id == label
    else:
        with pytest.raises(RefusedError, match="does not hold"):
            check(data, [keys[claimed].public_pem])


def test_an_algorithm_that_is_none_is_the_callers_mistake() -> None:
    """The hint lists those there are."""
    with pytest.raises(InputError, match="rsa") as caught:
        new_key(None, cast("Algorithm", "rsa"))
    assert "ml-dsa-65" in str(caught.value.hint)


def test_a_library_without_ml_dsa_is_said_to_be_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else needs the module, so the library may be as old as before."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.mldsa", None)

    with pytest.raises(UnavailableError, match="does not know ML-DSA-65") as caught:
        new_key(None, "ml-dsa-65")
    assert "cryptography" in str(caught.value.hint)
    assert load_signer(new_key(None, "ed25519"), None).algorithm == "ed25519"


def test_checking_imports_no_module_of_an_algorithm_that_is_not_at_hand(keys: dict[Algorithm, Signer]) -> None:
    """Start-up time: post-quantum signatures cost nothing to whoever does not use them."""
    program = """
import sys
from candidate.adapters.attest import check
check(bytes.fromhex(sys.argv[1]), [sys.argv[2]])
print("cryptography.hazmat.primitives.asymmetric.mldsa" in sys.modules)
"""
    signer = keys["ecdsa-p256"]
    data = attest(STATEMENT, signer).to_bytes().hex()
    done = subprocess.run(
        [sys.executable, "-c", program, data, signer.public_pem], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    "pem",
    [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff\xfe"],
)
def test_what_is_no_key_is_the_users_mistake(pem: bytes) -> None:
    """Neither private nor public."""
    with pytest.raises(InputError):
        load_signer(pem, None)
    with pytest.raises(InputError):
        public_key_id(pem.decode("latin-1"))


def test_a_private_key_is_never_taken_for_a_public_one() -> None:
    """The message says what happened, since the file should not have come this far."""
    with pytest.raises(InputError, match="private key where a public"):
        public_key_id(new_key(None).decode())


def test_a_damaged_encrypted_key_ends_in_an_error_of_ours() -> None:
    """Truncation included."""
    pem = new_key(b"word")
    for cut in range(0, len(pem), 37):
        with pytest.raises(CandidateError):
            load_signer(pem[:cut], b"word")


def test_signing_keeps_the_private_key_out_of_sight(builder: Signer) -> None:
    """A signer that lands in a log says nothing secret."""
    assert "PRIVATE" not in repr(builder)
    assert "sign=" not in repr(builder)


def test_statements_survive_the_round_trip(builder: Signer) -> None:
    """Unicode and numbers in a predicate come back as they were signed."""
    statement = Statement(subject=STATEMENT.subject, predicate_type="x", predicate={"ü": [1.5, None, True, "\u2028"]})

    assert check(attest(statement, builder).to_bytes(), [builder.public_pem]).statement == statement
