"""Attestations: who signed what, exactly, and nothing else."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from candidate.adapters.attest import (
    Signer,
    attest,
    check,
    load_signer,
    new_key,
    pre_authentication_encoding,
    public_key_id,
    unverified_statement,
)
from candidate.adapters.oci import release_statement
from candidate.document import canonical
from candidate.documents.statement import Statement
from candidate.errors import CandidateError, InputError, IntegrityError, RefusedError

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
    mark = signer.key.sign(pre_authentication_encoding(payload_type, payload), ec.ECDSA(hashes.SHA256()))
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


def foreign_keys() -> dict[str, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey]:
    """Keys that are no ECDSA P-256 keys."""
    return {
        "p384": ec.generate_private_key(ec.SECP384R1()),
        "k1": ec.generate_private_key(ec.SECP256K1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(65537, 2048),
    }


@pytest.mark.parametrize(("name", "key"), foreign_keys().items(), ids=foreign_keys())
def test_only_p256_keys_are_used(
    name: str, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
) -> None:
    """The key decides curve and hash, so it must be one we chose."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(InputError, match="not ECDSA P-256"):
        load_signer(private, None, where=name)
    with pytest.raises(InputError, match="not ECDSA P-256"):
        public_key_id(public.decode())


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
    assert "key=" not in repr(builder)


def test_statements_survive_the_round_trip(builder: Signer) -> None:
    """Unicode and numbers in a predicate come back as they were signed."""
    statement = Statement(subject=STATEMENT.subject, predicate_type="x", predicate={"ü": [1.5, None, True, "\u2028"]})

    assert check(attest(statement, builder).to_bytes(), [builder.public_pem]).statement == statement
