"""Keys that live elsewhere: reached by a key file, and never believed."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from candidate.adapters import signers
from candidate.adapters.attest import Signer, attest, check, load_signer, new_key
from candidate.adapters.oci import release_statement
from candidate.adapters.signers import (
    PACKAGES,
    key_file,
    key_info,
    needs_passphrase,
    open_signer,
    read_key_file,
    write_key_file,
)
from candidate.documents.publickey import Algorithm
from candidate.errors import InputError, RefusedError, UnavailableError

STATEMENT = release_statement("tiny", "1.0.0", "sha256:" + "a" * 64)


def elsewhere(folder: Path, algorithm: Algorithm = "ecdsa-p256", *, name: str = "there.pem") -> tuple[bytes, Signer]:
    """A key that securesystemslib opens, the bytes of its key file, and the same key opened by us."""
    pem = new_key(None, algorithm)
    (folder / name).write_bytes(pem)
    own = load_signer(pem, None)
    return write_key_file(key_file(f"file2:{folder / name}", own.public_pem)).encode(), own


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519"])
def test_a_key_elsewhere_attests_like_a_key_here(tmp_path: Path, algorithm: Algorithm) -> None:
    """What it signs is checked as any other attestation, under the same id."""
    data, own = elsewhere(tmp_path, algorithm)
    signer = open_signer(data)

    assert (signer.key_id, signer.public_pem, signer.algorithm) == (own.key_id, own.public_pem, algorithm)
    assert check(attest(STATEMENT, signer).to_bytes(), [own.public_pem]).statement == STATEMENT


def test_a_key_file_survives_writing_and_reading(builder: Signer) -> None:
    """Odd characters of a URI included; there is nothing secret in it."""
    made = key_file('hsm:2?label=a "token" \\ 1', builder.public_pem.strip())
    text = write_key_file(made)

    assert read_key_file(text.encode()) == made
    assert made.public == builder.public_pem
    assert "PRIVATE" not in text
    assert read_key_file(new_key(None)) is None


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("gnupg:ABCDEF", "OpenPGP"),
        ("tkey:", "no scheme 'tkey'"),
        ("/home/key.pem", "no scheme"),
        ("", "no scheme ''"),
        ("awskms:x\ny", "uri"),
        ("awskms:" + "x" * 3000, "uri"),
    ],
    ids=["openpgp", "unknown", "a path", "nothing", "two lines", "endless"],
)
def test_what_is_no_place_of_a_key_is_refused(uri: str, says: str, builder: Signer) -> None:
    """When the key file is made, and when it is read."""
    with pytest.raises(InputError, match=says) as caught:
        key_file(uri, builder.public_pem, where="key.toml")
    assert "key.toml" in str(caught.value.where)
    assert caught.value.hint


def test_a_post_quantum_key_can_only_be_a_file() -> None:
    """No service is known to sign with one as DSSE wants it."""
    public = load_signer(new_key(None, "ml-dsa-65"), None).public_pem

    with pytest.raises(InputError, match="ML-DSA-65 key can only be a file"):
        key_file("awskms:x", public)


def test_an_unknown_key_in_a_key_file_is_refused(builder: Signer) -> None:
    """It is closed like every other file."""
    text = write_key_file(key_file("hsm:2", builder.public_pem)) + 'pin = "1234"\n'

    with pytest.raises(InputError, match="pin"):
        open_signer(text.encode(), b"1234")


def test_a_key_file_that_names_another_public_key_is_refused(tmp_path: Path, stranger: Signer) -> None:
    """The library sees it for a file; for a service we do, with the first signature."""
    data, own = elsewhere(tmp_path)

    with pytest.raises(RefusedError, match="not the one whose public half"):
        open_signer(data.replace(own.public_pem.encode(), stranger.public_pem.encode()))


class Fake:
    """A service that signs by whatever key it has, or fails."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def sign(self, message: bytes) -> SimpleNamespace:
        """Sign, as securesystemslib's signers do."""
        return SimpleNamespace(signature=self.answer(message))


def schemes() -> dict[str, Any]:
    """The library's own table of who answers to which scheme; its type is not exported."""
    from securesystemslib import signer

    table: dict[str, Any] = vars(signer)["SIGNER_FOR_URI_SCHEME"]
    return table


