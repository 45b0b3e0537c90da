"""A key that never leaves its token attests through PKCS#11, in SoftHSM. Run by ``make test-peers``."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from candidate.adapters.attest import Signer, attest, check, load_signer, new_key
from candidate.adapters.oci import release_statement
from candidate.adapters.signers import key_file, open_signer, write_key_file
from candidate.errors import InputError, RefusedError, UnavailableError

PIN = "1234"
STATEMENT = release_statement("late-flights", "1.0.0", "sha256:" + "a" * 64)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """The key that is in the token, as we know it from before it went there."""
    folder = tmp_path_factory.mktemp("hsm")
    tokens, conf = folder / "tokens", folder / "softhsm2.conf"
    tokens.mkdir()
    conf.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    pem = new_key(None)
    (folder / "key.pem").write_bytes(pem)
    [module] = sorted({path.resolve() for path in Path("/usr/lib").glob("**/libsofthsm2.so")})[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(conf))
        patch.setenv("PYKCS11LIB", str(module))
        for command in (
            ["--init-token", "--free", "--label", "candidate", "--pin", PIN, "--so-pin", PIN],
            ["--import", str(folder / "key.pem"), "--id", "02", "--label", "k", "--token", "candidate", "--pin", PIN],
        ):
            subprocess.run(["softhsm2-util", *command], check=True, capture_output=True, timeout=60)
        (folder / "key.pem").unlink()
        yield load_signer(pem, None)


def named(public: str, uri: str = "hsm:2?label=candidate") -> bytes:
    """A key file of the token's key."""
    return write_key_file(key_file(uri, public)).encode()


def test_a_token_attests(inside: Signer) -> None:
    """What it signs verifies under the public half alone, by the code that checks every attestation."""
    data = attest(STATEMENT, open_signer(named(inside.public_pem), PIN.encode())).to_bytes()

    assert check(data, [inside.public_pem]).statement == STATEMENT


def test_a_token_with_another_key_attests_nothing(inside: Signer) -> None:
    """The key file names one public key, the token holds another: noticed by whoever signs."""
    other = load_signer(new_key(None), None)

    with pytest.raises(RefusedError, match="not the one whose public half"):
        attest(STATEMENT, open_signer(named(other.public_pem), PIN.encode()))
    assert inside.key_id != other.key_id


def test_a_token_that_cannot_be_used_is_told_of(inside: Signer) -> None:
    """No PIN, a wrong one, no such key and no such token: each an error of ours."""
    with pytest.raises(InputError, match="PIN"):
        open_signer(named(inside.public_pem))
    with pytest.raises(RefusedError, match="PIN"):
        attest(STATEMENT, open_signer(named(inside.public_pem), b"9999"))
    for uri in ("hsm:77?label=candidate", "hsm:2?label=nowhere"):
        with pytest.raises(UnavailableError, match="cannot be used"):
            attest(STATEMENT, open_signer(named(inside.public_pem, uri), PIN.encode()))
