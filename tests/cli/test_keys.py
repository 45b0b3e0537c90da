"""Keys from the command line: made, shown, imported, and several at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from candidate.cli import output
from candidate.cli.app import run
from candidate.errors import InputError, RefusedError

WORD = "correct horse battery staple"


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Run a command in an empty folder with a passphrase in the environment; exit code and the JSON."""
    monkeypatch.chdir(tmp_path)
    for name in ("CANDIDATE_KEY_PASSPHRASE_FILE", "CANDIDATE_KEY_PASSPHRASE_2", "CANDIDATE_KEY_PASSPHRASE_FILE_2"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE", WORD)

    def command(*arguments: str) -> tuple[int, Any]:
        code = run([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


@pytest.mark.parametrize(("algorithm", "read"), [("ecdsa-p256", True), ("ed25519", False), ("ml-dsa-65", False)])
def test_a_key_of_each_algorithm_is_made_and_shown(
    ask: Callable[..., tuple[int, Any]], algorithm: str, read: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Encrypted, with its public half beside it; shown with its algorithm, and with who will not read it."""
    code, made = ask("key", "new", "k.pem", "--algorithm", algorithm)
    shown = [ask("key", "show", name)[1] for name in ("k.pem", "k.pub.pem")]

    assert code == 0
    assert b"ENCRYPTED" in Path("k.pem").read_bytes()
    assert {(each["key_id"], each["algorithm"], each["model_signing"]) for each in (made, *shown)} == {
        (made["key_id"], algorithm, read)
    }
    assert run(["key", "show", "k.pub.pem"]) == 0
    assert ("model_signing does not read" in capsys.readouterr().out) is not read


def test_p256_is_what_is_made_unless_another_is_named(ask: Callable[..., tuple[int, Any]]) -> None:
    """The one algorithm that every foreign verifier reads."""
    assert ask("key", "new", "k.pem")[1]["algorithm"] == "ecdsa-p256"
    assert ask("key", "new", "other.pem", "--algorithm", "rsa")[0] == 2
    assert not Path("other.pem").exists()


def test_a_key_elsewhere_is_imported_and_signs(ask: Callable[..., tuple[int, Any]]) -> None:
    """A key file is made once, shown like a key, and named with --key like one; never overwritten."""
    ask("key", "new", "there.pem", "--unsafe-no-passphrase")
    code, made = ask("key", "import", f"file2:{Path('there.pem').resolve()}", "key.toml", "--public", "there.pub.pem")
    signer = output.needed_signer(Path("key.toml"))

    assert (code, made["files"]) == (0, ["key.toml"])
    assert signer.key_id == made["key_id"] == ask("key", "show", "key.toml")[1]["key_id"]
    assert signer.sign(b"x")
    before = Path("key.toml").read_bytes()
    assert ask("key", "import", "hsm:2", "key.toml", "--public", "there.pub.pem")[0] == 2
    assert Path("key.toml").read_bytes() == before


@pytest.mark.parametrize("uri", ["gnupg:AB", "sigstore:", "there.pem"])
def test_what_cannot_be_imported_leaves_no_file(ask: Callable[..., tuple[int, Any]], uri: str) -> None:
    """Told with what to do."""
    ask("key", "new", "k.pem")
    code, found = ask("key", "import", uri, "key.toml", "--public", "k.pub.pem")

    assert (code, found["kind"]) == (2, "error")
    assert found["hint"]
    assert not Path("key.toml").exists()


def test_an_imported_key_that_is_gone_is_unavailable(ask: Callable[..., tuple[int, Any]]) -> None:
    """Exit code 9, by any command that signs."""
    ask("key", "new", "k.pem")
    ask("key", "import", "file2:/nowhere/k.pem", "key.toml", "--public", "k.pub.pem")

    assert ask("build", "--key", "key.toml")[0] == 9


def test_a_uri_where_a_file_must_be_is_pointed_out(ask: Callable[..., tuple[int, Any]]) -> None:
    """The hint is the command that makes the file."""
    code, found = ask("build", "--key", "awskms:alias/release")

    assert code == 2
    assert "candidate key import 'awskms:alias/release'" in found["hint"]


def test_each_key_can_have_its_own_passphrase(
    ask: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of the second key go first for it, a file before a word; the first key's serve both otherwise."""
    ask("key", "new", "a.pem")
    ask("key", "new", "same.pem", "--algorithm", "ml-dsa-65")
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE", "another")
    ask("key", "new", "b.pem", "--algorithm", "ed25519")
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE", WORD)

    assert [each.algorithm for each in output.signers([Path("a.pem"), Path("same.pem")])] == ["ecdsa-p256", "ml-dsa-65"]
    with pytest.raises(RefusedError, match="passphrase"):
        output.signers([Path("a.pem"), Path("b.pem")])
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE_2", "another")
    assert [each.algorithm for each in output.signers([Path("a.pem"), Path("b.pem")])] == ["ecdsa-p256", "ed25519"]
    Path("word").write_text(WORD + "\n")
    monkeypatch.setenv("CANDIDATE_KEY_PASSPHRASE_FILE_2", "word")
    assert output.signers([Path("b.pem"), Path("a.pem")][1:])[0].algorithm == "ecdsa-p256"
    assert output.signer(Path("same.pem"), number=2) is not None
    assert output.signers(None) == ()


def test_a_locked_key_without_a_passphrase_is_the_users_mistake(
    ask: Callable[..., tuple[int, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PIN is looked for where a passphrase is."""
    ask("key", "new", "k.pem")
    ask("key", "import", "hsm:2", "key.toml", "--public", "k.pub.pem")
    monkeypatch.delenv("CANDIDATE_KEY_PASSPHRASE")

    for name in ("k.pem", "key.toml"):
        with pytest.raises(InputError, match="passphrase or PIN") as caught:
            output.needed_signer(Path(name))
        assert "CANDIDATE_KEY_PASSPHRASE_FILE" in str(caught.value.hint)
    assert ask("key", "show", "key.toml")[0] == 0


def test_keys_of_all_algorithms_go_into_a_trust_policy(ask: Callable[..., tuple[int, Any]]) -> None:
    """Each role with another kind of key."""
    roles = {"builder": "ml-dsa-65", "approver": "ed25519", "promoter": "ecdsa-p256"}
    for role, algorithm in roles.items():
        assert ask("key", "new", f"{role}.pem", "--algorithm", algorithm)[0] == 0
    code, policy = ask("trust", "trust.toml", *(part for role in roles for part in (f"--{role}", f"{role}.pub.pem")))

    assert (code, set(policy["roles"])) == (0, set(roles))
    assert policy["required"] == ["release"]