def faked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Let every URI lead to such a service."""
    monkeypatch.setitem(schemes(), "awskms", SimpleNamespace(from_priv_key_uri=lambda *_: Fake(answer)))


def test_a_fresh_signature_is_checked_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, builder: Signer, stranger: Signer
) -> None:
    """A service that was set up with another key makes no attestation at all."""
    data = write_key_file(key_file("awskms:x", builder.public_pem)).encode()
    faked(monkeypatch, lambda message: stranger.sign(message).hex())

    with pytest.raises(RefusedError, match="not the one whose public half"):
        attest(STATEMENT, open_signer(data))
    faked(monkeypatch, lambda message: builder.sign(message).hex())
    assert attest(STATEMENT, open_signer(data)) == attest(STATEMENT, builder)


@pytest.mark.parametrize("answer", ["no hex", None, OSError("the network\nis down"), RuntimeError()], ids=repr)
def test_a_service_that_fails_is_unavailable(monkeypatch: pytest.MonkeyPatch, builder: Signer, answer: object) -> None:
    """Whatever it raises, and it may raise anything: an error of ours, on one line, never a traceback."""

    def reply(message: bytes) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer if message else ""

    faked(monkeypatch, reply)
    signer = open_signer(write_key_file(key_file("awskms:x", builder.public_pem)).encode())

    with pytest.raises(UnavailableError, match="cannot be used") as caught:
        attest(STATEMENT, signer)
    assert "\n" not in caught.value.message


def test_a_key_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    """The file it names is not there."""
    data, _ = elsewhere(tmp_path)
    (tmp_path / "there.pem").unlink()

    with pytest.raises(UnavailableError, match="cannot be used"):
        open_signer(data)


@pytest.mark.parametrize("scheme", sorted(PACKAGES))
def test_a_service_whose_client_is_not_installed_says_what_to_install(
    scheme: str, monkeypatch: pytest.MonkeyPatch, builder: Signer
) -> None:
    """Every scheme that is accepted is one of the library's, and has an answer."""
    from securesystemslib.exceptions import UnsupportedLibraryError

    def missing(*_: object) -> None:
        raise UnsupportedLibraryError("some client required")

    assert scheme in schemes()
    monkeypatch.setitem(schemes(), scheme, SimpleNamespace(from_priv_key_uri=missing))
    data = write_key_file(key_file(f"{scheme}:a/b", builder.public_pem)).encode()

    with pytest.raises(UnavailableError, match="some client required") as caught:
        open_signer(data, b"1234")
    assert PACKAGES[scheme] in str(caught.value.hint)


def test_without_the_extra_the_hint_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The library is no part of a plain installation, and plain keys do without it."""
    data, _ = elsewhere(tmp_path)
    monkeypatch.setitem(sys.modules, "securesystemslib", None)

    with pytest.raises(UnavailableError, match="not supported here") as caught:
        open_signer(data)
    assert "candidate[kms]" in str(caught.value.hint)
    assert open_signer(new_key(b"word"), b"word").algorithm == "ecdsa-p256"


def test_an_hsm_wants_a_pin(monkeypatch: pytest.MonkeyPatch, builder: Signer) -> None:
    """It is read like a passphrase, and is handed on to the token."""
    data, pins = write_key_file(key_file("hsm:2", builder.public_pem)).encode(), list[str]()

    def opened(uri: str, public: Any, secret: Any) -> Fake:
        pins.append(f"{uri} {public.scheme} {secret('PIN')}")
        return Fake(lambda message: builder.sign(message).hex())

    monkeypatch.setitem(schemes(), "hsm", SimpleNamespace(from_priv_key_uri=opened))

    assert needs_passphrase(data)
    with pytest.raises(InputError, match="PIN"):
        open_signer(data)
    assert attest(STATEMENT, open_signer(data, b"1234")) == attest(STATEMENT, builder)
    assert pins == ["hsm:2 ecdsa-sha2-nistp256 1234"]


def test_a_wrong_pin_is_refused_like_a_wrong_passphrase(monkeypatch: pytest.MonkeyPatch, builder: Signer) -> None:
    """The HSM's driver says so by its own error."""

    class PinIncorrect(Exception):  # noqa: N818 - the driver's name
        pass

    def locked(_: bytes) -> str:
        raise PinIncorrect

    faked(monkeypatch, locked)
    signer = open_signer(write_key_file(key_file("awskms:x", builder.public_pem)).encode())

    with pytest.raises(RefusedError, match="PIN"):
        attest(STATEMENT, signer)


def test_only_locked_keys_need_a_passphrase(tmp_path: Path) -> None:
    """Nobody is asked in vain."""
    data, _ = elsewhere(tmp_path)

    assert [needs_passphrase(each) for each in (new_key(b"x"), new_key(None), data)] == [True, False, False]


@pytest.mark.parametrize(("algorithm", "read"), [("ecdsa-p256", True), ("ed25519", False), ("ml-dsa-65", False)])
def test_a_key_is_told_of_without_contacting_anything(algorithm: Algorithm, read: object, tmp_path: Path) -> None:
    """Private, public or key file: the same answer, and whether OpenSSF's verifier reads such a key."""
    pem = new_key(b"word", algorithm)
    own = load_signer(pem, b"word")
    told = [key_info(pem, b"word", where="k"), key_info(own.public_pem.encode(), where="k")]
    if algorithm in signers.ELSEWHERE:
        told.append(key_info(write_key_file(key_file(f"file2:{tmp_path}/gone", own.public_pem)).encode(), where="k"))

    assert {each.to_bytes() for each in told} == {told[0].to_bytes()}
    assert (told[0].key_id, told[0].algorithm, told[0].model_signing) == (own.key_id, algorithm, read)
